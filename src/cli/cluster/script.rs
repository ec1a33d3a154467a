//! The scripts of the jobs.

use std::path::Path;

use super::run::{Run, logs, parts};

/// Variables that say how many threads a numerical library uses.
const THREADS: [&str; 3] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"];

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn head(run: &Run, dir: &Path, name: &str, log: &str, options: &[&str]) -> Vec<String> {
    let log = logs(dir).join(log);
    let mut lines = vec!["#!/bin/bash".to_string()];
    let sbatch = |option: &str| format!("#SBATCH {option}");
    lines.push(sbatch(&format!("--job-name={name}")));
    lines.push(sbatch(&format!("--chdir={}", quoted(&run.started_in.display().to_string()))));
    lines.push(sbatch(&format!("--output={}", quoted(&log.display().to_string()))));
    lines.push(sbatch("--open-mode=append"));
    lines.extend(options.iter().copied().map(sbatch));
    lines
}

/// What an element of an array executes; its shard is its index after `offset`.
pub(super) fn element(run: &Run, dir: &Path) -> String {
    // SIGTERM before the end: the element stops within seconds, and is put back into the queue.
    let signal = format!("--signal=B:TERM@{}", run.stop_before);
    let mut lines = head(run, dir, "luna", "%A_%a.log", &["--requeue", &signal]);
    lines.extend(run.options.iter().map(|option| format!("#SBATCH {option}")));
    // From Slurm 22.05 on srun does not inherit it.
    lines.push("export SRUN_CPUS_PER_TASK=\"${SLURM_CPUS_PER_TASK:-1}\"".into());
    lines.extend(THREADS.map(|name| format!("export {name}=\"$SRUN_CPUS_PER_TASK\"")));
    // In the place of the shell, so that the signal reaches it.
    lines.push(format!(
        "exec {} cluster element {} --offset \"$LUNA_OFFSET\" --requeues {} --stop-before {}",
        quoted(&run.program.display().to_string()),
        quoted(&dir.display().to_string()),
        run.requeues,
        run.stop_before
    ));
    lines.join("\n") + "\n"
}

/// The merge, after all elements, whether they succeeded or not: it says what is missing.
pub(super) fn merge(run: &Run, dir: &Path) -> String {
    let mut lines = head(run, dir, "luna-merge", "merge-%j.log", &[]);
    let shared =
        |option: &&String| ["--partition", "--account", "--qos"].iter().any(|name| option.starts_with(name));
    lines.extend(run.options.iter().filter(shared).map(|option| format!("#SBATCH {option}")));
    let [program, parts, out] =
        [&run.program, &parts(dir), &dir.join("result")].map(|path| quoted(&path.display().to_string()));
    // Of an earlier merge, which may have been partial.
    lines.push(format!("rm -rf {out}"));
    lines.push(format!("exec {program} merge {parts} --out {out}"));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_quote_what_a_shell_would_split() {
        let run = Run {
            program: "/opt/it's/luna".into(),
            started_in: "/home/a b".into(),
            options: vec!["--partition=cpu".into(), "--mem=4G".into()],
            ..Run::default()
        };
        let element = element(&run, Path::new("/data/my run"));
        assert!(element.ends_with(
            "exec '/opt/it'\\''s/luna' cluster element '/data/my run' --offset \"$LUNA_OFFSET\" --requeues 0 --stop-before 0\n"
        ));
        assert!(element.contains("#SBATCH --chdir='/home/a b'\n") && element.contains("#SBATCH --mem=4G\n"));
        let merge = merge(&run, Path::new("/data/my run"));
        assert!(merge.contains("#SBATCH --partition=cpu\n") && !merge.contains("--mem"));
        assert!(merge.ends_with("merge '/data/my run/parts' --out '/data/my run/result'\n"));
    }
}
