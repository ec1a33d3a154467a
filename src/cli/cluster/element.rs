//! What an element of an array executes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::program::Program;
use super::run::{self, Done, Run, is_done, write_done};
use super::{slurm, task};
use crate::cli::{Failure, Global, exit, interrupt};
use crate::error::Error;
use crate::profile::clock::Stopwatch;

/// What an element takes.
#[derive(Args, Clone, Debug)]
pub(super) struct ElementArgs {
    /// The folder of the run (the --out of submit)
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Added to the task's number, where array jobs begin anew
    #[arg(long, value_name = "K", default_value_t = 0)]
    offset: usize,
    /// How often it puts itself back into the queue of Slurm when its time is over
    #[arg(long, value_name = "N", default_value_t = 0)]
    requeues: usize,
    /// Seconds before the time limit at which Slurm asks it to stop: it begins nothing that lasts longer
    #[arg(long, value_name = "S", default_value_t = 0)]
    stop_before: u32,
    /// The shard's number, from 0 [default: the task's number, from the variables of the system that started it]
    #[arg(long, value_name = "I")]
    number: Option<usize>,
}

impl ElementArgs {
    pub(super) fn run(&self, program: Program, global: &Global) -> Result<(), Failure> {
        let dir = std::path::absolute(&self.dir).map_err(Error::file(&self.dir))?;
        let run = Run::read(&dir)?;
        if run.version != env!("CARGO_PKG_VERSION") {
            let what = format!("was planned by version {} of luna", run.version);
            return Err(Error::malformed(&dir, what, env!("CARGO_PKG_VERSION")).into());
        }
        let Some(number) = self.number.or_else(|| Some(task::number()? + self.offset)) else {
            let accepted = format!("--number, or a task's number in one of {}", task::variables());
            return Err(Error::Refused(format!("element: no number; expected {accepted}")).into());
        };
        let Some(shard) = run.shard(number) else {
            return Err(Error::value(
                "element",
                number,
                format!("below {}, the elements of this run", run.shards),
            )
            .into());
        };
        if is_done(&dir, number) {
            return Ok(());
        }
        if let Some(left) = task::seconds_left() {
            interrupt::end_in(left - f64::from(self.stop_before));
        }
        // What the study names is relative to it; a node that has it elsewhere needs whole paths.
        if run.started_in.is_dir() {
            std::env::set_current_dir(&run.started_in).map_err(Error::file(&run.started_in))?;
        }
        // Its time is over: what is recorded stays, and the rest is run when it is started again.
        let (task, restarts) = task::of_slurm().unzip();
        let restarts = restarts.unwrap_or(0);
        let task = task.filter(|_| restarts < self.requeues);
        let again = move || task.as_ref().map_or(Ok(()), |task| slurm::requeue(task));
        let at_leave = again.clone();
        interrupt::before_leaving(move || {
            // Says why, if it fails; the exit code is that of the stop all the same.
            let _ = exit::code(at_leave().map_err(Failure::from));
        });
        let watch = Stopwatch::start();
        let mut part: Vec<OsString> = vec!["--shard".into(), shard.to_string().into(), "--out".into()];
        part.extend([run::part(&dir, number).into(), "--resume".into()]);
        let ended = (program.run)(&run.arguments, &part, global);
        match &ended {
            Ok(()) => {
                write_done(&dir, number, &Done { node: task::node(), seconds: watch.seconds(), restarts })?;
            }
            Err(Failure::Luna(Error::Interrupted)) => again()?,
            Err(_) => {}
        }
        ended
    }
}
