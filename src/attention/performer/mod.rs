//! Performer (Choromanski et al. 2021): FAVOR+, softmax by positive orthogonal random features.

mod backward;
mod fused;
mod past;
mod reference;

pub(super) use reference::KIND;
pub use reference::orthogonal;
