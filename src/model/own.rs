//! `config.json` of the networks that `luna train` writes.

use std::path::Path;

use serde_json::{Map, Value};

use super::json;
use super::keys::Keys;
use crate::layer::{Activation, EncoderConfig, Head, Mechanism};
use crate::{Error, Result};

/// The `model_type` of encoders and decoder-only networks.
pub(crate) const MODEL_TYPE: &str = "luna";
/// That of encoder-decoders, which no encoder is read from.
pub(crate) const TRANSLATOR: &str = "luna-translator";
/// The value of the key `tokens` where ids are bytes: no tokenizer is needed.
pub const BYTES: &str = "bytes";
/// Its value where ids are bytes plus 1, and 0 is padding.
pub const BYTES_FROM_ONE: &str = "bytes+1";

impl EncoderConfig {
    /// The configuration as the keys of `config.json`, which [`parse`](Self::parse) reads; other keys may stand beside
    /// them.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| map.insert(key.to_string(), value);
        put("model_type", MODEL_TYPE.into());
        put("attention", self.mechanism.spec().into());
        put("hidden_size", self.d.into());
        put("heads", self.heads.into());
        put("ffn", self.ffn.into());
        put("layers", self.layers.into());
        put("activation", self.activation.name().into());
        put("pre_norm", self.pre_norm.into());
        put("vocab", self.vocab.into());
        put("positions", self.positions.into());
        put("embedding_norm", self.embedding_norm.into());
        put("causal", self.causal.into());
        put("p_chain", self.p_chain.into());
        put("head", self.head.name().into());
        if let Head::Classes(classes) | Head::Pairs(classes) = self.head {
            put("classes", classes.into());
        }
        map
    }

    /// The configuration in the text of the `config.json` at `path` (named in errors, not read).
    ///
    /// Sizes and `attention` must be there; `activation` is gelu and `p_chain` true where they are not, the other keys
    /// as [`EncoderConfig::new`] has them. Keys that are none of these are not read. Refuses what no encoder can be.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let map = json::object(path, text, "a configuration, as {\"model_type\": \"luna\", ...}")?;
        Self::read(&Keys::new(path, &map))
    }

    /// From keys that are JSON already.
    pub(crate) fn read(keys: &Keys<'_>) -> Result<Self> {
        let found = keys.needed_name("model_type", || MODEL_TYPE.to_string())?;
        if found == TRANSLATOR {
            return Err(keys.wrong("model_type", "'luna' (an encoder-decoder is for luna translate)"));
        }
        keys.only("model_type", &[MODEL_TYPE])?;
        Self::read_sizes(keys)
    }

    /// The same of the encoder in a file of another `model_type`.
    pub(crate) fn read_sizes(keys: &Keys<'_>) -> Result<Self> {
        let path = keys.path();
        let spec = keys.needed_name("attention", || "a mechanism, as luna:l=16,tied=true".to_string())?;
        let mechanism = spec.parse().and_then(|spec| Mechanism::build(&spec)).map_err(|error| {
            Error::malformed(path, format!("key 'attention': {error}"), "a mechanism, as luna:l=16,tied=true")
        })?;
        let head = match keys.name("head", Head::None.name())? {
            "none" => Head::None,
            "classes" => Head::Classes(keys.size("classes")?),
            "pairs" => Head::Pairs(keys.size("classes")?),
            "tokens" => Head::Tokens,
            _ => return Err(keys.wrong("head", "none, classes, pairs or tokens")),
        };
        let config = Self {
            mechanism,
            d: keys.size("hidden_size")?,
            heads: keys.size("heads")?,
            ffn: keys.size("ffn")?,
            layers: keys.layers("layers")?,
            activation: Activation::find(keys.name("activation", Activation::Gelu.name())?)?,
            pre_norm: keys.flag("pre_norm", false)?,
            vocab: keys.has("vocab").then(|| keys.size("vocab")).transpose()?,
            positions: keys.count("positions", 0)?,
            embedding_norm: keys.flag("embedding_norm", false)?,
            causal: keys.flag("causal", false)?,
            p_chain: keys.flag("p_chain", true)?,
            head,
        };
        let accepted = "what an encoder can be";
        config.check().map_err(|error| Error::malformed(path, error, accepted))?;
        Ok(config)
    }
}

/// What is added to a byte to make it an id, where the key `tokens` of a configuration says that ids are bytes.
pub(crate) fn first_byte(keys: &Keys<'_>) -> Result<Option<u32>> {
    Ok(match keys.name("tokens", "")? {
        BYTES => Some(0),
        BYTES_FROM_ONE => Some(1),
        _ => None,
    })
}
