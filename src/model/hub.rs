//! Finding a model: a folder, or an id of the Hugging Face hub in the local cache or to be downloaded.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Result, name};

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its folder.
    pub dir: PathBuf,
    /// The hub id, if it was found by one.
    pub id: Option<String>,
    /// The revision that was found (a commit), if it was found by a hub id.
    pub revision: Option<String>,
}

/// The settings of the hub from the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hub {
    /// The cache, with its folders `models--org--name`.
    pub cache: PathBuf,
    /// Whether downloads are off.
    pub offline: bool,
    /// Where downloads come from.
    pub endpoint: Option<String>,
}

impl Hub {
    /// From the process's environment: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME`,
    /// `HF_HUB_OFFLINE`, `HF_ENDPOINT`.
    ///
    /// Paths are expanded as `huggingface_hub` does it: `~` in front, then `$NAME` and `${NAME}`.
    pub fn from_env() -> Self {
        Self::from_variables(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// From any lookup of environment variables.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let path = |name: &str| get(name).map(|value| PathBuf::from(expanded(&value, &get)));
        let caches = || path("XDG_CACHE_HOME").or_else(|| Some(home(&get)?.join(".cache")));
        let hugging_face = || path("HF_HOME").or_else(|| Some(caches()?.join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(hugging_face()?.join("hub")));
        let on = |value: String| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str());
        Self {
            cache: cache.unwrap_or_else(|| PathBuf::from(".cache/huggingface/hub")),
            offline: get("HF_HUB_OFFLINE").is_some_and(on),
            endpoint: get("HF_ENDPOINT"),
        }
    }

    /// Finds a model: a folder of this name, an embedded model, the cache, or (with feature `download`, unless offline) the
    /// hub, in this order. `revision` is a branch, a tag or a commit; `main` if there is none.
    pub fn resolve(&self, id_or_dir: &str, revision: Option<&str>) -> Result<Resolved> {
        let dir = Path::new(id_or_dir);
        if dir.is_dir() {
            return match revision {
                None => Ok(Resolved { dir: dir.to_path_buf(), id: None, revision: None }),
                Some(revision) => {
                    let accepted = format!("a hub id; '{id_or_dir}' is a folder here, and has no revisions");
                    Err(Error::value("revision", revision, accepted))
                }
            };
        }
        if dir.exists() {
            return Err(Error::malformed(dir, "a file", super::folder::FOLDER));
        }
        if let Some(dir) = super::embedded::folder(id_or_dir) {
            return Ok(Resolved { dir, id: None, revision: None });
        }
        if !is_id(id_or_dir) {
            let names: Vec<_> = super::embedded::ALL.iter().map(|model| model.name).collect();
            let what = format!(
                "no such folder, no hub id (org/name), and not embedded either ({})",
                names.join(", ")
            );
            return Err(Error::file(dir)(io::Error::new(io::ErrorKind::NotFound, what)));
        }
        let wanted = revision.unwrap_or("main");
        if !wanted.split('/').all(is_plain) {
            return Err(Error::value("revision", wanted, "a branch, a tag or a commit"));
        }
        let cached = self.cached(id_or_dir, wanted)?;
        match cached {
            Some(found) if !self.may_download() || is_whole(&found.dir) => Ok(found),
            _ => self.download(id_or_dir, wanted),
        }
    }

    /// The snapshot of a revision in the cache.
    ///
    /// Its layout is read here, not by `hf_hub::Cache`: that crate is optional (downloads only), and its cache knows neither
    /// `HF_HUB_CACHE` nor a commit without a ref.
    fn cached(&self, id: &str, revision: &str) -> Result<Option<Resolved>> {
        let repo = self.cache.join(format!("models--{}", id.replace('/', "--")));
        let reference = repo.join("refs").join(revision);
        let commit = if reference.is_file() {
            let text = std::fs::read_to_string(&reference).map_err(Error::file(&reference))?;
            let commit = text.trim().to_string();
            if !is_plain(&commit) {
                let what = format!("'{}' is no commit", commit.escape_debug());
                return Err(Error::malformed(reference, what, "the name of a folder in snapshots"));
            }
            commit
        } else {
            revision.to_string()
        };
        let dir = repo.join("snapshots").join(&commit);
        Ok(dir.is_dir().then(|| Resolved { dir, id: Some(id.to_string()), revision: Some(commit) }))
    }

    fn may_download(&self) -> bool {
        cfg!(feature = "download") && !self.offline
    }

    #[cfg(not(feature = "download"))]
    fn download(&self, id: &str, revision: &str) -> Result<Resolved> {
        Err(self.not_cached(id, revision, "or build luna with --features download"))
    }

    #[cfg(feature = "download")]
    fn download(&self, id: &str, revision: &str) -> Result<Resolved> {
        if self.offline {
            return Err(self.not_cached(
                id,
                revision,
                "or let luna download it (without --offline and HF_HUB_OFFLINE)",
            ));
        }
        let failed = |error: String| Error::NotCached {
            id: id.to_string(),
            revision: revision.to_string(),
            cache: self.cache.clone(),
            fix: format!("downloading it failed: {}", error.replace('\n', " ")),
        };
        let (dir, commit) =
            super::download::download(&self.cache, self.endpoint.as_deref(), id, revision, failed)?;
        Ok(Resolved { dir, id: Some(id.to_string()), revision: Some(commit) })
    }

    fn not_cached(&self, id: &str, revision: &str, or: &str) -> Error {
        let embedded = super::embedded::ALL.iter().map(|model| model.name);
        let meant =
            name::suggest(id, embedded).map(|name| format!("; did you mean '{name}', which is embedded?"));
        Error::NotCached {
            id: id.to_string(),
            revision: revision.to_string(),
            cache: self.cache.clone(),
            fix: format!(
                "fetch it with `hf download {id} --revision {revision}`, give a folder, {or}{}",
                meant.unwrap_or_default()
            ),
        }
    }
}

/// As [`Hub::resolve`] with the process's environment; `offline` also turns downloads off.
pub fn resolve(id_or_dir: &str, revision: Option<&str>, offline: bool) -> Result<Resolved> {
    let hub = Hub::from_env();
    Hub { offline: offline || hub.offline, ..hub }.resolve(id_or_dir, revision)
}

/// A path with `~` in front and variables (`$NAME`, `${NAME}`) replaced by their values; variables that are not set
/// stay as they are.
fn expanded(path: &str, get: impl Fn(&str) -> Option<String>) -> String {
    let after_tilde = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let home = after_tilde.and_then(|rest| Some(format!("{}{rest}", home(&get)?.display())));
    let path = home.unwrap_or_else(|| path.to_string());
    let mut out = String::with_capacity(path.len());
    let mut rest = path.as_str();
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (name, length) = variable(&rest[1..]);
        match get(name).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[..=length]),
        }
        rest = &rest[1 + length..];
    }
    out + rest
}

/// The name of a variable at the start of a text and its length there; an empty name if there is none.
fn variable(text: &str) -> (&str, usize) {
    if let Some((name, _)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        return (name, name.len() + 2);
    }
    let length = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    (&text[..length], length)
}

fn home(get: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    get("HOME").or_else(|| get("USERPROFILE")).map(PathBuf::from)
}

/// `name` or `org/name`, in the characters that the hub allows.
fn is_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('/').collect();
    parts.len() <= 2 && parts.into_iter().all(|part| is_plain(part) && !part.starts_with('.'))
}

/// A name that cannot leave its folder.
fn is_plain(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    !name.is_empty() && name != "." && name != ".." && name.chars().all(letter)
}

/// Whether a snapshot has the files of a model (other programs may have fetched its tokenizer only).
fn is_whole(dir: &Path) -> bool {
    let has = |name: &str| dir.join(name).is_file();
    has("config.json") && (has("model.safetensors") || has("model.safetensors.index.json"))
}
