//! What an experiment file contains.

use std::path::PathBuf;

/// The contents of an experiment file; whether the command has these flags is checked later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// The file, for messages.
    pub path: PathBuf,
    /// The subcommand, if the file names one.
    pub command: Option<Entry>,
    /// Every other key, in the file's order.
    pub entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The long flag, without its dashes.
    pub key: String,
    /// Its line in the file, from 1.
    pub line: usize,
    /// Its value.
    pub setting: Setting,
}

/// A value, as written in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `true` or `false`.
    Switch(bool),
    /// A number or a text, unchanged.
    Text(String),
    /// A list of numbers or texts, never empty.
    List(Vec<String>),
}
