//! An experiment file is arguments: its keys are the long flags, and they are put before those typed.
//!
//! ```yaml
//! command: svd-spectrum        # which subcommand; `luna run FILE` needs it
//! seq-len: [64, 128, 256]      # --seq-len=64,128,256
//! plot: true                   # --plot; false leaves it out
//! seed: 7                      # --seed=7, unless --seed is typed
//! ```
//!
//! There is one parser of arguments and one set of defaults: clap's. What is typed wins, also over a key that it
//! excludes (`--synthetic` typed leaves out the file's `model`). Values are taken letter by letter as they stand in
//! the file (`1.10` stays `1.10`). Relative paths are relative to the current folder, as they are for arguments, and
//! not to the file's own folder: an experiment file is arguments, and moving it moves nothing else.

mod expand;
mod parse;

pub(crate) use expand::expand;
pub use parse::parse;

use std::path::PathBuf;

/// What an experiment file says, before it is known which flags the command has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// The file, for messages.
    pub path: PathBuf,
    /// The subcommand that it is for, if it says.
    pub command: Option<Entry>,
    /// Every other key, in the file's order.
    pub entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The long flag, without its dashes.
    pub key: String,
    /// Where it stands in the file, from 1.
    pub line: usize,
    /// Its value.
    pub setting: Setting,
}

/// A value as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `true` or `false`.
    Switch(bool),
    /// A number or a text, letter by letter.
    Text(String),
    /// A list of numbers or texts, never empty.
    List(Vec<String>),
}
