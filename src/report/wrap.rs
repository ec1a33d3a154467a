//! Breaking lines: prose at its spaces, the names of columns at their underscores.

/// Prose in lines of at most `width`; a longer word has a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    pack(text.split_whitespace().map(Into::into), " ", width)
}

/// The lines of a header: the name, then its unit in brackets.
pub(super) fn header(name: &str, unit: &str, width: usize) -> Vec<String> {
    // The underscore stays at the end of its line, so that the name can be copied.
    let mut lines = pack(name.split_inclusive(['_', ' ']).map(Into::into), "", width);
    if !unit.is_empty() {
        lines.extend(wrap(&format!("({unit})"), width));
    }
    lines
}

/// A text of at most `width` characters; a longer one is truncated and ends with an ellipsis.
pub fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    let truncated: String = text.chars().take(width.saturating_sub(1)).collect();
    truncated.trim_end().to_owned() + "…"
}

/// The text of a cell in lines of at most `width`, broken at spaces; a longer word at the commas and colons of a spec, where it
/// has some.
pub(super) fn cell(text: &str, width: usize) -> String {
    let pieces = |word| {
        if str::chars(word).count() > width { word.split_inclusive([',', ':']).collect() } else { vec![word] }
    };
    let lines = pack(text.split_inclusive(' ').flat_map(pieces).map(Into::into), "", width);
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

fn pack(pieces: impl Iterator<Item = String>, between: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(line)
                if line.chars().count() + between.len() + piece.trim_end().chars().count() <= width =>
            {
                line.push_str(between);
                line.push_str(&piece);
            }
            _ => lines.push(piece),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_break_at_underscores_and_only_when_they_must() {
        assert_eq!(header("cum_energy_at_128", "", 20), ["cum_energy_at_128"]);
        assert_eq!(header("cum_energy_at_128", "", 7), ["cum_", "energy_", "at_128"]);
        assert_eq!(header("time", "ms", 4), ["time", "(ms)"]);
    }

    #[test]
    fn specs_break_between_their_parameters() {
        assert_eq!(cell("luna-causal:l=4,decay=1e-30", 27), "luna-causal:l=4,decay=1e-30");
        assert_eq!(cell("luna-causal:l=4,decay=1e-30", 26), "luna-causal:l=4,\ndecay=1e-30");
        assert_eq!(cell("luna-causal:decay=learned", 14), "luna-causal:\ndecay=learned");
        assert_eq!(cell("a luna:l=4,tied=false", 12), "a luna:l=4,\ntied=false");
        assert_eq!(cell("not judged", 6), "not\njudged");
    }

    #[test]
    fn prose_breaks_at_spaces() {
        assert_eq!(wrap("a head is lower", 8), ["a head", "is lower"]);
        assert_eq!(wrap("incomprehensible word", 5), ["incomprehensible", "word"]);
        assert!(wrap("", 80).is_empty());
    }
}
