//! luna
pub mod error;
pub mod linalg;
pub mod name;
pub use error::{Error, Result};
