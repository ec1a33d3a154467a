//! The folder of a model.

use std::path::{Path, PathBuf};

use super::embedded;

/// What a model's folder must hold, for messages.
pub(super) const FOLDER: &str = "a model folder: config.json, model.safetensors (or model.safetensors.index.json \
                                 and its shards), and tokenizer.json";

/// The file of a network's weights.
pub(crate) const WEIGHTS: &str = "model.safetensors";

/// The folder that holds a model: `best` for the run folder of a training, otherwise the folder itself.
pub(crate) fn settled(dir: &Path) -> PathBuf {
    let best = dir.join("best");
    if !embedded::exists(&dir.join("config.json")) && best.join("config.json").is_file() {
        return best;
    }
    dir.to_path_buf()
}
