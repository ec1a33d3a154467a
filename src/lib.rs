//! luna
pub mod cli;
pub mod error;
pub mod linalg;
pub mod name;
pub mod profile;
pub use error::{Error, Result};
