//! The output formats, by name.

use std::io::{self, Write};

use super::{Report, Style, csv, json, latex, markdown, text};
use crate::{Error, Result, name};

const PARQUET: &str = "parquet";

/// A way to write a report.
pub struct Format {
    /// The name on the command line.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    write: fn(&Report, Style, &mut dyn Write) -> io::Result<()>,
}

impl Format {
    /// Every format, the default first.
    pub const ALL: &'static [Self] = &[
        // For people, then for machines, then for pages.
        Self { name: "table", about: "aligned columns for the terminal, with notes", write: text::write },
        Self { name: "json", about: "everything, with stamp, units and full precision", write: json::write },
        Self { name: "csv", about: "every row in full precision, under one header", write: csv::write },
        Self { name: "jsonl", about: "every row as a line of JSON in full precision", write: json::lines },
        Self { name: "markdown", about: "tables to paste into a page", write: markdown::write },
        Self { name: "latex", about: "tables for a paper, with booktabs and siunitx", write: latex::write },
        #[cfg(feature = "parquet")]
        Self {
            name: PARQUET,
            about: "every row in full precision, binary, to redirect",
            write: super::parquet::write,
        },
    ];

    /// The format of this name.
    pub fn find(name: &str) -> Result<&'static Self> {
        if name == PARQUET && !cfg!(feature = "parquet") {
            let accepted =
                "it in a build with `--features parquet`, or csv and jsonl, which the same tools read";
            return Err(Error::value("format", name, accepted));
        }
        name::find("format", name, Self::ALL, |format| format.name)
    }

    /// Whether what it writes is not text, which a terminal cannot show.
    pub fn is_binary(&self) -> bool {
        self.name == PARQUET
    }

    /// Writes a report.
    pub fn write(&self, report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
        (self.write)(report, style, out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_format_is_found_by_its_name_and_writes_text() {
        for format in Format::ALL.iter().filter(|format| !format.is_binary()) {
            let mut out = Vec::new();
            let found = Format::find(format.name).unwrap();
            found.write(&sample::report(), Style::default(), &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains('λ') && text.ends_with('\n'), "{}: {text}", format.name);
            assert!(!text.contains('\u{1b}'), "{} uses colour unasked", format.name);
        }
    }

    #[test]
    fn an_unknown_format_is_answered_with_the_list() {
        let error = Format::find("yaml").err().unwrap().to_string();
        assert!(error.contains("known: table, json, csv, jsonl, markdown, latex"), "{error}");
        if cfg!(not(feature = "parquet")) {
            let error = Format::find("parquet").err().unwrap().to_string();
            assert!(error.contains("--features parquet"), "{error}");
        }
    }
}
