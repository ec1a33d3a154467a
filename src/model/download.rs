//! Fetching a model from the Hugging Face hub into its cache.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::shards::shards;
use crate::{Error, Result};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Downloads what a model needs: configuration, weights, and the tokenizer if there is one. The folder of its files, and
/// their commit; `failed` makes the error of a download.
pub(super) fn download(
    cache: &Path,
    endpoint: Option<&str>,
    id: &str,
    revision: &str,
    failed: impl Fn(String) -> Error,
) -> Result<(PathBuf, String)> {
    let failed = |error: ApiError| failed(error.to_string());
    let mut builder = ApiBuilder::from_cache(Cache::new(cache.to_path_buf())).with_progress(false);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.to_string());
    }
    let api = builder.build().map_err(failed)?;
    let repo = api.repo(Repo::with_revision(id.to_string(), RepoType::Model, revision.to_string()));
    let info = repo.info().map_err(failed)?;
    // By the commit from here on, so that all files are of one revision.
    let commit = api.repo(Repo::with_revision(id.to_string(), RepoType::Model, info.sha.clone()));
    let get = |file: &str| get(&commit, file).map_err(failed);
    let has = |file: &str| info.siblings.iter().any(|sibling| sibling.rfilename == file);
    let config = get("config.json")?;
    if has("tokenizer.json") {
        get("tokenizer.json")?;
    }
    if has(SINGLE) || !has(INDEX) {
        get(SINGLE)?;
    } else {
        let index = get(INDEX)?;
        let text = std::fs::read_to_string(&index).map_err(Error::file(&index))?;
        for shard in shards(&index, &text)? {
            get(&shard)?;
        }
    }
    let dir = config.parent().map(PathBuf::from).unwrap_or_default();
    Ok((dir, info.sha))
}

fn get(repo: &ApiRepo, file: &str) -> Result<PathBuf, ApiError> {
    repo.get(file)
}
