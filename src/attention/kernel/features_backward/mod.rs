//! The backward pass of attention by features.

mod passes;
mod size;

pub(in crate::attention) use passes::ByFeatures;
pub(in crate::attention) use size::{cost, saved, space};
