//! A folder with a file for each layer of each forward pass, as `luna_attention.capture` writes it.

use std::path::{Path, PathBuf};

use super::part::{Outline, Part, Typed};
use crate::error::{Error, Result};
use crate::task::dump::Stored;

/// Files `pass-P-layer-L.safetensors`; the samples of all passes are the windows.
pub(super) struct Folder {
    dir: PathBuf,
    /// The layers that every pass has, ascending.
    pub(super) layers: Vec<usize>,
    /// Samples of each pass.
    samples: Vec<usize>,
    typed: Typed,
}

impl Folder {
    /// The folder, and what is known of each of its layers.
    pub(super) fn open(dir: &Path, typed: &Typed) -> Result<(Self, Vec<Outline>)> {
        let (passes, layers) = listed(dir)?;
        let mut folder = Self { dir: dir.into(), layers, samples: Vec::new(), typed: typed.clone() };
        let mut outlines: Vec<Outline> = Vec::new();
        for pass in 0..passes {
            let mut samples = None;
            for (at, layer) in folder.layers.iter().enumerate() {
                let own = folder.part(pass, *layer)?.outline;
                let (shape, first) = (own.shape, outlines.first().map_or(own.shape, |first| first.shape));
                let sizes = (shape.layers, *samples.get_or_insert(shape.samples), shape.heads, shape.lengths);
                let alike = |other: &Outline| (&other.kind, other.scale) == (&own.kind, own.scale);
                if sizes != (1, shape.samples, first.heads, first.lengths)
                    || !outlines.get(at).is_none_or(alike)
                {
                    let what = format!(
                        "arrays of other sizes than those of other files, or under another mask ({})",
                        own.kind
                    );
                    let accepted = "one layer a file, with as many heads, queries and keys as the others, and as in the \
                                    other passes";
                    return Err(Error::malformed(folder.file(pass, *layer), what, accepted));
                }
                if pass == 0 {
                    outlines.push(own);
                }
            }
            folder.samples.extend(samples);
        }
        Ok((folder, outlines))
    }

    /// The samples of all passes.
    pub(super) fn windows(&self) -> usize {
        self.samples.iter().sum()
    }

    /// The arrays of a layer, and which of their samples this window is.
    pub(super) fn at(&self, window: usize, layer: usize) -> Result<(Part, usize)> {
        let mut sample = window;
        for (pass, samples) in self.samples.iter().enumerate() {
            if sample < *samples {
                return Ok((self.part(pass, layer)?, sample));
            }
            sample -= samples;
        }
        Err(Error::value("window", window, format!("0 to {}", self.windows().saturating_sub(1))))
    }

    /// Every file, in the order of their passes and layers.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let passes = 0..self.samples.len();
        passes.flat_map(|pass| self.layers.iter().map(move |layer| self.file(pass, *layer))).collect()
    }

    fn part(&self, pass: usize, layer: usize) -> Result<Part> {
        Part::open(&Stored::File(self.file(pass, layer)), &self.typed)
    }

    fn file(&self, pass: usize, layer: usize) -> PathBuf {
        self.dir.join(format!("pass-{pass}-layer-{layer}.safetensors"))
    }
}

/// How many passes there are, and their layers, which are the same in all of them.
fn listed(dir: &Path) -> Result<(usize, Vec<usize>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::file(dir))? {
        let name = entry.map_err(Error::file(dir))?.file_name();
        let numbers = name.to_str().and_then(|name| {
            let (pass, layer) =
                name.strip_prefix("pass-")?.strip_suffix(".safetensors")?.split_once("-layer-")?;
            Some((pass.parse::<usize>().ok()?, layer.parse::<usize>().ok()?))
        });
        found.extend(numbers);
    }
    found.sort_unstable();
    let layers: Vec<usize> = found.iter().filter(|(pass, _)| *pass == 0).map(|(_, layer)| *layer).collect();
    let missing = |pass: usize, layer: usize| {
        let what = format!("no file 'pass-{pass}-layer-{layer}.safetensors'");
        Error::malformed(
            dir,
            what,
            "every layer of every forward pass, as luna_attention.capture writes them",
        )
    };
    let passes = found.last().map_or(0, |(pass, _)| pass + 1);
    if let Some((_, layer)) = found.iter().find(|(_, layer)| !layers.contains(layer)) {
        return Err(missing(0, *layer));
    }
    let mut expected = (0..passes).flat_map(|pass| layers.iter().map(move |layer| (pass, *layer)));
    match expected.find(|at| found.binary_search(at).is_err()) {
        Some((pass, layer)) => Err(missing(pass, layer)),
        None if layers.is_empty() => Err(missing(0, 0)),
        None => Ok((passes, layers)),
    }
}
