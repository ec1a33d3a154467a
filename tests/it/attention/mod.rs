//! Attention mechanisms: laws over the whole list, and other people's numbers.

mod fused;
pub(crate) mod golden;
mod laws;
