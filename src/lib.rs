//! luna
pub mod error;
pub mod linalg;
pub mod name;
pub mod report;
pub use error::{Error, Result};
