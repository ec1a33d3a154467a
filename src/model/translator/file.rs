//! Encoder-decoders in folders: `config.json`, and their tensors in `model.safetensors`.

use std::path::Path;

use super::{MODEL_TYPE, Translator, TranslatorConfig};
use crate::Result;
use crate::model::encoder::foreign;
use crate::model::luna::Named;
use crate::model::{WEIGHTS, embedded, settled};

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
        foreign(&named, &[config.tensors(), config.features()].concat(), MODEL_TYPE, path)?;
        Ok(translator)
    }
}
