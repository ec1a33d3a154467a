//! Networks in folders: `config.json`, and their tensors in `model.safetensors`.

use std::path::{Path, PathBuf};

use super::encoder::Encoder;
use crate::layer::{EncoderConfig, Layout};
use crate::model::{MODEL_TYPE, Named, WEIGHTS, embedded, settled};
use crate::{Error, Result};

impl Encoder {
    /// Opens a folder that holds `config.json` and `model.safetensors`, or the run folder of a training, whose `best`
    /// holds them.
    ///
    /// Refuses a folder without either, keys and tensors that are missing or do not fit, and tensors that such an
    /// encoder does not have.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = settled(dir);
        let path = dir.join("config.json");
        let config = EncoderConfig::parse(&path, &embedded::text(&path)?)?;
        let path = dir.join(WEIGHTS);
        let named = Named::open(&path)?;
        let encoder = Self::load(&named, &config)?;
        refuse_others(&named, encoder.layout(), MODEL_TYPE, path)?;
        Ok(encoder)
    }
}

/// Refuses tensors that such a network does not have: another configuration would read them otherwise.
pub(super) fn refuse_others(
    named: &Named,
    known: &Layout,
    family: &'static str,
    path: PathBuf,
) -> Result<()> {
    const SHOWN: usize = 8;
    let mut names = named.names();
    names.retain(|name| !known.entries().iter().any(|known| known.name == *name));
    if names.is_empty() {
        return Ok(());
    }
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    names.extend((more > 0).then(|| format!("and {more} more")));
    Err(Error::TensorUnused { path, family, names })
}
