//! Which keys a query may see.

use crate::cost::Shape;

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

    /// How many keys query `i` sees out of `m`; they are the first ones.
    pub fn visible(self, i: usize, m: usize) -> usize {
        match self {
            Self::Full => m,
            Self::Causal => (i + 1).min(m),
        }
    }
}
