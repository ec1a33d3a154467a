//! An experiment file is arguments: its keys are the long flags, and they come before those on the command line.
//!
//! ```yaml
//! command: svd-spectrum        # which subcommand; `luna run FILE` needs it
//! seq-len: [64, 128, 256]      # --seq-len=64,128,256
//! plot: true                   # --plot; false leaves it out
//! seed: 7                      # --seed=7; --seed on the command line overrides it
//! ```
//!
//! There is one parser of arguments and one set of defaults: clap's. Command-line flags override the file, and drop its
//! keys that conflict with them (`--synthetic` drops `model`). Former names of flags are keys too. Values are read as they
//! are written (`1.10` stays `1.10`). Relative paths are relative to the current folder, as they are for arguments, and not
//! to the file's own folder.

mod entry;
mod expand;
mod parse;

pub use entry::{Entry, Experiment, Setting};
pub(crate) use expand::expand;
pub use parse::parse;
