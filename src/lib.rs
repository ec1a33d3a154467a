//! luna
pub mod error;
pub mod linalg;
pub mod model;
pub mod name;
pub mod task;
pub use error::{Error, Result};
