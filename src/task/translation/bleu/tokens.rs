//! The tokens of mteval-v13a, the scorer of WMT, as sacreBLEU has them under the name `13a`.

/// Splits a line into tokens: punctuation apart from words, dots and commas apart unless between digits, dashes apart
/// after digits; `&quot;`, `&amp;`, `&lt;` and `&gt;` are replaced by their characters, and `<skipped>` is removed.
///
/// ```
/// let tokens = luna::task::translation::bleu::tokenize("It's 1,000.5 km (or so): 3-4 days.");
/// assert_eq!(tokens.join(" "), "It's 1,000.5 km ( or so ) : 3 - 4 days .");
/// ```
pub fn tokenize(line: &str) -> Vec<String> {
    let mut text =
        line.trim_end_matches(blank).replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (entity, letter) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        text = text.replace(entity, letter);
    }
    let mut spaced = String::with_capacity(text.len() + 16);
    spaced.push(' ');
    for letter in text.chars() {
        if mark(letter) {
            spaced.extend([' ', letter, ' ']);
        } else {
            spaced.push(letter);
        }
    }
    spaced.push(' ');
    let stop = |letter: char| letter == '.' || letter == ',';
    let digit = |letter: char| letter.is_ascii_digit();
    let text = pairs(&spaced, |a, b| !digit(a) && stop(b), |a, b| [a, ' ', b, ' ']);
    let text = pairs(&text, |a, b| stop(a) && !digit(b), |a, b| [' ', a, ' ', b]);
    let text = pairs(&text, |a, b| digit(a) && b == '-', |a, b| [a, ' ', b, ' ']);
    text.split(blank).filter(|token| !token.is_empty()).map(String::from).collect()
}

/// ASCII punctuation that is always a token of its own: all but the apostrophe, the comma, the dash and the dot.
fn mark(letter: char) -> bool {
    letter.is_ascii_punctuation() && !matches!(letter, '\'' | ',' | '-' | '.')
}

/// White space as Python has it: Unicode's, and the four separators of ASCII.
fn blank(letter: char) -> bool {
    letter.is_whitespace() || ('\x1c'..='\x1f').contains(&letter)
}

/// The text with every two neighbours that fit replaced, from the left on and without overlap.
fn pairs(text: &str, fits: impl Fn(char, char) -> bool, written: impl Fn(char, char) -> [char; 4]) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.next_if(|next| fits(letter, *next)) {
            Some(next) => out.extend(written(letter, next)),
            None => out.push(letter),
        }
    }
    out
}
