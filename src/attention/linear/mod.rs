//! Linear attention (Katharopoulos et al. 2020): features elu + 1 in place of the exponential.

mod features;
mod fused;
mod past;
mod phi;
mod reference;

pub(super) use reference::KIND;
