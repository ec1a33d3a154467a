//! A byte-pair vocabulary, learned from texts (Sennrich et al. 2016; over bytes as in GPT-2).
//!
//! Every byte is a token, so that every text can be encoded and decoded exactly; the others are the pairs that occurred
//! most often inside words. The first four tokens are special and have no text: a text that spells one (`</s>`) is encoded
//! as ordinary tokens. A vocabulary is saved as the `tokenizer.json` of Hugging Face's tokenizers.

use std::path::Path;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use super::batch::PAD;
use super::short;
use super::tokenizer::{TextTokenizer, parse};
use crate::{Error, Result, file};

/// The token before a text that is to be written.
pub const BEGIN: u32 = 1;
/// The token after a text.
pub const END: u32 = 2;
/// The token of unknown text. A vocabulary of bytes never needs it; it keeps the usual number.
pub const UNKNOWN: u32 = 3;
/// The special tokens, by number: [`PAD`], [`BEGIN`], [`END`], [`UNKNOWN`].
pub const SPECIAL: [&str; 4] = ["<pad>", "<s>", "</s>", "<unk>"];

/// The smallest vocabulary: the special tokens and the bytes.
pub const MIN_SIZE: usize = SPECIAL.len() + 256;

/// The largest: training allocates memory for the size that was asked for.
pub const MAX_SIZE: usize = 1 << 20;

/// What must be decoded exactly: no space at the beginning, one at the end, a special token spelled out, bytes of every
/// kind.
const PROBE: &str = "a  </s>\t\u{0} \u{e4}\u{1F980}\n ";

const LAYOUT: &str = "a tokenizer.json of byte pairs whose first tokens are <pad>, <s>, </s> and <unk>";

/// Texts to tokens and back.
#[derive(Clone)]
pub struct Vocabulary {
    text: TextTokenizer,
}

