//! Opens the input that the options name.

use super::dumped::Dumped;
use super::projections::Projections;
use super::synthetic::Drawn;
use super::{DumpArgs, InputArgs, Source, Trained, Unnamed};
use crate::error::{Error, Result};

impl DumpArgs {
    /// Opens the dumped matrices, if some are named; layers and heads are chosen by `input`.
    pub fn open(&self, input: &InputArgs) -> Result<Option<Box<dyn Source>>> {
        let Some(path) = &self.attention else { return Ok(None) };
        Ok(Some(Box::new(Dumped::open(input, self, path)?)))
    }
}

impl InputArgs {
    /// Opens the input that the options name, or else `default`.
    pub fn open(&self, seed: u64, default: Unnamed) -> Result<Box<dyn Source>> {
        for n in self.seq_len.iter().flat_map(|lengths| lengths.iter()) {
            if *n == 0 {
                return Err(Error::value("--seq-len", 0, "1 or more"));
            }
        }
        if let Some(windows) = self.windows.filter(|windows| !(1..=1_000_000).contains(windows)) {
            return Err(Error::value("--windows", windows, "1 or more, at most 1000000"));
        }
        if let Some(file) = &self.qkv {
            return Ok(Box::new(Projections::open(self, file)?));
        }
        if let Some(axes) = &self.axes {
            return Err(Error::value("--axes", axes, "an array file beside it (--qkv or --attention)"));
        }
        match (&self.synthetic, self.unnamed(default)) {
            (Some(specs), _) => Ok(Box::new(Drawn::open(self, specs, "synthetic", seed)?)),
            (None, Some(Unnamed::Heads { specs, n })) => {
                let drawn = Drawn::open(self, specs, "embedded", seed)?;
                Ok(Box::new(drawn.with_lengths(self.lengths_or(n))))
            }
            (None, Some(Unnamed::Model) | None) => Ok(Box::new(Trained::open(self, seed)?)),
        }
    }
}
