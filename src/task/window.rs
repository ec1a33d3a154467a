//! Windows of token ids of a text, as the model's own tokenizer makes them.

use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

use super::tokenizer::{self, Encoded};
use crate::{Error, Result};

/// Text tokens encoded beyond the last one that is needed: the last tokens of a prefix may differ from those of the whole
/// text.
const MARGIN: usize = 64;
/// Bytes of text for each token in the first attempt; a longer prefix follows if there are too few tokens.
const BYTES_A_TOKEN: usize = 6;

/// A text file read through a tokenizer: consecutive windows of n tokens, special tokens included.
pub struct TextWindows {
    tokenizer: Tokenizer,
    path: PathBuf,
    text: String,
    positions: usize,
    before: Vec<u32>,
    after: Vec<u32>,
}

impl TextWindows {
    /// Opens the tokenizer (`tokenizer.json` of a model's folder) and the text.
    ///
    /// `positions` is the length of the longest window that the model takes, in tokens.
    pub fn open(tokenizer: &Path, text: &Path, positions: usize) -> Result<Self> {
        let (tokenizer, before, after) = open_tokenizer(tokenizer)?;
        let path = text.to_path_buf();
        let text = super::text(text)?;
        if text.trim().is_empty() {
            return Err(Error::malformed(path, "no text", "text to split into windows of tokens"));
        }
        Ok(Self { tokenizer, path, text, positions, before, after })
    }

