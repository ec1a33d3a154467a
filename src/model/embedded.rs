//! Trained models embedded in the program.
//!
//! They are opened like folders, under paths that do not exist on disk ([`folder`]): every reader of a model's file looks
//! here first ([`file()`]).

use std::path::{Path, PathBuf};

use crate::{Error, Result, name};

/// The root of their folders.
const ROOT: &str = "<embedded>";

/// One model.
#[derive(Debug)]
pub struct Embedded {
    /// Its name for --model.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

/// Every embedded model. `data/NAME/README.md` describes how each was trained.
pub static ALL: &[Embedded] = &[
    Embedded {
        name: "byte-transformer",
        about: "softmax Transformer of bytes, 4 causal layers of width 128, n up to 256, trained on Shakespeare's plays",
        files: &[
            ("config.json", include_bytes!("../../data/byte-transformer/config.json")),
            ("model.safetensors", include_bytes!("../../data/byte-transformer/model.safetensors")),
            (TEXT, include_bytes!("../../data/byte-transformer/text.txt")),
        ],
    },
    Embedded {
        name: "byte-luna",
        about: "its twin with causal Luna attention, l = 16, trained on the same batches: for --attention trained",
        files: &[
            ("config.json", include_bytes!("../../data/byte-luna/config.json")),
            ("model.safetensors", include_bytes!("../../data/byte-luna/model.safetensors")),
            (TEXT, include_bytes!("../../data/byte-transformer/text.txt")),
        ],
    },
];

/// The model whose heads are studied if no input is named.
pub const DEFAULT: &str = "byte-transformer";

/// The text of an embedded model, read if no other is named.
pub const TEXT: &str = "text.txt";

/// The folder of the embedded model of that name.
pub fn folder(name: &str) -> Option<PathBuf> {
    ALL.iter().any(|model| model.name == name).then(|| Path::new(ROOT).join(name))
}

/// The folder that a name or a path on the command line denotes; a path on disk takes precedence.
pub fn or_disk(named: &Path) -> Result<PathBuf> {
    if named.exists() {
        return Ok(named.to_path_buf());
    }
    let name = named.to_string_lossy();
    folder(&name).ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|model| model.name).collect();
        let meant = name::suggest(&name, names.iter().copied());
        let meant = meant.map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
        let accepted = format!("a folder of luna train, or what is embedded ({}){meant}", names.join(", "));
        Error::malformed(named, "no such folder", accepted)
    })
}

/// The model whose folder this is.
pub fn of(folder: &Path) -> Option<&'static Embedded> {
    let name = folder.strip_prefix(ROOT).ok()?;
    ALL.iter().find(|model| Path::new(model.name) == name)
}

/// The bytes of a file in such a folder.
pub fn file(path: &Path) -> Option<&'static [u8]> {
    let (model, file) = (of(path.parent()?)?, path.file_name()?);
    model.files.iter().find(|(name, _)| *name == file).map(|(_, bytes)| *bytes)
}

/// Whether there is such a file, embedded or on the disk.
pub(super) fn exists(path: &Path) -> bool {
    file(path).is_some() || path.is_file()
}

/// The text of a file, embedded or on the disk.
pub(crate) fn text(path: &Path) -> Result<String> {
    match file(path) {
        Some(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        None => crate::file::text(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HeadTap, ModelInput, Observer};
    use crate::network::Network;

    struct Count(usize);

    impl Observer for Count {
        fn head(&mut self, tap: HeadTap) -> Result<()> {
            assert!(tap.q.iter().all(|x| x.is_finite()));
            self.0 += 1;
            Ok(())
        }
    }

    #[test]
    fn every_one_opens_and_reads_its_text() {
        for model in ALL {
            let dir = folder(model.name).unwrap();
            assert_eq!(of(&dir).unwrap().name, model.name);
            let network = Network::open(&dir).unwrap();
            let text = file(&dir.join(TEXT)).unwrap();
            let (layers, heads) = network.shape();
            let n = network.reader().positions.min(text.len());
            let ids: Vec<u32> = text[..n].iter().map(|byte| u32::from(*byte)).collect();
            let mut seen = Count(0);
            network.watch(ModelInput::Tokens(&ids), &mut seen).unwrap();
            assert_eq!(seen.0, layers * heads, "{}", model.name);
        }
        assert!(folder(DEFAULT).is_some());
        assert!(folder("byte-transformr").is_none() && file(Path::new("<embedded>/x/config.json")).is_none());
    }
}
