//! Reading `config.json`: the family decides which keys there are.

use std::path::Path;

use super::config::ModelConfig;
use super::family::{self, Family};
use super::json;
use super::keys::Keys;
use super::own::TRANSLATOR;
use crate::{Error, Result};

const TYPE: &str = "model_type";
/// Sections in which models of images and text keep the keys of their parts.
const PARTS: [&str; 2] = ["text_config", "vision_config"];

impl ModelConfig {
    /// The configuration in the text of the `config.json` at `path` (named in errors, not read).
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        read(path, text).map(|(_, config)| config)
    }
}

/// The family of a model and its configuration, from the text of the `config.json` at `path` (named in errors, not read).
pub(super) fn read(path: &Path, text: &str) -> Result<(&'static Family, ModelConfig)> {
    let map = json::object(path, text, "a model's configuration, as {\"model_type\": ...}")?;
    let keys = Keys::new(path, &map);
    let mut parts = PARTS.iter().filter_map(|part| keys.section(part).transpose());
    let known = |part: &Keys<'_>| part.name(TYPE, "").is_ok_and(|name| Family::find(name).is_ok());
    let part = parts.find(|part| part.as_ref().map_or(true, known)).transpose()?;
    let keys = part.unwrap_or(keys);
    let found = keys.needed_name(TYPE, || {
        let names: Vec<_> = family::ALL.iter().map(|family| family.name).collect();
        format!("one of {}", names.join(", "))
    })?;
    if found == TRANSLATOR {
        let accepted = "a model of one sequence (an encoder-decoder is for luna translate)";
        return Err(keys.wrong(TYPE, accepted));
    }
    let family = Family::find(found)?;
    let keys = keys.listed_by(family);
    let mut notes = family.check(&keys)?;
    let mut config = (family.config)(&keys)?;
    notes.append(&mut config.notes);
    config.notes = notes;
    if !(config.eps.is_finite() && config.eps >= 0.0) {
        return Err(Error::malformed(path, format!("norms' eps is {}", config.eps), "0 or a small number"));
    }
    Ok((family, config))
}
