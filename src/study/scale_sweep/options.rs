//! What a sweep can be told to run and to measure.

use std::fmt;

use clap::ValueEnum;

use crate::error::Result;
use crate::name::{self, Item};

/// The part of a network that is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Unit {
    /// The bare attention: heads in, heads out
    #[default]
    Core,
    /// A layer: projections, attention, norms, feed-forward network
    Layer,
    /// An encoder: a stack of layers
    Encoder,
}

/// Whether gradients are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Pass {
    /// Inputs to outputs
    #[default]
    Forward,
    /// Forward, then the gradients of every input
    Train,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Operations, in closed form and counted by the kernels.
    Flops,
    /// Seconds.
    Time,
    /// Bytes.
    Memory,
    /// The error of each mechanism in the place of softmax attention, on an input.
    Error,
}

impl Unit {
    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Layer => "layer",
            Self::Encoder => "encoder",
        }
    }
}

impl Pass {
    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Train => "train",
        }
    }
}

impl Measure {
    const NAMES: [(&'static str, Self); 4] =
        [("flops", Self::Flops), ("time", Self::Time), ("memory", Self::Memory), ("error", Self::Error)];
}

impl Item for Measure {
    fn read(_: &str, text: &str) -> Result<Self> {
        name::find("measure", text, &Self::NAMES, |(name, _)| name).map(|(_, measure)| *measure)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::NAMES.iter().filter(|(_, measure)| measure == self).try_for_each(|(name, _)| f.write_str(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::List;

    #[test]
    fn measures_are_found_by_name() {
        let list: List<Measure> = "time,flops".parse().unwrap();
        assert_eq!(list.to_string(), "time,flops");
        let error = "tme".parse::<List<Measure>>().unwrap_err().to_string();
        assert!(error.contains("did you mean 'time'"), "{error}");
    }
}
