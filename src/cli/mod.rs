//! The roof.
pub mod experiment;
