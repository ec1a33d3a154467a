//! Attention mechanisms: laws over the whole list, and other people's numbers.

mod golden;
mod laws;
