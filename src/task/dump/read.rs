//! Reading a dump by the ending of its name.

use std::path::Path;

use super::{Dump, parse_npy, parse_npz, parse_safetensors};
use crate::error::{Error, Result};
use crate::file::refuse_pointer;

const FILES: &str = "a .npy, .npz or .safetensors file";

impl Dump {
    /// Reads a file; `tensor` names one of several, and an array of more than `memory` bytes is refused.
    pub fn read(path: &Path, tensor: Option<&str>, memory: u64) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::file(path))?;
        refuse_pointer(path, &bytes)?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") if tensor.is_some() => {
                let accepted = "no --tensor: an .npy file holds one array";
                Err(Error::value("--tensor", tensor.unwrap_or_default(), accepted))
            }
            Some("npy") => parse_npy(path, &bytes, memory),
            Some("npz") => parse_npz(path, &bytes, tensor, memory),
            Some("safetensors") => parse_safetensors(path, &bytes, tensor, memory),
            _ => Err(Error::malformed(path, "an unknown kind of file", FILES)),
        }
    }
}
