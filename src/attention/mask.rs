//! Which keys a query may see.

use crate::cost::Shape;
use crate::error::Error;

/// A mask over the attention matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mask {
    /// Every query sees every key.
    #[default]
    Full,
    /// Query i sees keys 0 to i.
    Causal,
}

impl Mask {
    /// The mask that a shape is counted under.
    pub fn of(shape: &Shape) -> Self {
        if shape.causal { Self::Causal } else { Self::Full }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Causal => "causal",
        }
    }

    /// The error of something that does not honour this mask; `instead` may name something that does.
    pub(in crate::attention) fn unsupported(self, by: &str, instead: &str) -> Error {
        let (what, given) = match self {
            Self::Causal => ("causal form", "this model is causal"),
            Self::Full => ("form without a mask", "here every query sees every key"),
        };
        let hint = if instead.is_empty() { String::new() } else { format!(" ({instead} has one)") };
        Error::Unsupported { who: by.into(), what: what.into(), given: format!("{given}{hint}") }
    }

    /// The error of something that has only a form for the other mask.
    pub(crate) fn refused(self, by: &str) -> Error {
        let other = match self {
            Self::Full => Self::Causal,
            Self::Causal => Self::Full,
        };
        Error::value(format!("mask of {by}"), self.name(), other.name())
    }

    /// How many keys query `i` sees out of `m`; they are the first ones.
    pub fn visible(self, i: usize, m: usize) -> usize {
        match self {
            Self::Full => m,
            Self::Causal => (i + 1).min(m),
        }
    }
}
