//! Encoder-decoders in folders: `config.json`, and their tensors in `model.safetensors`.

use std::path::Path;

use super::config::TranslatorConfig;
use super::translator::Translator;
use crate::Result;
use crate::model::{Named, TRANSLATOR, WEIGHTS, embedded, settled};
use crate::network::file::refuse_others;

impl Translator {
    /// Opens a folder that holds `config.json` and `model.safetensors`, or the run folder of a training, whose `best`
    /// holds them.
    ///
    /// Refuses a folder without either, networks of another kind, keys and tensors that are missing or do not fit, and
    /// tensors that such a network does not have.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = settled(dir);
        let path = dir.join("config.json");
        let text = embedded::text(&path)?;
        let config = TranslatorConfig::parse(&path, &text)?;
        let path = dir.join(WEIGHTS);
        let named = Named::open(&path)?;
        let translator = Self::load(&named, &config)?;
        refuse_others(&named, translator.layout(), TRANSLATOR, path)?;
        Ok(translator)
    }
}
