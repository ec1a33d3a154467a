//! Attention by features, `phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1)`: linear attention, Performer and cosFormer.

mod attend;
mod causal;
mod full;
mod maker;
mod rows;

pub(in crate::attention) use attend::{attend, space};
pub(in crate::attention) use maker::{Map, add};
pub(in crate::attention) use rows::{Features, Rows};
