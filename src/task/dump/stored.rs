//! Where the matrices of an input are.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Dump;
use super::npz::npz_names;
use super::safetensors::{facts, tensor_names};
use crate::error::{Error, Result};
use crate::name;

/// Where the matrices of an input are: what the command line names is a file.
#[derive(Clone, Debug)]
pub enum Stored {
    /// In a file.
    File(PathBuf),
    /// In the memory of a program that calls this library: arrays by name.
    Held(Vec<(String, Dump)>),
}

impl From<OsString> for Stored {
    fn from(path: OsString) -> Self {
        Self::File(path.into())
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

impl Stored {
    /// The file; of arrays in memory the name of the first.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Held(arrays) => Path::new(arrays.first().map_or("", |(name, _)| name)),
        }
    }

    /// Reads the array that `tensor` names, or the only one; of a file none of more than `memory` bytes.
    pub fn read(&self, tensor: Option<&str>, memory: u64) -> Result<Dump> {
        match self {
            Self::File(path) => Dump::read(path, tensor, memory),
            Self::Held(arrays) => {
                let name = tensor.map_or_else(|| self.to_string(), Into::into);
                name::find("array", &name, arrays, |(name, _)| name).map(|(_, dump)| dump.clone())
            }
        }
    }

    /// Names of its arrays; none of a file that holds one without a name.
    pub fn names(&self) -> Result<Vec<String>> {
        let path = match self {
            Self::File(path) => path,
            Self::Held(arrays) => return Ok(arrays.iter().map(|(name, _)| name.clone()).collect()),
        };
        let names = match path.extension().and_then(|extension| extension.to_str()) {
            Some("npz") => npz_names,
            Some("safetensors") => tensor_names,
            _ => return Ok(Vec::new()),
        };
        names(path, &std::fs::read(path).map_err(Error::file(path))?)
    }

    /// What a `.safetensors` file says of its arrays in its metadata; nothing where there is no such file.
    pub fn facts(&self) -> Result<BTreeMap<String, String>> {
        match self {
            Self::File(path) if path.extension().is_some_and(|extension| extension == "safetensors") => {
                facts(path, &std::fs::read(path).map_err(Error::file(path))?)
            }
            _ => Ok(BTreeMap::new()),
        }
    }
}
