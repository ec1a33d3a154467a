//! `luna diff`: finished runs compared.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::report::Format;
use crate::study::runs::{self, DiffConfig, View};
use crate::study::{Columns, Outcome};

/// Conditions that are named on standard error.
const SHOWN: usize = 3;

/// What `luna diff` takes.
#[derive(Args, Clone, Debug)]
pub struct Diff {
    /// What is compared.
    #[command(flatten)]
    config: DiffConfig,
    /// How to write the result: table, json, csv or markdown
    #[arg(long, value_name = "NAME", default_value = "table", value_parser = study::format)]
    format: &'static Format,
    /// Folder for result.json and the tables
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Diff {
    /// Compares and writes; fails if a condition of `--fail-if` holds.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let output =
            OutputArgs { format: self.format, out: self.out.clone(), plot: false, view: View::default() };
        let mut holds = Vec::new();
        let written = study::run(global, &output, (&output.folder(), false), Columns::default(), out, |_| {
            let runs::Diff { report, failed } = self.config.run()?;
            holds = failed;
            Ok(Outcome { report, complete: true })
        });
        let more = holds.len().saturating_sub(SHOWN);
        holds.truncate(SHOWN);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        match written {
            // Nor does a reader who wants no more, such as `head`, make a condition not hold.
            Ok(()) | Err(Failure::Output(_)) if !holds.is_empty() => {
                Err(Failure::Condition(format!("--fail-if holds: {}{more}", holds.join("; "))))
            }
            written => written,
        }
    }
}
