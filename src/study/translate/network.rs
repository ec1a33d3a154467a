//! A trained encoder-decoder with its vocabulary.

use std::path::Path;

use crate::error::{Error, Result};
use crate::model::settled;
use crate::network::translator::{Beam, Translator};
use crate::task::TOKENIZER;
use crate::task::batch::PAD;
use crate::task::bpe::{BEGIN, END, UNKNOWN, Vocabulary};

/// A translation has at most so many tokens more than twice its source.
const MORE_TOKENS: usize = 10;

/// A network and its vocabulary.
pub(super) struct TranslationNetwork {
    pub(super) translator: Translator,
    vocabulary: Vocabulary,
}

impl TranslationNetwork {
    /// Opens the best network of a run.
    pub(super) fn open(run: &Path) -> Result<Self> {
        let translator = Translator::open(run)?;
        let path = settled(run).join(TOKENIZER);
        let vocabulary = Vocabulary::open(&path)?;
        let size = translator.config().encoder.vocab.unwrap_or(0);
        if vocabulary.size() != size {
            let found = format!("{} tokens", vocabulary.size());
            return Err(Error::malformed(&path, found, format!("{size}, as the network has")));
        }
        Ok(Self { translator, vocabulary })
    }

    /// The translation of a line, which errors call `what`; an empty one of a blank line.
    pub(super) fn translate(&self, line: &str, what: &dyn Fn() -> String, beam: &Beam<'_>) -> Result<String> {
        if line.trim().is_empty() {
            return Ok(String::new());
        }
        let mut source = self.vocabulary.encode(line)?;
        source.push(END);
        let positions = self.translator.config().encoder.positions;
        let room = if positions == 0 { usize::MAX } else { positions };
        if source.len() > room {
            let accepted = format!("at most {positions}, the positions of this network, the end included");
            return Err(Error::Tokens { what: what(), found: source.len(), accepted });
        }
        // The token that begins a text takes a position too, and the one that ends it none.
        let beam = Beam { max_length: (2 * source.len() + MORE_TOKENS + 1).min(room), ..*beam };
        let found = beam.search(&self.translator, self.translator.start(&source)?)?;
        let text = self.vocabulary.decode(found.first().map_or(&[], |best| &best.tokens))?;
        // A newline in a translation would make two lines of one.
        Ok(text.replace(['\n', '\r'], " "))
    }
}

/// A search for the best translation.
pub(super) fn beam(width: usize, length_penalty: f64) -> Result<Beam<'static>> {
    const NEVER: &[u32] = &[PAD, BEGIN, UNKNOWN];
    let beam = Beam { width, length_penalty, max_length: 1, best: 1, begin: BEGIN, end: END, never: NEVER };
    beam.check()?;
    Ok(beam)
}
