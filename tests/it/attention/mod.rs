//! Attention mechanisms: laws over the whole list, and other people's numbers.

mod backward;
mod fused;
pub(crate) mod golden;
mod laws;
mod sparse;
