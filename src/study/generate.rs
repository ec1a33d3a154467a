//! `luna generate`: text from a trained language model.

use std::path::PathBuf;

use clap::Args;

use super::columns::described;
use super::{Context, Outcome};
use crate::error::{Error, Result};
use crate::model::{embedded, settled};
use crate::network::{DecodingState, Encoder, Head};
use crate::report::Digits::{Integer, Text};
use crate::report::{Column, Report, Table};
use crate::rng::stream;
use crate::task::language::Detokenizer;
use crate::train::sample::Sampling;

/// Which model writes, and how.
#[derive(Args, Clone, Debug, Default)]
#[allow(missing_docs)] // the flags' help says what they are
pub struct GenerateConfig {
    /// Folder of a training with --task language, or byte-transformer (built-in)
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Text to continue
    #[arg(long, value_name = "TEXT", default_value = "\n")]
    pub prompt: String,
    /// Bytes, or tokens of the training's tokenizer, to write after the prompt
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub length: usize,
    /// Sampling temperature; 0 takes the most probable token
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub temperature: f64,
    /// Sample from the K most probable tokens only (top-k)
    #[arg(long, value_name = "K")]
    pub top: Option<usize>,
}

/// The columns of the result: a row for every line of the text.
pub fn columns() -> Vec<Column> {
    described(&[
        ("line", "", "number of the line", Integer),
        ("text", "", "the line, of the prompt and what was written after it", Text),
    ])
}

/// Writes a text, which `write` is handed piece by piece, from the prompt to a last newline; false from it ends the text.
pub fn run(
    config: &GenerateConfig,
    context: Context<'_>,
    write: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<Outcome> {
    let sampling = Sampling::new(config.temperature, config.top)?;
    // A prompt that a shell took from a file may begin with its byte order mark.
    let prompt = config.prompt.strip_prefix('\u{feff}').unwrap_or(&config.prompt);
    if prompt.is_empty() {
        return Err(Error::value("--prompt", "", "a text of at least one character"));
    }
    let encoder = Encoder::open(&embedded::or_disk(&config.run)?)?;
    let mut detokenizer = detokenizer(config, &encoder)?;
    let rng = &mut stream(context.seed, "generate");
    let mut reader = WindowedReader { encoder: &encoder, state: encoder.start()?, read: Vec::new() };
    let mut logits = Vec::new();
    for token in detokenizer.prompt(prompt)? {
        logits = reader.next(token)?;
    }
    let (mut text, mut tokens, mut log_p) = (prompt.as_bytes().to_vec(), 0_usize, 0.0);
    let mut goes_on = write(&text);
    while goes_on && tokens < config.length && !context.watch.stopped() {
        let token = sampling.draw(&logits, rng);
        log_p += log_probability(&logits, token);
        tokens += 1;
        let bytes = detokenizer.push(token)?;
        goes_on = write(&bytes);
        text.extend(bytes);
        logits = reader.next(token)?;
    }
    let rest = detokenizer.finish()?;
    let complete = goes_on && tokens == config.length;
    write(&[&rest[..], b"\n"].concat());
    text.extend(rest);
    let mut rows = Table::new("Generated text", columns());
    for (number, line) in (1_usize..).zip(String::from_utf8_lossy(&text).lines()) {
        rows.push(vec![number.into(), line.into()]);
    }
    let mut report = Report { rows, ..Report::default() };
    report.stamp.push("study", "generate");
    report.stamp.push("run", config.run.display().to_string());
    report.stamp.push("attention", encoder.config().mechanism.spec());
    report.stamp.push("prompt", prompt);
    report.stamp.push("temperature", config.temperature);
    report.stamp.push("top", config.top);
    report.stamp.push("tokens", tokens);
    // Of a token after the prompt, at temperature 1.
    report.stamp.push("mean_log_p", (tokens > 0).then(|| log_p / tokens as f64));
    Ok(Outcome { report, complete })
}

/// ln of the softmax of the logits at a token.
fn log_probability(logits: &[f32], token: u32) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from(x - max).exp()).sum();
    f64::from(logits[token as usize] - max) - sum.ln()
}

fn detokenizer(config: &GenerateConfig, encoder: &Encoder) -> Result<Detokenizer> {
    let (head, vocab) = (encoder.config().head, encoder.config().vocab.unwrap_or(0));
    let opened = match head {
        Head::Tokens => Detokenizer::open(&settled(&config.run), vocab)?,
        _ => None,
    };
    opened.ok_or_else(|| {
        let found = format!("head '{}' over {vocab} tokens", head.name());
        let accepted =
            "a language model of bytes, or of the tokenizer.json beside it (luna train --task language)";
        Error::malformed(&config.run, found, accepted)
    })
}

/// A model that reads a text of any length: where its positions end it starts again from the last half of them.
struct WindowedReader<'a> {
    encoder: &'a Encoder,
    state: DecodingState,
    read: Vec<u32>,
}

impl WindowedReader<'_> {
    /// Reads one more token, and returns the logits of the next.
    fn next(&mut self, token: u32) -> Result<Vec<f32>> {
        let positions = self.encoder.config().positions;
        if positions > 0 && self.state.tokens() >= positions {
            self.state = self.encoder.start()?;
            let dropped = self.read.len() - (positions / 2).min(self.read.len());
            for token in &self.read[dropped..] {
                self.encoder.step(&mut self.state, *token)?;
            }
        }
        self.read.push(token);
        Ok(self.encoder.step(&mut self.state, token)?.to_vec())
    }
}
