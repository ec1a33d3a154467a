//! A tokenizer from a `tokenizer.json`: texts to tokens, with the byte at which each begins, and back.

use std::path::Path;

use rayon::prelude::*;
use tokenizers::{PostProcessorWrapper, Tokenizer};

use super::short;
use crate::file::{self, save_text};
use crate::{Error, Result};

const LAYOUT: &str = "a tokenizer.json of Hugging Face's tokenizers";

/// Bytes of text that are encoded at once: encoding takes much more memory than the text.
const PIECE: usize = 1 << 16;

/// Texts to tokens and back, without the special tokens that a classifier expects around a text.
#[derive(Clone)]
pub struct TextTokenizer {
    pub(super) tokenizer: Tokenizer,
}

/// A tokenizer from the bytes of its file.
///
/// By `FromStr`: `Tokenizer::from_bytes` is generic, and its whole reader would be compiled into this crate and its tests.
pub(super) fn parse(bytes: &[u8]) -> tokenizers::Result<Tokenizer> {
    std::str::from_utf8(bytes)?.parse()
}

/// The tokens of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedText {
    /// Their ids.
    pub ids: Vec<u32>,
    /// The byte of the text at which each begins: non-decreasing.
    pub starts: Vec<usize>,
}

impl TextTokenizer {
    /// Opens a `tokenizer.json`, without the truncation, padding and special tokens around a text that it may ask for.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = file::bytes(path)?;
        let malformed = |error: tokenizers::Error| Error::malformed(path, error, LAYOUT);
        let mut tokenizer = parse(&bytes).map_err(malformed)?;
        tokenizer.with_truncation(None).map_err(malformed)?.with_padding(None);
        // It would also remove spaces from the bytes of a token.
        tokenizer.with_post_processor(None::<PostProcessorWrapper>);
        tokenizer.set_encode_special_tokens(true);
        let opened = Self { tokenizer };
        if opened.size() == 0 {
            return Err(Error::malformed(path, "no tokens", LAYOUT));
        }
        Ok(opened)
    }

    /// The number of tokens: every token id is below it.
    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1)
    }

    /// The tokens of a text, which is split after line ends (or, where there are none, spaces) into pieces that are encoded
    /// one by one: around such a split the tokens may differ from those of the whole text.
    pub fn encode(&self, text: &str) -> Result<EncodedText> {
        let at_once = |piece: &str| {
            encode(&self.tokenizer, piece)
                .map_err(|error| Error::value("text to encode", short(&piece), error.to_string()))
        };
        in_pieces(text, at_once)
    }

    /// The text of tokens; special ones are skipped, and bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        if let Some(token) = tokens.iter().find(|token| self.tokenizer.id_to_token(**token).is_none()) {
            return Err(Error::value("token to decode", token, "one of the vocabulary"));
        }
        let text = self.tokenizer.decode(tokens, true);
        text.map_err(|error| Error::value("tokens to decode", tokens.len(), error.to_string()))
    }

    /// Writes it as a `tokenizer.json`, atomically.
    pub fn save(&self, path: &Path) -> Result<()> {
        save_text(path, &self.json()?)
    }

    /// What [`save`](Self::save) writes.
    pub fn json(&self) -> Result<String> {
        let json = self.tokenizer.to_string(false);
        let json = json.map_err(|error| Error::value("tokenizer", error, "one that can be written"))?;
        Ok(json + "\n")
    }
}

/// The tokens of a text that is encoded as a whole.
pub(super) fn encode(tokenizer: &Tokenizer, text: &str) -> tokenizers::Result<EncodedText> {
    let encoding = tokenizer.encode(text, false)?;
    let mut starts: Vec<usize> = encoding.get_offsets().iter().map(|(start, _)| *start).collect();
    // Tokens of one character share its start; no token begins before the previous one.
    for i in 1..starts.len() {
        starts[i] = starts[i].max(starts[i - 1]);
    }
    Ok(EncodedText { ids: encoding.get_ids().to_vec(), starts })
}

/// The tokens of a text that is split into pieces, which are encoded in parallel.
pub(super) fn in_pieces(
    text: &str,
    encode: impl Fn(&str) -> Result<EncodedText> + Sync,
) -> Result<EncodedText> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let piece = piece(&text[at..]);
        pieces.push((at, piece));
        at += piece.len();
    }
    let encoded: Vec<EncodedText> =
        pieces.par_iter().map(|(_, piece)| encode(piece)).collect::<Result<_>>()?;
    let mut all = EncodedText::default();
    for ((at, _), part) in pieces.into_iter().zip(encoded) {
        all.ids.extend(part.ids);
        all.starts.extend(part.starts.into_iter().map(|start| at + start));
    }
    Ok(all)
}

/// The beginning of a text, to be encoded at once.
fn piece(text: &str) -> &str {
    let max = (0..=PIECE.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    if max == text.len() {
        return text;
    }
    let end = text[..max].rfind('\n').or_else(|| text[..max].rfind(' '));
    &text[..end.map_or(max, |end| end + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::bpe::Vocabulary;

    /// Byte pairs of a few words.
    fn words(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("tokenizer.json");
        let texts = ["the cat and the dog and the bird"; 9];
        Vocabulary::train(texts.into_iter(), 300).unwrap().save(&path).unwrap();
        path
    }

    #[test]
    fn tokens_know_their_bytes_across_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = TextTokenizer::open(&words(folder.path())).unwrap();
        let text = "the cat \u{e4} and\nthe dog </s> \u{1F980}".repeat(4000);
        let EncodedText { ids, starts } = tokenizer.encode(&text).unwrap();
        assert_eq!(ids.len(), starts.len());
        assert!(ids.len() < text.len() * 2 / 3, "words are tokens");
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        assert!(starts.is_sorted() && starts[0] == 0 && *starts.last().unwrap() < text.len());
        // From any token that begins a character on, its text is that of the bytes after its start.
        for at in [1, ids.len() / 2, ids.len() - 40] {
            let at = (at..ids.len()).find(|at| starts[*at] > starts[at - 1]).unwrap();
            assert_eq!(tokenizer.decode(&ids[at..]).unwrap(), text[starts[at]..], "{at}");
        }
        assert_eq!(tokenizer.encode("").unwrap(), EncodedText::default());
        assert!(tokenizer.decode(&[9999]).is_err());
        assert!(ids.iter().all(|id| (*id as usize) < tokenizer.size()));
    }

    #[test]
    fn files_that_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, "{}").unwrap();
        let error = TextTokenizer::open(&path).err().unwrap().to_string();
        assert!(error.contains("tokenizer.json of Hugging Face's"), "{error}");
        assert!(TextTokenizer::open(&folder.path().join("none")).is_err());
    }
}
