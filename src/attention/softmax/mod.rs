//! Softmax attention (Vaswani et al. 2017): exact, the reference of all others.

pub mod materialised;
mod matrix;
mod reference;
pub(super) mod rows;
mod terms;

pub use matrix::{
    Tile, Unmaterialised, block, from_logits, matrix, matrix_f32, matrix_f64, matrix_of, within,
};
pub(super) use reference::KIND;
