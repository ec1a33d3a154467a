//! luna
pub mod error;
pub mod linalg;
pub mod metric;
pub mod name;
pub mod rng;
pub mod stats;
pub use error::{Error, Result};
