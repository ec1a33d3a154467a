//! Fetching a model from the Hugging Face hub into its cache.

use std::path::PathBuf;

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::hub::{Hub, Resolved};
use super::load;
use crate::{Error, Result};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Downloads what a model needs: configuration, weights, and the tokenizer if there is one.
pub(super) fn download(hub: &Hub, id: &str, revision: &str) -> Result<Resolved> {
    let failed = |error: ApiError| Error::NotCached {
        id: id.to_string(),
        revision: revision.to_string(),
        cache: hub.cache.clone(),
        fix: format!("downloading it failed: {}", error.to_string().replace('\n', " ")),
    };
    let mut builder = ApiBuilder::from_cache(Cache::new(hub.cache.clone())).with_progress(false);
    if let Some(endpoint) = &hub.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
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
        for shard in load::shards(&index, &text)? {
            get(&shard)?;
        }
    }
    let dir = config.parent().map(PathBuf::from).unwrap_or_default();
    Ok(Resolved { dir, id: Some(id.to_string()), revision: Some(info.sha) })
}

fn get(repo: &ApiRepo, file: &str) -> Result<PathBuf, ApiError> {
    repo.get(file)
}
