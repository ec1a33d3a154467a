//! Files of labelled expressions, in two layouts.

use std::path::Path;

use super::expression::{ACCEPTED, Expression, ListopsExample};
use crate::task::short;
use crate::{Error, Result};

/// The first line of Long Range Arena's files.
const HEADER: &str = "Source\tTarget";

const LAYOUTS: &str = "lines EXPRESSION, tab, digit under the header 'Source', tab, 'Target' (Long Range Arena), or \
                       lines digit, tab, EXPRESSION without a header (Nangia & Bowman)";

/// Reads a file of labelled expressions: see [`parse`].
pub fn read(path: &Path) -> Result<Vec<ListopsExample>> {
    parse(path, &crate::task::text(path)?)
}

/// Labelled expressions from the text of the file at `path` (named in errors, not read).
///
/// Under the header `Source`, tab, `Target` each line is an expression, a tab and its digit (Long Range Arena); without
/// that header a digit, a tab and an expression (Nangia & Bowman 2018). Lines may end in CR LF. A label that is not the
/// value of its expression is an error, like every line that is not of the layout: with its number.
pub fn parse(path: &Path, text: &str) -> Result<Vec<ListopsExample>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let headed = text.lines().next() == Some(HEADER);
    let lines = text.lines().enumerate().skip(usize::from(headed));
    let examples: Vec<ListopsExample> = lines
        .map(|(i, line)| {
            example(line, headed).map_err(|(what, accepted)| {
                Error::malformed(path, format!("line {}: {what}", i + 1), accepted)
            })
        })
        .collect::<Result<_>>()?;
    if examples.is_empty() {
        return Err(Error::malformed(path, "no examples", LAYOUTS));
    }
    Ok(examples)
}

/// The example of a line, or what is wrong with it and what would be accepted.
fn example(line: &str, headed: bool) -> Result<ListopsExample, (String, &'static str)> {
    let (first, second) = line.split_once('\t').ok_or_else(|| ("no tab".into(), LAYOUTS))?;
    let (source, label) = if headed { (first, second) } else { (second, first) };
    let digit = label.parse::<u8>().ok().filter(|digit| *digit < 10);
    let label = digit.ok_or_else(|| (format!("label '{}' is not a digit", short(&label)), LAYOUTS))?;
    let expression = Expression::read(source).map_err(|what| (what, ACCEPTED))?;
    let value = expression.value();
    if label != value {
        return Err((format!("label {label}, but the value is {value}"), "each expression with its value"));
    }
    Ok(ListopsExample { expression, label })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse_text(text: &str) -> Result<Vec<ListopsExample>> {
        parse(Path::new("f.tsv"), text)
    }

    #[test]
    fn both_layouts_hold_the_same() {
        let arena = "Source\tTarget\r\n( ( ( [SM 6 ) 5 ) ] )\t1\r\n8\t8\r\n";
        let original = "1\t( ( ( [SM 6 ) 5 ) ] )\n8\t8";
        let examples = parse_text(arena).unwrap();
        assert_eq!(examples, parse_text(original).unwrap());
        assert_eq!(examples, parse_text(&format!("\u{feff}{arena}")).unwrap());
        assert_eq!(examples.iter().map(|example| example.label).collect::<Vec<_>>(), [1, 8]);
        assert_eq!(examples[0].expression.to_string(), "( ( ( [SM 6 ) 5 ) ] )");
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, part) in [
            ("", "'f.tsv': no examples; expected lines EXPRESSION"),
            ("Source\tTarget\n", "no examples"),
            ("1\t1\n2 2\n", "line 2: no tab; expected lines"),
            ("1\t1\n\n2\t2\n", "line 2: no tab"),
            ("x\t[MIN 2 ]\n", "line 1: label 'x' is not a digit"),
            ("12\t[MIN 2 ]\n", "line 1: label '12' is not a digit"),
            ("Source\tTarget\n[MIN 2 ]\t2\t\n", "line 2: label '2\\t' is not a digit"),
            ("[MIN 2 ]\t2\n", "line 1: label '[MIN 2 ]' is not a digit"),
            ("2\t[MIN 2 ]\n3\t[MIN 2\n", "line 2: 1 list does not end; expected a digit, or a list"),
            ("2\t[MIN 2 ]\n3\t[MIN 2 ]\n", "line 2: label 3, but the value is 2; expected each expression"),
        ] {
            let message = parse_text(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text:?}: {message}");
            assert_eq!(message.lines().count(), 1);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(Source\tTarget\n)?([0-9]\t|\\[MIN |\\] |[0-9] |\n|é){0,20}") {
            if let Ok(examples) = parse_text(&text) {
                prop_assert!(examples.iter().all(|example| example.expression.value() == example.label));
            }
        }
    }
}
