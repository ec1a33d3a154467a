//! `luna cluster`: a study as the elements of an array job of Slurm, and their merge.
//!
//! An element is a shard of the study. The files of the run are the only truth: `cluster.json` (what was planned and
//! submitted), the journal of each shard, and a file `done` beside it. A journal is written by one process at a time, on the
//! shared disk: each line in one call, with its hash, so that a node that dies loses the cells in work and nothing that was
//! finished. Whatever happens, what is missing is computed from these files, and submitted again.
//!
//! - `plan`: how many cells, how long one takes, how many elements;
//! - `submit`: writes the run's folder and the job scripts, and submits them (or, with --dry-run, prints them);
//! - `element`: what an element of the array executes: the shard of its task number. Any other system that numbers its
//!   tasks can execute it (`task`);
//! - `status`, `resubmit`, `cancel`.

mod element;
mod plan;
mod program;
mod run;
mod script;
mod slurm;
mod status;
mod submit;
mod task;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(super) use program::Program;

use super::{Failure, Global};

/// What `luna cluster` takes.
#[derive(Args, Clone, Debug)]
pub struct Cluster {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Say how many cells a study has, how long they take, and in how many elements they would run
    Plan(plan::PlanOnlyArgs),
    /// Submit a study as an array job of Slurm, and the merge of what it finds
    Submit(submit::SubmitArgs),
    /// Say what is done, running, waiting and missing
    Status(Folder),
    /// Submit again what is missing and not in the queue
    Resubmit(submit::ResubmitArgs),
    /// Cancel what is in the queue
    Cancel(Folder),
    /// Run the shard of this task's number; what an element of the array job executes
    Element(element::ElementArgs),
}

/// The folder of a run.
#[derive(Args, Clone, Debug)]
struct Folder {
    /// The folder of the run (the --out of submit)
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Cluster {
    /// Plans, submits, runs or watches.
    pub(super) fn run(&self, program: Program, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        match &self.what {
            What::Plan(args) => args.run(program, out),
            What::Submit(args) => args.run(program, out),
            What::Status(folder) => status::run(&folder.dir, out),
            What::Resubmit(args) => args.run(out),
            What::Cancel(folder) => slurm::cancel(&folder.dir, out),
            What::Element(args) => args.run(program, global),
        }
    }
}
