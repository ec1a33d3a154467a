//! Translates a stream line by line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rayon::prelude::*;

use super::config::TranslateConfig;
use super::lines::LineReader;
use super::network::{TranslationNetwork, beam};
use super::view::report;
use crate::error::{Error, Result};
use crate::study::{Context, Outcome};
use crate::task::translation::scores::{AlignedLines, score};

/// Translates the lines of `--input`, or of `standard_input`; `write` is handed each translation as it is made, and false
/// from it ends the work.
///
/// Lines that are there at once are worked on at once.
pub fn run(
    config: &TranslateConfig,
    context: Context<'_>,
    standard_input: impl Read + Send + 'static,
    write: &mut dyn FnMut(&str) -> bool,
) -> Result<Outcome> {
    let beam = beam(config.beam, config.length_penalty)?;
    let network = TranslationNetwork::open(&config.run)?;
    let read = |path: &Option<_>| path.as_deref().map(AlignedLines::read).transpose();
    let (references, other) = (read(&config.reference)?, read(&config.against)?);
    let name = config.input.as_deref().unwrap_or(Path::new("standard input"));
    let lines = match &config.input {
        Some(path) => LineReader::read(File::open(path).map_err(Error::file(path))?, name),
        None => LineReader::read(standard_input, name),
    };
    let mut done: Vec<(String, String)> = Vec::new();
    loop {
        let sources = lines.next(context.watch)?;
        if sources.is_empty() {
            break;
        }
        let first = done.len();
        let one = |(at, line): (usize, Result<String>)| {
            let source = line?;
            context.watch.check()?;
            let what = || format!("line {} of '{}'", first + at + 1, name.display());
            let line = network.translate(&source, &what, &beam)?;
            Ok((source, line))
        };
        let translated: Vec<Result<(String, String)>> =
            sources.into_par_iter().enumerate().map(one).collect();
        // Lines before one that cannot be translated are written.
        for line in translated {
            let (source, line) = line?;
            if !write(&line) {
                return Err(Error::Interrupted);
            }
            done.push((source, line));
        }
    }
    let scored = references.map(|references| score(&done, &references, other.as_ref(), context.seed));
    Ok(Outcome {
        report: report(config, &network.translator, &done, scored.transpose()?.as_ref()),
        complete: true,
    })
}
