//! Linformer (Wang et al. 2020): keys and values projected along the length, from m rows to l.

mod backward;
mod fit;
mod fused;
mod reference;

pub(super) use reference::KIND;
