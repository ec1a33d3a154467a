//! The tokens of a text: bytes, or those of a tokenizer.

use std::path::Path;

use crate::Result;
use crate::file;
use crate::task::kind;
use crate::task::tokenizer::{EncodedText, TextTokenizer};

/// The tokens of a whole file, and what they are.
pub(super) struct TextTokens {
    pub(super) ids: Vec<u32>,
    /// None where ids are bytes.
    pub(super) tokenizer: Option<TextTokenizer>,
    /// Where each token begins in the text, and the text; none where ids are bytes.
    encoded: Option<(String, Vec<usize>)>,
}

impl TextTokens {
    /// The bytes of a file.
    pub(super) fn bytes(path: &Path) -> Result<Self> {
        let ids = file::bytes(path)?.into_iter().map(u32::from).collect();
        Ok(Self { ids, tokenizer: None, encoded: None })
    }

    /// Its tokens by the tokenizer of another file.
    pub(super) fn of_tokenizer(path: &Path, tokenizer: &Path) -> Result<Self> {
        let tokenizer = TextTokenizer::open(tokenizer)?;
        let text = file::text(path)?;
        let EncodedText { ids, starts } = tokenizer.encode(&text)?;
        Ok(Self { ids, tokenizer: Some(tokenizer), encoded: Some((text, starts)) })
    }

    /// By `tokens`: `bytes`, or the path of a tokenizer.
    pub(super) fn read(path: &Path, tokens: &str) -> Result<Self> {
        match tokens {
            kind::BYTES => Self::bytes(path),
            tokenizer => Self::of_tokenizer(path, Path::new(tokenizer)),
        }
    }

    /// What a token is called.
    pub(super) fn unit(&self) -> &'static str {
        if self.tokenizer.is_none() { "byte" } else { "token" }
    }

    /// The mean number of bytes of a token, over the tokens from `first` on, which is not the text's first.
    ///
    /// None where decoding does not give the text back: its bits are then not known.
    pub(super) fn bytes_per_token(&self, first: usize) -> Result<Option<f64>> {
        let Self { ids, tokenizer, encoded } = self;
        let (Some(tokenizer), Some((text, starts))) = (tokenizer, encoded) else { return Ok(Some(1.0)) };
        let Some(start) = starts.get(first).copied() else { return Ok(None) };
        // A token inside a character belongs to the bytes of the whole character; the token before it tells whether a
        // space begins the text, which some decoders drop.
        let whole = (first.max(1)..starts.len()).find(|at| starts[*at] > starts[at - 1]);
        let Some(at) = whole else { return Ok(None) };
        let (decoded, before) = (tokenizer.decode(&ids[at - 1..])?, tokenizer.decode(&ids[at - 1..at])?);
        let lossless = decoded.strip_prefix(&before) == Some(&text[starts[at]..]);
        Ok(lossless.then(|| (text.len() - start) as f64 / (ids.len() - first) as f64))
    }
}
