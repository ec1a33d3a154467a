//! The source of a trained model's windows: a text with its tokenizer, or token ids.

use std::borrow::Cow;
use std::path::Path;

use super::{InputArgs, hash};
use crate::error::{Error, Result};
use crate::model::embedded;
use crate::network::Reader;
use crate::task::tokens;
use crate::task::window::TextWindows;
use serde_json::Value;

/// The source of windows.
pub(super) enum Material {
    /// A text with its tokenizer.
    Text(Box<TextWindows>),
    /// Token ids, and the text whose bytes they are.
    Ids { ids: Vec<u32>, text: Option<Cow<'static, [u8]>> },
}

impl Material {
    /// Opens the text or the ids that the options name; returns them with a name for people.
    pub(super) fn open(
        args: &InputArgs,
        reader: &Reader,
        facts: &mut Vec<(String, Value)>,
    ) -> Result<(Self, String)> {
        let as_bytes = |bytes: Cow<'static, [u8]>, first: u32| Self::Ids {
            ids: bytes.iter().map(|byte| first + u32::from(*byte)).collect(),
            text: Some(bytes),
        };
        let own = embedded::file(&reader.dir.join(embedded::TEXT));
        match (&args.text, &args.tokens, reader.first_byte.zip(own)) {
            (Some(path), ..) => {
                file_facts("text", path, facts)?;
                let tokenizer = reader.dir.join("tokenizer.json");
                let material = if let Some(first) = reader.first_byte.filter(|_| !tokenizer.is_file()) {
                    facts.push(("token_ids".into(), "bytes".into()));
                    as_bytes(crate::file::bytes(path)?.into(), first)
                } else {
                    Self::Text(Box::new(TextWindows::open(&tokenizer, path, reader.positions)?))
                };
                Ok((material, path.display().to_string()))
            }
            (None, Some(path), _) => {
                file_facts("tokens", path, facts)?;
                let ids = tokens::read(path, reader.vocab)?;
                Ok((Self::Ids { ids, text: None }, path.display().to_string()))
            }
            (None, None, Some((first, bytes))) => {
                facts.push(("text".into(), "the model's own".into()));
                facts.push(("text_sha256".into(), hash::of_bytes(bytes).into()));
                Ok((as_bytes(bytes.into(), first), "its own text".into()))
            }
            (None, None, None) => {
                let model = args.model.as_deref().unwrap_or_default();
                Err(Error::Refused(format!("--model {model} needs --text FILE or --tokens FILE")))
            }
        }
    }

    /// Tokens of the text in a window of n.
    pub(super) fn step(&self, n: usize, args: &InputArgs, positions: usize) -> Result<usize> {
        match self {
            Self::Text(text) => text.step(n),
            Self::Ids { .. } if n <= positions => Ok(n),
            Self::Ids { .. } => {
                let accepted = match args.model {
                    Some(_) => format!("at most {positions}, the model's positions"),
                    None => format!(
                        "at most {positions}, the positions of {}, which is read where no model is named; --synthetic \
                         SPECS or another --model go further",
                        embedded::DEFAULT
                    ),
                };
                Err(Error::Tokens { what: format!("--seq-len {n}"), found: n, accepted })
            }
        }
    }

    /// A window of these tokens of the text, with its special tokens.
    pub(super) fn framed(&self, tokens: &[u32]) -> Vec<u32> {
        match self {
            Self::Text(text) => text.framed(tokens),
            Self::Ids { .. } => tokens.to_vec(),
        }
    }

    /// The bytes of the text, where there is one.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.text().as_bytes()),
            Self::Ids { text, .. } => text.as_deref(),
        }
    }
}

fn file_facts(kind: &str, path: &Path, facts: &mut Vec<(String, Value)>) -> Result<()> {
    facts.push((kind.into(), path.display().to_string().into()));
    facts.push((format!("{kind}_sha256"), hash::of_file(path)?.into()));
    Ok(())
}
