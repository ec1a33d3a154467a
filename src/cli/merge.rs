//! `luna merge`: the cells of several runs shown as one.
//!
//! The journals say which command began them. The merge is that command, told to take its cells from there and to run none:
//! so its tables, figures and notes are those of one run.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::error::Result;
use crate::sweep::{Merged, Origin};

/// What `luna merge` takes.
#[derive(Args, Clone, Debug)]
pub struct Merge {
    /// Folders of runs (of their --out), or folders that hold such folders
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Folder for the merged result; it can be continued with --resume
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Show what is there if cells are missing; the exit code is then 75
    #[arg(long)]
    pub partial: bool,
    /// Merge times of unlike machines: they compare within one length only
    #[arg(long)]
    pub mixed_machines: bool,
    /// How to write the result: table, json, csv, jsonl, markdown or latex
    #[arg(long, value_name = "NAME", default_value = "table")]
    pub format: String,
}

impl Merge {
    /// The arguments of the study that the runs are parts of, and what began them.
    pub(super) fn expand(&self, quiet: bool) -> Result<(Vec<OsString>, Origin)> {
        let Self { runs, out, partial, mixed_machines, format } = self;
        let origin = Merged { runs: runs.clone(), ..Merged::default() }.origin()?;
        let mut argv: Vec<OsString> = vec!["luna".into()];
        argv.extend(origin.arguments.iter().map(OsString::from));
        let from = runs.iter().map(|run| ("--merge-from", run.into()));
        let out = out.iter().map(|out| ("--out", out.into()));
        for (flag, value) in from.chain(out).chain([("--format", format.into())]) {
            argv.extend([flag.into(), value]);
        }
        for (flag, given) in
            [("--partial", *partial), ("--mixed-machines", *mixed_machines), ("--quiet", quiet)]
        {
            if given {
                argv.push(flag.into());
            }
        }
        Ok((argv, origin))
    }
}
