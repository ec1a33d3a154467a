//! How commands whose result is a text write it: as plain text, piece by piece, or as every study.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::error::Result;
use crate::name::List;
use crate::report::{Column, Format, printable};
use crate::study::runs::View;
use crate::study::{Context, Outcome};

/// How a text is written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct TextOutputArgs {
    /// How to write the result: text (as it is made), table, json, csv, jsonl, markdown or latex
    #[arg(long, value_name = "NAME", default_value = "text", value_parser = format)]
    format: TextFormat,
    /// Folder for result.json and result.csv
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Columns of the result to print instead of the tables (all: every one)
    #[arg(long, value_name = "NAME,...")]
    columns: Option<List<String>>,
}

/// Plain text, or a format of results.
#[derive(Clone, Copy, Debug)]
enum TextFormat {
    Text,
    Result(&'static Format),
}

fn format(name: &str) -> Result<TextFormat> {
    if name == "text" { Ok(TextFormat::Text) } else { Format::find(name).map(TextFormat::Result) }
}

/// Runs a study that hands over its text piece by piece, and writes the text or the result. Notes of a plain text go to
/// standard error.
pub(super) fn run(
    global: &Global,
    output: &TextOutputArgs,
    columns: Vec<Column>,
    out: &mut dyn Write,
    text_study: impl FnOnce(Context<'_>, &mut dyn FnMut(&[u8]) -> bool) -> Result<Outcome>,
) -> Result<(), Failure> {
    let TextOutputArgs { format, out: dir, columns: selected } = output.clone();
    let view = View { columns: selected, ..View::default() };
    let result = |format| OutputArgs { format, out: dir, plot: false, view };
    match format {
        TextFormat::Result(format) => {
            let output = result(format);
            study::run(global, &output, (&output.folder(), false), Some(columns), out, |context| {
                text_study(context, &mut |_| true)
            })
        }
        TextFormat::Text => {
            let output = result(&Format::ALL[0]);
            let mut failed = None;
            let mut write = |text: &[u8]| {
                let flush = |out: &mut dyn Write| if text.contains(&b'\n') { out.flush() } else { Ok(()) };
                let written = out.write_all(text).and_then(|()| flush(out));
                written.map_err(|error| failed = Some(error)).is_ok()
            };
            let place = (&output.folder(), false);
            let done = study::run(global, &output, place, Some(columns), &mut io::sink(), |context| {
                let outcome = text_study(context, &mut write)?;
                for note in &outcome.report.notes {
                    // A closed standard error must not lose the text.
                    let _ = writeln!(io::stderr(), "luna: {}", printable(note));
                }
                Ok(outcome)
            });
            failed.map_or(done, |error| Err(error.into()))
        }
    }
}
