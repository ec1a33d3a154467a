//! How commands that are no studies write their answers.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

/// How a command that is no study writes its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlainFormat {
    /// Aligned text
    #[default]
    Table,
    /// JSON
    Json,
}

/// Writes a value as indented JSON.
pub(super) fn write_json(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}
