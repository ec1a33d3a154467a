//! Translations beside their references, line by line: what every score of translations is computed from.

use crate::{Error, Result};

/// A translation, and the references that it may be measured by.
pub(super) type Line<'a> = (&'a str, Vec<&'a str>);

/// Each hypothesis with its references that are not empty, at least one.
pub(super) fn aligned<'a, H: AsRef<str>, R: AsRef<str>>(
    hypotheses: &'a [H],
    references: &[&'a [R]],
) -> Result<Vec<Line<'a>>> {
    if hypotheses.is_empty() {
        return Err(Error::value("translations to score", "0 lines", "1 line or more"));
    }
    if references.is_empty() {
        return Err(Error::value("references to score by", "none", "1 or more"));
    }
    for (lines, number) in references.iter().zip(1..) {
        if lines.len() != hypotheses.len() {
            let accepted = format!("{}, as many as translations", hypotheses.len());
            return Err(Error::value(format!("lines of reference {number}"), lines.len(), accepted));
        }
    }
    let line = |(line, hypothesis): (usize, &'a H)| {
        let of_line = references.iter().map(|lines| lines[line].as_ref());
        let of_line: Vec<&str> = of_line.filter(|reference| !reference.is_empty()).collect();
        if of_line.is_empty() {
            return Err(Error::value(format!("reference of line {}", line + 1), "", "a text"));
        }
        Ok((hypothesis.as_ref(), of_line))
    };
    hypotheses.iter().enumerate().map(line).collect()
}
