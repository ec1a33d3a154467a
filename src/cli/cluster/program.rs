//! What the rest of the program does for a study of a cluster.

use std::ffi::OsString;

use crate::cli::{Failure, Global};
use crate::error::Result;

/// The rest of the program, which knows this part of it.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Program {
    /// The arguments of a command (the program's name first) that say what is measured, with those of an experiment file in
    /// its place; refuses a command whose cells cannot be run apart.
    pub(in crate::cli) arguments: fn(Vec<OsString>) -> Result<Vec<String>>,
    /// Runs a study with its arguments, and more that say which part of it.
    pub(in crate::cli) run: RunPart,
}

/// Runs the part of a study that its arguments and some more name.
type RunPart = fn(&[String], &[OsString], &Global) -> Result<(), Failure>;
