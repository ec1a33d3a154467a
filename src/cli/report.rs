//! `luna report`: finished runs on one page.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::error::{Error, Result};
use crate::report::page::{to_html, to_markdown};
use crate::report::printable;
use crate::study::runs::{Run, compose};

/// What `luna report` takes.
#[derive(Args, Clone, Debug)]
pub struct Report {
    /// Folders of finished runs (of their --out), files in the format json, or pages; several are shown beside each other
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The page: one file that needs nothing beside it
    #[arg(short, long, value_name = "FILE", default_value = "report.html", value_parser = html)]
    out: PathBuf,
    /// Write the same as Markdown beside it, under the name of the page with the ending .md
    #[arg(long)]
    markdown: bool,
}

fn html(name: &str) -> Result<PathBuf> {
    let path = PathBuf::from(name);
    let ends = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("html"));
    if ends { Ok(path) } else { Err(Error::value("--out", name, "a file that ends in .html")) }
}

impl Report {
    /// Writes the page; `question` says what the command of a name asks.
    pub fn run(&self, question: &dyn Fn(&str) -> Option<String>, out: &mut dyn Write) -> Result<(), Failure> {
        let mut runs = Vec::new();
        for path in &self.runs {
            // A page that was handed on may be the only copy of its figures.
            if path.canonicalize().ok().is_some_and(|run| self.out.canonicalize().is_ok_and(|out| out == run))
            {
                let accepted = "a page that is not one of the runs";
                return Err(Error::value("--out", self.out.display(), accepted).into());
            }
            runs.extend(Run::open_all(path)?);
        }
        let page = compose(&runs, question)?;
        let mut written = vec![(self.out.clone(), to_html(&page))];
        if self.markdown {
            written.push((
                self.out.with_extension("md"),
                to_markdown(&page, self.out.parent().unwrap_or(Path::new(""))),
            ));
        }
        for (path, text) in written {
            crate::file::save_text(&path, &text)?;
            writeln!(
                out,
                "wrote '{}' ({} kB)",
                printable(&path.display().to_string()),
                text.len().div_ceil(1000)
            )?;
        }
        Ok(())
    }
}
