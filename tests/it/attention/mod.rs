//! Attention mechanisms: laws over the whole list, and other people's numbers.

pub(crate) mod golden;
mod laws;