    /// How many tokens of a window are special: before the text's tokens, and after them.
    pub fn special_tokens(&self) -> (usize, usize) {
        (self.before.len(), self.after.len())
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many tokens of the text a window of `n` tokens holds: all but the special ones.
    pub fn step(&self, n: usize) -> Result<usize> {
        let special = self.before.len() + self.after.len();
        if n > self.positions {
            let accepted = format!("at most {}, the model's positions", self.positions);
            return Err(Error::Tokens { what: "a window".into(), found: n, accepted });
        }
        if n <= special {
            let accepted = format!("more than {special}, the special tokens of each window");
            return Err(Error::Tokens { what: "a window".into(), found: n, accepted });
        }
        Ok(n - special)
    }

    /// A window: these tokens of the text between the special ones.
    pub fn framed(&self, tokens: &[u32]) -> Vec<u32> {
        [&self.before[..], tokens, &self.after[..]].concat()
    }

    /// The first `count` windows of `n` tokens each, after the text's first `skip` tokens.
    ///
    /// The text is tokenized as a whole; each window holds the next `n` - (special tokens) of its tokens between
    /// the special ones. Too short a text is an error that says how many windows would fit.
    pub fn windows(&self, n: usize, count: usize, skip: usize) -> Result<Vec<Vec<u32>>> {
        let step = self.step(n)?;
        if count == 0 {
            return Err(Error::value("windows", 0, "at least 1"));
        }
        let needed = count.checked_mul(step).and_then(|tokens| tokens.checked_add(skip));
        let needed = needed.ok_or_else(|| Error::value("windows", count, "fewer, or shorter ones"))?;
        let tokens = self.beginning(needed)?.0.ids;
        if tokens.len() < needed {
            let fit = tokens.len().saturating_sub(skip) / step;
            return Err(self.too_short(tokens.len(), (n, step), count, skip, fit));
        }
        Ok(tokens[skip..needed].chunks_exact(step).map(|tokens| self.framed(tokens)).collect())
    }

    /// The error of a text of `found` tokens that `count` windows of `n` (`step` of them text) do not fit in.
    pub fn too_short(
        &self,
        found: usize,
        (n, step): (usize, usize),
        count: usize,
        skip: usize,
        fit: usize,
    ) -> Error {
        let needed = count.saturating_mul(step).saturating_add(skip);
        let accepted = format!(
            "{count} {} of {n} need {needed} ({skip} skipped, {step} of text each); {fit} would fit",
            if count == 1 { "window" } else { "windows" }
        );
        Error::Tokens { what: format!("'{}'", self.path.display()), found, accepted }
    }

    /// At least the first `needed` tokens of the text without special tokens, or all of them if there are fewer; and how
    /// many bytes of the text they are of.
    ///
    /// Only a prefix of the text is tokenized, cut behind a word and grown until it is long enough.
    pub fn beginning(&self, needed: usize) -> Result<(Encoded, usize)> {
        self.tokens_from(0, needed)
    }

    /// As [`beginning`](Self::beginning), of the text from the byte `from` on, which must begin a character. Starts of
    /// tokens count from there.
    pub fn tokens_from(&self, from: usize, needed: usize) -> Result<(Encoded, usize)> {
        let text = &self.text[from..];
        let enough = needed.saturating_add(MARGIN);
        let mut bytes = enough.saturating_mul(BYTES_A_TOKEN);
        loop {
            let prefix = prefix(text, bytes);
            let tokens = self.encode(prefix)?;
            if prefix.len() == text.len() || tokens.ids.len() >= enough {
                return Ok((tokens, prefix.len()));
            }
            bytes = bytes.max(prefix.len()).saturating_mul(2);
        }
    }

    /// Every token of the text. It is cut behind line ends into pieces that are tokenized side by side: at such a cut
    /// the tokens may differ from those of the whole.
    pub fn whole(&self) -> Result<Encoded> {
        tokenizer::in_pieces(&self.text, |piece| self.encode(piece))
    }

    fn encode(&self, text: &str) -> Result<Encoded> {
        tokenizer::encode(&self.tokenizer, text).map_err(|error| {
            Error::malformed(
                &self.path,
                format!("the tokenizer fails on it: {error}"),
                "text that it can encode",
            )
        })
    }
}

/// The shortest prefix of at least `bytes` that ends after a word: with white space after it and none before.
fn prefix(text: &str, bytes: usize) -> &str {
    let mut word_ends = text.char_indices().skip_while(|(at, _)| *at < bytes).peekable();
    let Some((start, _)) = word_ends.peek().copied() else { return text };
    let mut in_word = text[..start].chars().next_back().is_some_and(|c| !c.is_whitespace());
    for (at, c) in word_ends {
        if in_word && c.is_whitespace() {
            return &text[..at];
        }
        in_word = !c.is_whitespace();
    }
    text
}

/// The tokenizer without the truncation and padding that it was saved with, and the special tokens that it puts before and
/// after a text.
fn open_tokenizer(path: &Path) -> Result<(Tokenizer, Vec<u32>, Vec<u32>)> {
    let accepted = "a tokenizer.json of Hugging Face's tokenizers (or give token ids with --tokens FILE)";
    if !path.exists() {
        return Err(Error::malformed(path, "no such file", accepted));
    }
    let bytes = crate::file::bytes(path)?;
    let mut tokenizer = tokenizer::parse(&bytes).map_err(|error| Error::malformed(path, error, accepted))?;
    tokenizer.with_truncation(None).map_err(|error| Error::malformed(path, error, accepted))?;
    tokenizer.with_padding(None);
    let probe = |special| {
        tokenizer
            .encode("a", special)
            .map_err(|error| Error::malformed(path, error, "one that can encode 'a'"))
    };
    let (plain, framed) = (probe(false)?, probe(true)?);
    let (plain, ids) = (plain.get_ids(), framed.get_ids());
    let mask = framed.get_special_tokens_mask();
    let before = mask.iter().take_while(|special| **special == 1).count();
    let after = ids.len().saturating_sub(before + plain.len());
    if plain.is_empty() || ids.get(before..before + plain.len()) != Some(plain) {
        let what = "its post-processor does not frame a text with special tokens";
        return Err(Error::malformed(path, what, "special tokens before and after (or give --tokens FILE)"));
    }
    let (before, after) = (ids[..before].to_vec(), ids[ids.len() - after..].to_vec());
    Ok((tokenizer, before, after))
}
