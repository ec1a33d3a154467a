//! What is checked.

use std::path::PathBuf;

use clap::Args;

use crate::study::input::InputArgs;
use crate::study::scale_sweep::Spawn;
use crate::sweep::RunFolder;

/// What `luna check` takes.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Claims to check (see `luna list claim`) [default: all]
    #[arg(value_name = "CLAIM")]
    pub claims: Vec<String>,
    /// Where the heads come from.
    #[command(flatten)]
    pub input: InputArgs,
    /// Finished runs that claims about training are judged by: folders of luna train or luna translate
    #[arg(long, value_name = "DIR")]
    pub runs: Vec<PathBuf>,
    /// Where the cells of what is measured are recorded.
    #[arg(skip)]
    pub folder: RunFolder,
    /// Starts this program again, for cells in a process of their own.
    #[arg(skip)]
    pub spawn: Option<Spawn>,
}
