//! Submits what is missing: all of it at first.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::plan::{PlanArgs, count};
use super::program::Program;
use super::run::{Array, Facts, Run, is_done, logs, parts};
use super::{script, slurm, status};
use crate::cli::Failure;
use crate::cli::experiment::{self, Setting};
use crate::error::{Error, Result};
use crate::file::save_text;

/// What submitting takes.
#[derive(Args, Clone, Debug)]
pub(super) struct SubmitArgs {
    /// Folder of the run, on a disk that every node sees
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Options of Slurm.
    #[command(flatten)]
    slurm: SlurmArgs,
    /// Print the scripts and what would be submitted, and submit nothing
    #[arg(long)]
    dry_run: bool,
    /// How the study is cut into elements.
    #[command(flatten)]
    plan: PlanArgs,
}

/// What submitting again takes.
#[derive(Args, Clone, Debug)]
pub(super) struct ResubmitArgs {
    /// The folder of the run (the --out of submit)
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Options of Slurm that replace those of before.
    #[command(flatten)]
    slurm: SlurmArgs,
}

/// What elements ask of Slurm.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Slurm")]
struct SlurmArgs {
    /// Partition
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Time limit of an element, such as 2:00:00
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// Memory of an element, such as 16G
    #[arg(long, value_name = "SIZE")]
    mem: Option<String>,
    /// Cores of an element
    #[arg(long, value_name = "N")]
    cpus: Option<usize>,
    /// Features that a node must have
    #[arg(long, value_name = "LIST")]
    constraint: Option<String>,
    /// Nodes that are not used
    #[arg(long, value_name = "LIST")]
    exclude: Option<String>,
    /// Any other option of sbatch, such as --sbatch=--qos=long; may be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,
    /// A site's options: YAML, such as `partition: cpu`; those given here replace its own
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Elements that run at once
    #[arg(long, value_name = "N")]
    parallel: Option<usize>,
    /// How often an element that ran out of time is started again
    #[arg(long, value_name = "N", default_value_t = 5)]
    requeues: usize,
    /// Seconds before its time limit at which an element is asked to stop
    #[arg(long, value_name = "S", default_value_t = 120)]
    stop_before: usize,
}

impl SlurmArgs {
    /// Options of sbatch; of those that are given twice the last counts.
    fn options(&self) -> Result<Vec<String>> {
        let mut options: Vec<(String, String)> = Vec::new();
        if let Some(path) = &self.profile {
            let read = experiment::parse(path, &crate::file::text(path)?)?;
            for entry in read.command.into_iter().chain(read.entries) {
                let value = match entry.setting {
                    Setting::Switch(true) => String::new(),
                    Setting::Switch(false) => continue,
                    Setting::Text(value) => format!("={value}"),
                    Setting::List(values) => format!("={}", values.join(",")),
                };
                options.push((format!("--{}", entry.key), value));
            }
        }
        let cpus = self.cpus.map(|cpus| cpus.to_string());
        let given = [
            ("--partition", &self.partition),
            ("--account", &self.account),
            ("--time", &self.time),
            ("--mem", &self.mem),
            ("--cpus-per-task", &cpus),
            ("--constraint", &self.constraint),
            ("--exclude", &self.exclude),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_string(), format!("={}", value.as_ref()?))));
        let mut all: Vec<(String, String)> = options.into_iter().chain(given).collect();
        for option in &self.sbatch {
            let option = option.trim_start_matches('-');
            let (name, value) = option
                .split_once('=')
                .map_or((option, String::new()), |(name, value)| (name, format!("={value}")));
            all.push((format!("--{name}"), value));
        }
        let last = |at: usize| !all[at + 1..].iter().any(|(name, _)| *name == all[at].0);
        let kept = (0..all.len()).filter(|at| last(*at)).map(|at| format!("{}{}", all[at].0, all[at].1));
        Ok(kept.collect())
    }
}

impl SubmitArgs {
    pub(super) fn run(&self, program: Program, out: &mut dyn Write) -> Result<(), Failure> {
        Run::refuse_used(&self.out)?;
        let options = self.slurm.options()?;
        let plan = self.plan.plan(program)?;
        plan.show(out)?;
        // A dry run may be made anywhere.
        let facts = match slurm::facts() {
            Err(_) if self.dry_run => Facts { max_array_size: 1001, ..Facts::default() },
            facts => facts?,
        };
        let dir = absolute(&self.out)?;
        let SlurmArgs { requeues, stop_before, .. } = self.slurm;
        let mut run = Run { requeues, stop_before, options, slurm: facts, ..plan.run()? };
        let missing: Vec<usize> = (0..run.shards).collect();
        if self.dry_run {
            write!(out, "\n{}\n{}\n", script::element(&run, &dir), script::merge(&run, &dir))?;
            for (offset, indices) in arrays(&missing, run.slurm.max_array_size) {
                let options = array_options(offset, &indices, self.slurm.parallel);
                writeln!(out, "sbatch {} element.sh", options.join(" "))?;
            }
            return Ok(());
        }
        // Slurm makes no folders: without that of the logs a job dies and says nothing.
        for folder in [logs(&dir), parts(&dir)] {
            std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        }
        submit(&mut run, &dir, &missing, self.slurm.parallel, out)
    }
}

