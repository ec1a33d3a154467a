//! Language modelling: windows of a text, each token predicted from those before it.

mod windows;

pub use windows::{BYTES, Judged, Language, Windows};
