//! `luna generate`: text from a trained language model of bytes.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{Failure, Global, interrupt};
use crate::error::{Error, Result};
use crate::model::embedded;
use crate::model::encoder::{DecodingState, Encoder, Head};
use crate::rng::stream;
use crate::train::sample::Sampling;

/// What `luna generate` takes.
#[derive(Args, Clone, Debug)]
pub struct Generate {
    /// Folder of a training with --task language, or byte-transformer (embedded)
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Text to go on from
    #[arg(long, value_name = "TEXT", default_value = "\n")]
    prompt: String,
    /// Bytes to write behind the prompt
    #[arg(long, value_name = "N", default_value_t = 500)]
    length: usize,
    /// Below 1 keeps to what is likely; 0 takes the likeliest byte
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f64,
    /// Draw from so many of the likeliest bytes only
    #[arg(long, value_name = "K")]
    top: Option<usize>,
}

/// A model that reads on, however long the text: where its positions end it begins anew with the last half of them.
struct Reader<'a> {
    encoder: &'a Encoder,
    state: DecodingState,
    read: Vec<u32>,
}

impl Reader<'_> {
    fn next(&mut self, token: u32) -> Result<Vec<f32>> {
        let positions = self.encoder.config().positions;
        if positions > 0 && self.state.tokens() >= positions {
            self.state = self.encoder.start()?;
            let kept = self.read.len() - (positions / 2).min(self.read.len());
            for token in &self.read[kept..] {
                self.encoder.step(&mut self.state, *token)?;
            }
        }
        self.read.push(token);
        Ok(self.encoder.step(&mut self.state, token)?.to_vec())
    }
}

impl Generate {
    /// Writes the prompt and what follows, byte by byte as it is drawn.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let sampling = Sampling::new(self.temperature, self.top)?;
        if self.prompt.is_empty() {
            return Err(Error::value("--prompt", "''", "a byte or more").into());
        }
        let embedded = self.run.to_str().and_then(embedded::folder).filter(|_| !self.run.exists());
        let encoder = Encoder::open(embedded.as_deref().unwrap_or(&self.run))?;
        let config = encoder.config();
        if config.head != Head::Tokens || config.vocab != Some(256) {
            let found = format!("head '{}' over {} tokens", config.head.name(), config.vocab.unwrap_or(0));
            let what = "a language model of bytes (luna train --task language)";
            return Err(Error::malformed(&self.run, found, what).into());
        }
        let stop = interrupt::watch();
        let rng = &mut stream(global.seed, "generate");
        let mut reader = Reader { encoder: &encoder, state: encoder.start()?, read: Vec::new() };
        let mut logits = Vec::new();
        for byte in self.prompt.bytes() {
            logits = reader.next(u32::from(byte))?;
        }
        out.write_all(self.prompt.as_bytes())?;
        for _ in 0..self.length {
            if stop.load(std::sync::atomic::Ordering::Relaxed) {
                break;
            }
            let token = sampling.draw(&logits, rng);
            out.write_all(&[token as u8])?;
            if token == u32::from(b'\n') {
                out.flush()?;
            }
            logits = reader.next(token)?;
        }
        Ok(writeln!(out)?)
    }
}
