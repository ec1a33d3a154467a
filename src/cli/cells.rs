//! How the cells of a study are run: all of them, the rest of an interrupted run, or a part; and how parts are merged.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;

use super::study::OutputArgs;
use super::{Global, executable};
use crate::profile::machine::Machine;
use crate::sweep::{Merged, Origin, RunFolder, Shard};

/// What a study of cells takes beside where its result goes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
#[allow(clippy::struct_excessive_bools)] // flags of the command line
pub(super) struct CellArgs {
    /// Continue the interrupted run in the folder of --out
    #[arg(long, requires = "out")]
    pub(super) resume: bool,
    /// Run part I of N only, into the folder of --out; `luna merge` shows all parts as one run
    #[arg(long, requires = "out", value_name = "I/N")]
    pub(super) shard: Option<Shard>,
    /// Run in N processes beside each other, in folders `parts` of --out, and merge what they find
    #[arg(long, requires = "out", conflicts_with = "shard", value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// End when standard input does; what a process of `--jobs` is told.
    #[arg(long, hide = true, requires = "shard")]
    pub(super) while_stdin: bool,
    /// List the cells with their predicted costs, and run none.
    #[arg(long, hide = true)]
    pub(super) list_cells: bool,
    /// Runs whose cells are shown.
    // `luna merge` puts these before the arguments of the study that it merges.
    #[arg(long, hide = true, value_name = "DIR")]
    pub(super) merge_from: Vec<PathBuf>,
    /// Show a merge of which cells are missing.
    #[arg(long, hide = true, requires = "merge_from")]
    pub(super) partial: bool,
    /// Merge times of unlike machines.
    #[arg(long, hide = true, requires = "merge_from")]
    pub(super) mixed_machines: bool,
}

impl CellArgs {
    /// Where the run is recorded, and which cells it runs.
    pub(super) fn folder(&self, output: &OutputArgs, global: &Global) -> RunFolder {
        let is_merge = !self.merge_from.is_empty();
        let merged =
            Merged { runs: self.merge_from.clone(), partial: self.partial, mixed: self.mixed_machines };
        RunFolder {
            path: output.out.clone(),
            resume: self.resume,
            shard: self.shard,
            listed: self.list_cells,
            merged: is_merge.then_some(merged),
            origin: Origin {
                command: global.command.clone(),
                arguments: global.arguments.clone(),
                machine: machine(),
            },
        }
    }
}

/// Runs this program with arguments; returns what it writes, if it can be started and succeeds.
pub(super) fn spawn(args: &[String]) -> Option<String> {
    let mut child = Command::new(executable::path().ok()?);
    let ran = child.args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).into_owned())
}

fn machine() -> String {
    let cpu = Machine::read().cpu.unwrap_or_default();
    format!("{cpu}, {} threads", rayon::current_num_threads())
}

/// Flags that say where a result goes and which cells are run, and not what is measured; with a value or without.
const PLACE: [(&str, bool); 9] = [
    ("--out", true),
    ("--shard", true),
    ("--jobs", true),
    ("--merge-from", true),
    ("--resume", false),
    ("--while-stdin", false),
    ("--list-cells", false),
    ("--partial", false),
    ("--mixed-machines", false),
];

/// The arguments (without the program) that say what is measured.
pub(super) fn what_is_measured(arguments: &[OsString]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = arguments.iter().map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or_default();
        match PLACE.iter().find(|(flag, _)| *flag == name) {
            // The value is the next word.
            Some((flag, true)) if *flag == word => drop(words.next()),
            Some(_) => {}
            None => kept.push(word),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_where_is_left_out() {
        let of = |typed: &str| {
            what_is_measured(&typed.split(' ').map(OsString::from).collect::<Vec<_>>()).join(" ")
        };
        assert_eq!(of("run a.yaml --out x --seed 3 --shard=1/2 --resume"), "run a.yaml --seed 3");
        assert_eq!(of("svd-spectrum --outer 1 --out=x --at 3"), "svd-spectrum --outer 1 --at 3");
    }
}
