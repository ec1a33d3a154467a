//! What is done, and what is not: from the files of the run first, then from the queue.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::run::{Run, is_done, logs, recorded};
use super::slurm;
use crate::cli::Failure;

/// Names that are shown of shards that are missing.
const SHOWN: usize = 5;

/// The state in the queue of every shard that is there, by its number from 0; none if the queue does not tell.
pub(super) fn queued(run: &Run) -> Option<BTreeMap<usize, String>> {
    let jobs: Vec<String> = run.arrays.iter().map(|array| array.job.clone()).collect();
    let offset = |job: &str| run.arrays.iter().find(|array| array.job == job).map(|array| array.offset);
    let states = slurm::queued(&jobs)?;
    Some(states.into_iter().filter_map(|((job, task), state)| Some((offset(&job)? + task, state))).collect())
}

/// Prints the state of a run.
pub(super) fn run(dir: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let run = Run::read(dir)?;
    let queued = queued(&run);
    let cells: usize = (0..run.shards).map(|number| recorded(dir, number)).sum();
    let done = (0..run.shards).filter(|number| is_done(dir, *number)).count();
    writeln!(out, "{done} of {} elements are done; {cells} of {} cells are recorded", run.shards, run.cells)?;
    let left: Vec<usize> = (0..run.shards).filter(|number| !is_done(dir, *number)).collect();
    let Some(queued) = queued else {
        writeln!(out, "squeue does not answer: what is running is not known")?;
        return Ok(());
    };
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for number in &left {
        if let Some(state) = queued.get(number) {
            *states.entry(state).or_default() += 1;
        }
    }
    for (state, count) in states {
        writeln!(out, "{state}: {count}")?;
    }
    let lost: Vec<usize> = left.into_iter().filter(|number| !queued.contains_key(number)).collect();
    // Of another system than Slurm the queue is not known.
    if !lost.is_empty() && !run.arrays.is_empty() {
        writeln!(out, "not done and not in the queue: {} (luna cluster resubmit submits them)", lost.len())?;
        for number in lost.iter().take(SHOWN) {
            let said = last_line(&run, dir, *number).unwrap_or_else(|| "it said nothing".into());
            writeln!(out, "  element {}: {said}", number + 1)?;
        }
    }
    let result = dir.join("result").join("result.json");
    if result.exists() {
        writeln!(out, "merged: '{}'", result.display())?;
    }
    Ok(())
}

/// The last line of an element's newest log.
fn last_line(run: &Run, dir: &Path, number: usize) -> Option<String> {
    run.arrays.iter().rev().find_map(|array| {
        let index = number.checked_sub(array.offset)?;
        let text = std::fs::read_to_string(logs(dir).join(format!("{}_{index}.log", array.job))).ok()?;
        text.lines().rfind(|line| !line.trim().is_empty()).map(String::from)
    })
}
