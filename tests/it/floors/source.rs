//! Rust sources as far as the law needs them: code without comments, strings and tests; what it imports.

/// A line of code.
pub(super) struct Line {
    /// From 1.
    pub(super) number: usize,
    /// The line, with blanks for comments and for what is in strings.
    pub(super) text: String,
}

/// The program's own code: without what is marked `#[cfg(test)]`, with blanks for comments and the insides of strings.
pub(super) fn code(text: &str) -> Vec<Line> {
    let mut code = Vec::new();
    let mut tests: Option<i32> = None; // inside an item for tests, and how many braces deep
    for (i, line) in blanked(text).lines().enumerate() {
        let marked = line.trim_start().starts_with("#[cfg(test)]");
        if tests.is_none() && !marked {
            code.push(Line { number: i + 1, text: line.to_string() });
            continue;
        }
        let mut depth = tests.unwrap_or(0);
        let mut ended = false;
        for letter in line.chars() {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            ended |= depth == 0 && matches!(letter, '}' | ';');
        }
        tests = (!ended).then_some(depth);
    }
    code
}

/// The same text, letter for letter, with blanks for comments and for what is in strings and characters.
fn blanked(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut out = letters.clone();
    let mut at = 0;
    while at < letters.len() {
        let end = opaque(&letters, at);
        for letter in &mut out[at..end] {
            if *letter != '\n' {
                *letter = ' ';
            }
        }
        at = end.max(at + 1);
    }
    out.into_iter().collect()
}

/// Where the comment, string or character ends that begins at `at`; `at` itself if none does.
fn opaque(letters: &[char], at: usize) -> usize {
    let rest = &letters[at..];
    let word_before = at > 0 && (letters[at - 1].is_alphanumeric() || letters[at - 1] == '_');
    let length = match rest {
        ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block(rest),
        ['"', ..] => quoted(rest, 1),
        ['r', '"' | '#', ..] if !word_before => raw(rest),
        ['\'', '\\', ..] => {
            3 + rest.iter().skip(3).position(|&c| c == '\'').map_or(rest.len() - 3, |close| close + 1)
        }
        ['\'', _, '\'', ..] => 3, // otherwise a lifetime
        _ => 0,
    };
    (at + length).min(letters.len())
}

/// The length of a block comment; they nest.
fn block(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string, from the letter after its opening quote.
fn quoted(rest: &[char], from: usize) -> usize {
    let mut at = from;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of a raw string, or 0 for a raw identifier.
fn raw(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &rest[2 + hashes..];
    body.windows(close.len())
        .position(|at| at == close)
        .map_or(rest.len(), |at| 2 + hashes + at + close.len())
}

/// The modules of this crate that the code names, each with its line: of `crate::a::b` and `luna::a` the `a`, of
/// `crate::{a::{b, c}, d}` both `a` and `d`.
pub(super) fn imports(code: &[Line]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let letters: Vec<(usize, char)> =
        code.iter().flat_map(|line| line.text.chars().chain(['\n']).map(|c| (line.number, c))).collect();
    for root in ["crate::", "luna::"] {
        let root: Vec<char> = root.chars().collect();
        for at in 0..letters.len() {
            let here = letters[at..].iter().map(|&(_, c)| c).take(root.len()).eq(root.iter().copied());
            let path_before =
                at > 0 && (letters[at - 1].1.is_alphanumeric() || "_:".contains(letters[at - 1].1));
            if here && !path_before {
                found.extend(heads(&letters[at + root.len()..]));
            }
        }
    }
    found
}

/// The first names after a root: one name, or every first name of a group in braces.
fn heads(letters: &[(usize, char)]) -> Vec<(usize, String)> {
    let word = |from: usize| -> Option<(usize, String)> {
        let mut rest = letters[from..].iter().skip_while(|(_, c)| c.is_whitespace()).peekable();
        let line = rest.peek()?.0;
        let name: String = rest.map(|&(_, c)| c).take_while(|&c| c.is_alphanumeric() || c == '_').collect();
        (!name.is_empty()).then_some((line, name))
    };
    if letters.first().is_none_or(|&(_, c)| c != '{') {
        return word(0).into_iter().collect();
    }
    let (mut found, mut depth) = (Vec::new(), 0);
    for (i, &(_, c)) in letters.iter().enumerate() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(c, '{' | ',') {
            found.extend(word(i + 1));
        }
    }
    found
}
