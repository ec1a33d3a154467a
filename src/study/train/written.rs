//! A text to model, in bytes or in the tokens of a tokenizer.

use std::path::Path;

use crate::error::Result;
use crate::model::BYTES;
use crate::task;
use crate::task::language::{self, Language};
use crate::task::tokenizer::{Encoded, TextTokenizer};

/// Where a network's tokens are those of the file `tokenizer.json` beside it.
pub(in crate::study) const TOKENIZER: &str = "tokenizer.json";

/// A text, and what its tokens are.
pub(in crate::study) struct Written {
    pub(in crate::study) tokenizer: Option<TextTokenizer>,
    /// Bytes of text that a token of what is judged stands for in the mean; none where the tokenizer loses some of the
    /// text, of which nobody can say how many bits it has.
    bytes_a_token: Option<f64>,
}

impl Written {
    /// A file in windows of n tokens, its end held out; `by` is `bytes` or the path of a tokenizer.
    pub(super) fn read(path: &Path, by: &str, n: usize, validation: f64) -> Result<(Language, Self)> {
        if by == BYTES {
            let language = Language::read(path, n, validation)?;
            return Ok((language, Self { tokenizer: None, bytes_a_token: Some(1.0) }));
        }
        let tokenizer = TextTokenizer::open(Path::new(by))?;
        let text = task::text(path)?;
        let encoded = tokenizer.encode(&text)?;
        let what = format!("'{}'", path.display());
        let language = Language::new(&what, encoded.ids.clone(), n, validation)?;
        let bytes_a_token = bytes_a_token(&tokenizer, &text, &encoded, language.training().len())?;
        Ok((language, Self { tokenizer: Some(tokenizer), bytes_a_token }))
    }

    /// How many tokens there are.
    pub(super) fn size(&self) -> usize {
        self.tokenizer.as_ref().map_or(language::BYTES, TextTokenizer::size)
    }

    /// Bits a byte of text for a loss of 1 nat a token.
    pub(super) fn bits_a_nat(&self) -> Option<f64> {
        self.bytes_a_token.map(|bytes| 1.0 / (bytes * std::f64::consts::LN_2))
    }
}

/// The mean over the tokens from `first` on, which is not the text's first, if they say their text back.
pub(in crate::study) fn bytes_a_token(
    tokenizer: &TextTokenizer,
    text: &str,
    encoded: &Encoded,
    first: usize,
) -> Result<Option<f64>> {
    let Encoded { ids, starts } = encoded;
    let Some(start) = starts.get(first).copied() else { return Ok(None) };
    // A token inside a character belongs to the bytes of the whole of it; the token in front says whether a space is
    // the beginning of a text, which some decoders take away.
    let whole = (first.max(1)..starts.len()).find(|at| starts[*at] > starts[at - 1]);
    let Some(at) = whole else { return Ok(None) };
    let (said, before) = (tokenizer.decode(&ids[at - 1..])?, tokenizer.decode(&ids[at - 1..at])?);
    let lossless = said.strip_prefix(&before) == Some(&text[starts[at]..]);
    Ok(lossless.then(|| (text.len() - start) as f64 / (ids.len() - first) as f64))
}
