//! Softmax attention (Vaswani et al. 2017): exact, the reference of all others.

pub mod materialised;
mod reference;
mod terms;

pub(super) use reference::KIND;
pub use reference::{Unmaterialised, from_logits, matrix, matrix_f64, matrix_of, within};
