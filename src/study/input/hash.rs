//! Hashes of the files of an input, for the stamp of a result and for resuming.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::model::embedded;
use crate::task::dump::Stored;

/// SHA-256 of bytes, in hexadecimal digits.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    digits(Sha256::new_with_prefix(bytes))
}

/// SHA-256 of a file, in hexadecimal digits.
pub(super) fn of_file(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    add(&mut hash, path)?;
    Ok(digits(hash))
}

/// SHA-256 of the file that an input is in; none of arrays in memory.
pub(super) fn of_stored(stored: &Stored) -> Result<Option<String>> {
    match stored {
        Stored::File(path) => of_file(path).map(Some),
        Stored::Held(_) => Ok(None),
    }
}

/// SHA-256 of what decides the figures of a model: `config.json`, `tokenizer.json` and every file of weights, each after
/// its name, in the order of the names.
pub(super) fn of_model(dir: &Path) -> Result<String> {
    let is_part = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        matches!(name, "config.json" | "tokenizer.json") || name.ends_with(".safetensors")
    };
    let mut files: Vec<PathBuf> = match std::fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_part).collect(),
        Err(_) => ["config.json", "model.safetensors"].map(|name| dir.join(name)).into(),
    };
    files.sort_unstable();
    of_files(files)
}

/// SHA-256 of files, each after its name.
pub(super) fn of_files(files: Vec<PathBuf>) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
        add(&mut hash, &file)?;
    }
    Ok(digits(hash))
}

/// Adds a file, embedded or on the disk, piece by piece.
fn add(hash: &mut Sha256, path: &Path) -> Result<()> {
    if let Some(bytes) = embedded::file(path) {
        hash.update(bytes);
        return Ok(());
    }
    let mut file = File::open(path).map_err(Error::file(path))?;
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece).map_err(Error::file(path))? {
            0 => return Ok(()),
            length => hash.update(&piece[..length]),
        }
    }
}

fn digits(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_its_files_and_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("config.json", "{}");
        write("a.safetensors", "1");
        let first = of_model(dir.path()).unwrap();
        write("README.md", "not a part of it");
        assert_eq!(of_model(dir.path()).unwrap(), first);
        write("a.safetensors", "2");
        assert_ne!(of_model(dir.path()).unwrap(), first);
        assert_eq!(of_file(&dir.path().join("a.safetensors")).unwrap(), of_bytes(b"2"));
        let own = embedded::folder(embedded::DEFAULT).unwrap();
        assert_ne!(of_model(&own).unwrap(), of_model(&embedded::folder("byte-luna").unwrap()).unwrap());
    }
}