impl ResubmitArgs {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let dir = absolute(&self.dir)?;
        let mut run = Run::read(&dir)?;
        let Some(queued) = status::queued(&run) else {
            return Err(Error::Refused("cluster: squeue does not say what is in the queue".into()).into());
        };
        let missing: Vec<usize> = (0..run.shards)
            .filter(|number| !is_done(&dir, *number) && !queued.contains_key(number))
            .collect();
        if missing.is_empty() {
            writeln!(out, "nothing is missing that is not in the queue")?;
            return Ok(());
        }
        let options = self.slurm.options()?;
        let name = |option: &String| option.split('=').next().unwrap_or_default().to_string();
        run.options.retain(|old| !options.iter().any(|new| name(new) == name(old)));
        run.options.extend(options);
        run.requeues = self.slurm.requeues;
        run.stop_before = self.slurm.stop_before;
        submit(&mut run, &dir, &missing, self.slurm.parallel, out)
    }
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir).map_err(Error::file(dir))
}

/// Shards as array jobs: an offset, and indices below the largest that the cluster takes.
fn arrays(missing: &[usize], size: usize) -> Vec<(usize, Vec<usize>)> {
    let of = |number: &usize| number / size.max(1);
    missing
        .chunk_by(|a, b| of(a) == of(b))
        .map(|chunk| {
            let offset = of(&chunk[0]) * size.max(1);
            (offset, chunk.iter().map(|number| number - offset).collect())
        })
        .collect()
}

/// The options of an array job.
fn array_options(offset: usize, indices: &[usize], parallel: Option<usize>) -> Vec<String> {
    let at_once = parallel.map(|count| format!("%{count}")).unwrap_or_default();
    vec![format!("--array={}{at_once}", ranges(indices)), format!("--export=ALL,LUNA_OFFSET={offset}")]
}

/// Sorted numbers as Slurm takes them: 0-4,7.
fn ranges(numbers: &[usize]) -> String {
    let chunks = numbers.chunk_by(|a, b| a + 1 == *b);
    let range = |chunk: &[usize]| match chunk {
        [one] => one.to_string(),
        _ => format!("{}-{}", chunk[0], chunk[chunk.len() - 1]),
    };
    chunks.map(range).collect::<Vec<_>>().join(",")
}

/// Submits these shards and the merge after them; what was submitted is recorded after every step.
fn submit(
    run: &mut Run,
    dir: &Path,
    missing: &[usize],
    parallel: Option<usize>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let [element, merge] = ["element.sh", "merge.sh"].map(|name| dir.join(name));
    save_text(&element, &script::element(run, dir))?;
    save_text(&merge, &script::merge(run, dir))?;
    run.write(dir)?;
    let mut jobs = Vec::new();
    for (offset, indices) in arrays(missing, run.slurm.max_array_size) {
        let job = slurm::submit(&element, &array_options(offset, &indices, parallel))?;
        writeln!(out, "submitted {} as array job {job}", count(indices.len(), "element"))?;
        jobs.push(job.clone());
        run.arrays.push(Array { job, offset });
        run.write(dir)?;
    }
    let after = format!("--dependency=afterany:{}", jobs.join(":"));
    let job = slurm::submit(&merge, &[after])?;
    writeln!(out, "submitted the merge into '{}' as job {job}", dir.join("result").display())?;
    run.merges.push(job);
    Ok(run.write(dir)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_stay_below_what_a_cluster_takes() {
        let missing = [0, 1, 2, 5, 9, 10, 11, 25];
        let found = arrays(&missing, 10);
        assert_eq!(found, [(0, vec![0, 1, 2, 5, 9]), (10, vec![0, 1]), (20, vec![5])]);
        assert_eq!(ranges(&found[0].1), "0-2,5,9");
        let options = array_options(10, &found[1].1, Some(4));
        assert_eq!(options, ["--array=0-1%4", "--export=ALL,LUNA_OFFSET=10"]);
        assert_eq!(arrays(&(0..2500).collect::<Vec<_>>(), 1001).len(), 3);
    }
}
