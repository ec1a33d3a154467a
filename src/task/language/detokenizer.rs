//! The text of tokens that come one at a time.

use std::path::Path;

use super::windows::BYTES;
use crate::task::tokenizer::TextTokenizer;
use crate::{Error, Result};

/// Tokens of an incomplete character that wait for the rest of it; after so many they are written as they are.
const MAX_WAITING: usize = 8;

/// Turns tokens into text, one at a time: a character of several tokens is written when it is complete.
pub enum Detokenizer {
    /// Tokens are bytes.
    Bytes,
    /// Tokens are those of a tokenizer.
    Tokens {
        /// The tokenizer.
        tokenizer: Box<TextTokenizer>,
        /// The tokens of the last text that was written, which the next text may depend on: a decoder may put a space
        /// between them, or join bytes to a character.
        written: Vec<u32>,
        /// Tokens that are not written yet.
        waiting: Vec<u32>,
    },
}

impl Detokenizer {
    /// For a language model over `vocab` tokens in the folder `dir`: by its `tokenizer.json`, or bytes; none if the
    /// tokens are neither.
    pub fn open(dir: &Path, vocab: usize) -> Result<Option<Self>> {
        let path = dir.join(crate::task::kind::TOKENIZER);
        if path.exists() {
            let tokenizer = TextTokenizer::open(&path)?;
            if tokenizer.size() == vocab {
                return Ok(Some(Self::of(tokenizer)));
            }
        }
        Ok((vocab == BYTES).then_some(Self::Bytes))
    }

    /// For the tokens of a tokenizer.
    pub fn of(tokenizer: TextTokenizer) -> Self {
        Self::Tokens { tokenizer: Box::new(tokenizer), written: Vec::new(), waiting: Vec::new() }
    }

    /// The tokens of a prompt, whose text is before that of the tokens to come.
    pub fn prompt(&mut self, prompt: &str) -> Result<Vec<u32>> {
        let Self::Tokens { tokenizer, written, .. } = self else {
            return Ok(prompt.bytes().map(u32::from).collect());
        };
        let ids = tokenizer.encode(prompt)?.ids;
        if ids.is_empty() {
            return Err(Error::value("--prompt", prompt, "a text of at least one token"));
        }
        written.clone_from(&ids);
        Ok(ids)
    }

    /// The bytes that can be written with this token: none while a character is incomplete.
    pub fn push(&mut self, token: u32) -> Result<Vec<u8>> {
        let Self::Tokens { tokenizer, written, waiting } = self else { return Ok(vec![token as u8]) };
        waiting.push(token);
        let text = tokenizer.decode(&[&written[..], waiting].concat())?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) && waiting.len() < MAX_WAITING {
            return Ok(Vec::new());
        }
        let before = tokenizer.decode(written)?.len();
        *written = std::mem::take(waiting);
        Ok(text.get(before..).unwrap_or_default().as_bytes().to_vec())
    }

    /// The bytes of the tokens that still wait, at the end of the text.
    pub fn finish(&mut self) -> Result<Vec<u8>> {
        let Self::Tokens { tokenizer, written, waiting } = self else { return Ok(Vec::new()) };
        let text = tokenizer.decode(&[&written[..], waiting].concat())?;
        let before = tokenizer.decode(written)?.len();
        Ok(text.get(before..).unwrap_or_default().as_bytes().to_vec())
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
            let mut detokenizer = Detokenizer::of(tokenizer.clone());
            let first = detokenizer.prompt(prompt).expect("tokens").len();
            let mut written: Vec<u8> =
                whole[first..].iter().flat_map(|token| detokenizer.push(*token).expect("a token")).collect();
            written.extend(detokenizer.finish().expect("the rest"));
            assert_eq!(String::from_utf8(written).expect("characters"), text);
        }
    }
}
