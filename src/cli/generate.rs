//! `luna generate`: text from a trained language model.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Global, interrupt};
use crate::error::{Error, Result};
use crate::model::{embedded, settled};
use crate::network::{DecodingState, Encoder, EncoderConfig, Head};
use crate::rng::stream;
use crate::task::language::BYTES;
use crate::task::tokenizer::TextTokenizer;
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
    /// Bytes, or tokens of the training's tokenizer, to write behind the prompt
    #[arg(long, value_name = "N", default_value_t = 500)]
    length: usize,
    /// Below 1 keeps to what is likely; 0 takes the likeliest
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f64,
    /// Draw from so many of the likeliest only
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

/// What tokens stand for.
enum Alphabet {
    Bytes,
    /// The tokens of what was written last, which the text of the next may depend on (a decoder may join it to what is
    /// in front by a space, or take bytes in a row as one), and those that are not written yet.
    Tokens {
        tokenizer: Box<TextTokenizer>,
        last: Vec<u32>,
        waiting: Vec<u32>,
    },
}

impl Alphabet {
    fn of(run: &Path, config: &EncoderConfig) -> Result<Self> {
        let vocab = config.vocab.unwrap_or(0);
        let tokenizer = settled(run).join("tokenizer.json");
        if config.head == Head::Tokens && tokenizer.exists() {
            let tokenizer = Box::new(TextTokenizer::open(&tokenizer)?);
            if tokenizer.size() == vocab {
                return Ok(Self::Tokens { tokenizer, last: Vec::new(), waiting: Vec::new() });
            }
        }
        if config.head == Head::Tokens && vocab == BYTES {
            return Ok(Self::Bytes);
        }
        let found = format!("head '{}' over {vocab} tokens", config.head.name());
        let what =
            "a language model of bytes, or of the tokenizer.json beside it (luna train --task language)";
        Err(Error::malformed(run, found, what))
    }

    /// The tokens of what stands in front.
    fn read(&mut self, prompt: &str) -> Result<Vec<u32>> {
        let Self::Tokens { tokenizer, last, .. } = self else {
            return Ok(prompt.bytes().map(u32::from).collect());
        };
        let ids = tokenizer.encode(prompt)?.ids;
        if ids.is_empty() {
            return Err(Error::value("--prompt", prompt, "text of a token or more"));
        }
        last.clone_from(&ids);
        Ok(ids)
    }

    /// What can be written now that this token is there: parts of a character wait for the rest of it.
    fn say(&mut self, token: u32) -> Result<Vec<u8>> {
        let Self::Tokens { tokenizer, last, waiting } = self else { return Ok(vec![token as u8]) };
        waiting.push(token);
        let text = tokenizer.decode(&[&last[..], waiting].concat())?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) && waiting.len() < WAIT {
            return Ok(Vec::new());
        }
        let written = tokenizer.decode(last)?.len();
        *last = std::mem::take(waiting);
        Ok(text.get(written..).unwrap_or_default().as_bytes().to_vec())
    }

    /// What is still waiting, at the end.
    fn rest(&mut self) -> Result<Vec<u8>> {
        let Self::Tokens { tokenizer, last, waiting } = self else { return Ok(Vec::new()) };
        let text = tokenizer.decode(&[&last[..], waiting].concat())?;
        let written = tokenizer.decode(last)?.len();
        Ok(text.get(written..).unwrap_or_default().as_bytes().to_vec())
    }
}

/// Tokens that may be parts of one character before they are written as they are.
const WAIT: usize = 8;

impl Generate {
    /// Writes the prompt and what follows, as it is drawn.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let sampling = Sampling::new(self.temperature, self.top)?;
        // A prompt that a shell took from a file may begin with its byte order mark.
        let prompt = self.prompt.strip_prefix('\u{feff}').unwrap_or(&self.prompt);
        if prompt.is_empty() {
            return Err(Error::value("--prompt", "''", "a letter or more").into());
        }
        let encoder = Encoder::open(&embedded::or_disk(&self.run)?)?;
        let config = encoder.config();
        let mut alphabet = Alphabet::of(&self.run, config)?;
        let stop = interrupt::watch();
        let rng = &mut stream(global.seed, "generate");
        let mut reader = Reader { encoder: &encoder, state: encoder.start()?, read: Vec::new() };
        let mut logits = Vec::new();
        for token in alphabet.read(prompt)? {
            logits = reader.next(token)?;
        }
        out.write_all(prompt.as_bytes())?;
        for _ in 0..self.length {
            if stop.load(std::sync::atomic::Ordering::Relaxed) {
                break;
            }
            let token = sampling.draw(&logits, rng);
            let said = alphabet.say(token)?;
            out.write_all(&said)?;
            if said.contains(&b'\n') {
                out.flush()?;
            }
            logits = reader.next(token)?;
        }
        out.write_all(&alphabet.rest()?)?;
        Ok(writeln!(out)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokenizer of the llama kind: pieces with their spaces, and bytes for what it has no piece for.
    fn pieces(folder: &Path) -> TextTokenizer {
        let bytes = (0..=255).map(|byte| format!(r#""<0x{byte:02X}>": {byte}"#));
        let words =
            ["\u{2581}", "a", "b", "?"].iter().zip(256..).map(|(word, id)| format!(r#""{word}": {id}"#));
        let vocab = bytes.chain(words).collect::<Vec<_>>().join(", ");
        let text = format!(
            r#"{{"version": "1.0", "added_tokens": [],
            "normalizer": {{"type": "Replace", "pattern": {{"String": " "}}, "content": "▁"}},
            "decoder": {{"type": "Sequence", "decoders": [
                {{"type": "Replace", "pattern": {{"String": "▁"}}, "content": " "}},
                {{"type": "ByteFallback"}}, {{"type": "Fuse"}}]}},
            "model": {{"type": "BPE", "vocab": {{{vocab}}}, "merges": [], "byte_fallback": true, "unk_token": "?"}}}}"#
        );
        let path = folder.join("tokenizer.json");
        std::fs::write(&path, text).expect("a file");
        TextTokenizer::open(&path).expect("a tokenizer")
    }

    #[test]
    fn characters_of_several_tokens_are_written_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let tokenizer = pieces(folder.path());
        for (prompt, text) in [("a", " \u{1F980}\u{1F980} b\n\u{e4}a\n"), ("a\u{1F980}", "\u{1F980}b \u{e4}")]
        {
            let whole = tokenizer.encode(&format!("{prompt}{text}")).expect("tokens").ids;
            let (last, waiting) = (Vec::new(), Vec::new());
            let mut alphabet = Alphabet::Tokens { tokenizer: Box::new(tokenizer.clone()), last, waiting };
            let front = alphabet.read(prompt).expect("tokens").len();
            let mut said: Vec<u8> =
                whole[front..].iter().flat_map(|token| alphabet.say(*token).expect("a token")).collect();
            said.extend(alphabet.rest().expect("the rest"));
            assert_eq!(String::from_utf8(said).expect("characters"), text);
        }
    }
}