impl Vocabulary {
    /// Learns a vocabulary of `size` tokens from texts, or of fewer if they have too few pairs; the same texts give
    /// the same vocabulary.
    pub fn train<'a>(texts: impl Iterator<Item = &'a str> + Send, size: usize) -> Result<Self> {
        if !(MIN_SIZE..=MAX_SIZE).contains(&size) {
            let accepted =
                format!("{MIN_SIZE} (256 bytes and {} special tokens) to {MAX_SIZE}", SPECIAL.len());
            return Err(Error::value("tokens of a vocabulary", size, accepted));
        }
        let fails =
            |error| Error::value("texts to learn a vocabulary from", error, "texts that can be split");
        let model = BPE::builder().unk_token(SPECIAL[UNKNOWN as usize].into()).build().map_err(fails)?;
        let mut tokenizer = Tokenizer::new(model);
        // No space is added at the beginning: decoding gives back the text to the byte.
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, false, true)));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        let trainer = BpeTrainer::builder()
            .vocab_size(size)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(SPECIAL.map(|name| AddedToken::from(name, true)).to_vec())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        tokenizer.train(&mut TrainerWrapper::from(trainer), texts).map_err(fails)?;
        tokenizer.set_encode_special_tokens(true);
        Ok(Self { text: TextTokenizer { tokenizer } })
    }

    /// Opens a vocabulary that was saved, or one of another program that has the same special tokens and is lossless.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = file::bytes(path)?;
        let malformed = |what: String| Error::malformed(path, what, LAYOUT);
        let mut tokenizer = parse(&bytes).map_err(|error| malformed(error.to_string()))?;
        tokenizer.with_truncation(None).map_err(|error| malformed(error.to_string()))?.with_padding(None);
        tokenizer.set_encode_special_tokens(true);
        if !matches!(tokenizer.get_model(), ModelWrapper::BPE(_)) {
            return Err(malformed("its model is not of byte pairs".into()));
        }
        for (name, id) in SPECIAL.iter().zip(PAD..) {
            match tokenizer.token_to_id(name) {
                Some(found) if found == id => {}
                Some(found) => return Err(malformed(format!("token '{name}' has number {found}, not {id}"))),
                None => return Err(malformed(format!("no token '{name}'"))),
            }
        }
        let missing =
            ByteLevel::alphabet().into_iter().filter(|c| tokenizer.token_to_id(&c.to_string()).is_none());
        if let Some(c) = missing.min() {
            return Err(malformed(format!("no token for the byte written '{c}'")));
        }
        let vocabulary = Self { text: TextTokenizer { tokenizer } };
        let back = vocabulary.encode(PROBE).and_then(|ids| vocabulary.decode(&ids))?;
        if back != PROBE {
            return Err(malformed(format!("{PROBE:?} is decoded as {back:?}")));
        }
        Ok(vocabulary)
    }

    /// Writes the vocabulary as a `tokenizer.json`, atomically.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.text.save(path)
    }

    /// What [`save`](Self::save) writes.
    pub fn json(&self) -> Result<String> {
        self.text.json()
    }

    /// The number of tokens: every token id is below it.
    pub fn size(&self) -> usize {
        self.text.size()
    }

    /// The tokens of a text, without special ones; none of an empty text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.text.tokenizer.encode_fast(text, false);
        let encoding =
            encoding.map_err(|error| Error::value("text to encode", short(&text), error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens; special ones are skipped.
    ///
    /// Tokens that a model writes need not form UTF-8: invalid bytes become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.text.decode(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXTS: [&str; 4] = [
        "A man in a blue shirt is standing on a ladder.",
        "Ein Mann in einem blauen Hemd steht auf einer Leiter.",
        "Two men are standing at the stove, preparing food.",
        "Zwei Männer stehen am Herd und bereiten Essen zu. Zwei Männer stehen.",
    ];

    fn vocabulary() -> Vocabulary {
        Vocabulary::train(TEXTS.into_iter(), 290).unwrap()
    }

    #[test]
    fn the_commonest_pairs_become_tokens() {
        let vocabulary = vocabulary();
        assert_eq!(vocabulary.size(), 290);
        let ids = vocabulary.encode(" Männer stehen").unwrap();
        assert!(ids.len() <= 5, "{ids:?}");
        assert!(ids.iter().all(|id| *id >= SPECIAL.len() as u32));
        assert!(vocabulary.encode("").unwrap().is_empty());
        let whole = Vocabulary::train(TEXTS.into_iter(), 5000).unwrap();
        assert_eq!(whole.size(), 293, "no more pairs than occur twice");
        assert_eq!(Vocabulary::train([].into_iter(), 300).unwrap().size(), MIN_SIZE);
    }

    #[test]
    fn the_same_texts_give_the_same_vocabulary() {
        let json = |vocabulary: Vocabulary| vocabulary.json().unwrap();
        assert_eq!(json(vocabulary()), json(vocabulary()));
    }

    #[test]
    fn special_tokens_stand_for_no_text() {
        let vocabulary = vocabulary();
        let text = "a </s> b <pad><s><unk>";
        let ids = vocabulary.encode(text).unwrap();
        assert!(ids.iter().all(|id| *id >= SPECIAL.len() as u32), "{ids:?}");
        assert_eq!(vocabulary.decode(&[&[BEGIN], &ids[..], &[END, PAD]].concat()).unwrap(), text);
        let texts = ["</s></s></s> <pad> <pad>", "<s> <s><s>"];
        let learned = Vocabulary::train(texts.into_iter(), 400).unwrap();
        assert!(learned.encode(texts[0]).unwrap().iter().all(|id| *id >= SPECIAL.len() as u32));
    }

    #[test]
    fn a_saved_vocabulary_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        let vocabulary = vocabulary();
        vocabulary.save(&path).unwrap();
        let opened = Vocabulary::open(&path).unwrap();
        assert_eq!(opened.size(), vocabulary.size());
        let text = "Ein Mann </s>\u{1F980} steht.";
        assert_eq!(opened.encode(text).unwrap(), vocabulary.encode(text).unwrap());
        assert_eq!(opened.decode(&opened.encode(text).unwrap()).unwrap(), text);
        let error = vocabulary.save(&folder.path().join("no/folder")).unwrap_err().to_string();
        assert!(error.contains("no/folder': No such file"), "{error}");
    }

    #[test]
    fn vocabularies_that_do_not_serve() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        vocabulary().save(&path).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        let message = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Vocabulary::open(&path).err().unwrap().to_string()
        };
        assert!(message("{}").contains("tokenizer.json': "));
        assert!(
            message(&good.replace("</s>", "[END]")).contains("no token '</s>'; expected a tokenizer.json")
        );
        assert!(message(&good.replace("\"!\":4", "\"!!\":4")).contains("no token for the byte written '!'"));
        let prefixed = good.replace("\"add_prefix_space\":false", "\"add_prefix_space\":true");
        assert!(message(&prefixed).contains("is decoded as"), "{}", message(&prefixed));
        let error = Vocabulary::open(&folder.path().join("none")).err().unwrap().to_string();
        assert!(error.contains("none': No such file"));
        let error = Vocabulary::train(TEXTS.into_iter(), 259).err().unwrap().to_string();
        assert!(
            error.contains("tokens of a vocabulary: '259' is not accepted; accepted: 260 (256 bytes and 4")
        );
        let error = vocabulary().decode(&[5, 290]).unwrap_err().to_string();
        assert_eq!(error, "token to decode: '290' is not accepted; accepted: one of the vocabulary");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>(), spaced in "[ \t\na<s>/\u{e4}]{0,20}") {
            thread_local!(static ONE: Vocabulary = vocabulary());
            ONE.with(|vocabulary| {
                for text in [&text, &spaced] {
                    let ids = vocabulary.encode(text).unwrap();
                    prop_assert_eq!(&vocabulary.decode(&ids).unwrap(), text);
                }
                Ok(())
            })?;
        }
    }
}
