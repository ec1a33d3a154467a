//! Attention matrices: what softmax makes of queries and keys, whole or tile by tile.
//!
//! A mechanism sees heads that are split already (`q` of shape (n, `d_h`), `k` of shape (m, `d_h`)); projections,
//! residuals and dropout belong to [`crate::model`].

mod mask;
pub mod softmax;

pub use mask::Mask;
