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

/// A path that the code names: `a::b::C` in an expression, or one leaf of a `use` tree.
#[derive(Debug, PartialEq)]
pub(super) struct Named {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    /// The name that a `use` gives it here; `*` for all names of a module.
    pub(super) alias: Option<String>,
    /// Whether it stands in the initialiser of a registry, `ALL`.
    pub(super) registered: bool,
}

impl Named {
    /// The path as from the file itself, where it stands in so many modules with braces.
    fn leave(&mut self, modules: usize) {
        let outwards = self.segments.iter().take(modules).take_while(|name| *name == "super").count();
        if outwards > 0 {
            self.segments.splice(..outwards, ["self".to_string()]);
        }
    }
}

/// Words and symbols of the code, `::` as one, each with its line.
pub(super) fn tokens(code: &[Line]) -> Vec<(usize, String)> {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    let mut found: Vec<(usize, String)> = Vec::new();
    for Line { number, text } in code {
        let mut last = ' ';
        for c in text.chars() {
            let joined = letter(c) && letter(last) || (c, last) == (':', ':');
            match found.last_mut().filter(|_| joined) {
                Some((_, token)) => token.push(c),
                None if c.is_whitespace() => {}
                None => found.push((*number, c.to_string())),
            }
            last = if (c, last) == (':', ':') { ' ' } else { c };
        }
    }
    found
}

/// Every path of two names or more, and everything that a `use` imports.
pub(super) fn paths(tokens: &[(usize, String)]) -> Vec<Named> {
    let token = |at: usize| tokens.get(at).map_or("", |(_, token)| token.as_str());
    let (mut found, mut at) = (Vec::new(), 0);
    let mut registry: Option<i32> = None; // how many brackets deep in the item of an `ALL`
    let (mut depth, mut modules) = (0, Vec::new()); // brackets, and those of modules
    while at < tokens.len() {
        match token(at) {
            "const" | "static" if token(at + 1) == "ALL" => registry = Some(0),
            "(" | "[" | "{" => {
                depth += 1;
                registry = registry.map(|depth| depth + 1);
                if token(at.wrapping_sub(2)) == "mod" && token(at) == "{" {
                    modules.push(depth);
                }
            }
            ")" | "]" | "}" => {
                modules.pop_if(|module| *module == depth);
                depth -= 1;
                registry = registry.map(|depth| depth - 1);
            }
            ";" if registry == Some(0) => registry = None,
            "use" if token(at + 1) != "<" => {
                let before = found.len();
                // What is only handed on (`pub use`, `pub(super) use`) is not used here.
                let handed_on = matches!(token(at.wrapping_sub(1)), "pub" | ")");
                at = tree(tokens, at + 1, &[], &mut found);
                for path in &mut found[before..] {
                    path.registered = handed_on;
                    path.leave(modules.len());
                }
                continue;
            }
            word if is_word(word)
                && token(at + 1) == "::"
                && !matches!(token(at.wrapping_sub(1)), "::" | ".") =>
            {
                let line = tokens[at].0;
                let mut segments = vec![word.to_string()];
                while token(at + 1) == "::" && is_word(token(at + 2)) {
                    segments.push(token(at + 2).to_string());
                    at += 2;
                }
                let registered = registry.is_some();
                let mut path = Named { line, segments, alias: None, registered };
                path.leave(modules.len());
                found.push(path);
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads one tree of a `use` that begins at `at`; returns where it ends.
fn tree(tokens: &[(usize, String)], mut at: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    let token = |at: usize| tokens.get(at).map_or("", |(_, token)| token.as_str());
    let line = tokens.get(at).map_or(0, |(line, _)| *line);
    let mut segments = prefix.to_vec();
    loop {
        match token(at) {
            "{" => {
                at += 1;
                while !matches!(token(at), "}" | "") {
                    at = tree(tokens, at, &segments, found);
                    at += usize::from(token(at) == ",");
                }
                return at + 1;
            }
            "*" => {
                found.push(Named { line, segments, alias: Some("*".into()), registered: false });
                return at + 1;
            }
            "::" => at += 1,
            word if is_word(word) => {
                if word != "self" || segments.is_empty() {
                    segments.push(word.into());
                }
                at += 1;
                let renamed = (token(at) == "as").then(|| token(at + 1).to_string());
                if token(at) != "::" {
                    let alias = renamed.clone().or_else(|| segments.last().cloned());
                    found.push(Named { line, segments, alias, registered: false });
                    return at + if renamed.is_some() { 2 } else { 0 };
                }
            }
            _ => return at + 1,
        }
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The modules of this crate that paths name, each with its line: the `a` of `crate::a::b`.
pub(super) fn imports(paths: &[Named]) -> Vec<(usize, String)> {
    let inside = paths.iter().filter(|path| matches!(path.segments[0].as_str(), "crate" | "luna"));
    inside.filter_map(|path| Some((path.line, path.segments.get(1)?.clone()))).collect()
}
