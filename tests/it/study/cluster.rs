//! A study in elements, with commands in the place of Slurm's that say what they were asked. (`tests/cluster/run.sh` has the
//! real ones.)

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::killed::{files, send};

const STUDY: &str =
    "svd-spectrum --synthetic gaussian,iid --seq-len 24 --windows 3 --at 4 --null none --threads 1 --quiet";

/// Commands of a cluster whose arrays have at most 4 elements; they write what they were asked into files beside them.
const SLURM: [(&str, &str); 3] = [
    ("scontrol", r#"[ "$1" = requeue ] && echo "$2" >> "$0.asked"; echo "MaxArraySize = 4""#),
    ("sbatch", r#"echo "$@" >> "$0.asked"; env | grep '^SLURM_' >> "$0.asked"; wc -l < "$0.asked""#),
    ("squeue", r#"case "$*" in *%L*) echo "$TIME_LEFT";; esac"#),
];

struct Cluster(tempfile::TempDir);

impl Cluster {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, script) in SLURM {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    fn command(&self, arguments: &str) -> Command {
        let path = format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path()).env("PATH", path);
        command
    }

    fn luna(&self, arguments: &str, variables: &[(&str, &str)]) -> Output {
        self.command(arguments).envs(variables.iter().copied()).output().unwrap()
    }

    fn asked(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(format!("{name}.asked"))).unwrap_or_default()
    }

    /// Cells that an element recorded.
    fn cells(&self, part: &str) -> usize {
        let journal = self.0.path().join("study/parts").join(part).join("journal.jsonl");
        std::fs::read_to_string(journal).map_or(0, |text| text.lines().count().saturating_sub(1))
    }
}

#[test]
fn elements_of_any_system_are_merged_to_the_bytes_of_one_run() {
    let cluster = Cluster::new();
    let folder: &Path = cluster.0.path();
    assert!(cluster.luna(&format!("{STUDY} --out run"), &[]).status.success());
    let expected = files(folder);
    // From inside of another job, whose variables are not passed on.
    let inside = [("SLURM_CPU_BIND", "none"), ("SLURM_JOB_ID", "3")];
    let submitted = cluster.luna(&format!("cluster submit --out study --elements 5 -- {STUDY}"), &inside);
    assert!(submitted.status.success(), "{submitted:?}");
    let asked = cluster.asked("sbatch");
    let arrays: Vec<&str> = asked.lines().filter_map(|line| line.split("--export").next()).collect();
    assert_eq!(&arrays[..2], ["--parsable --array=0-3 ", "--parsable --array=0 "], "{asked}");
    assert!(asked.contains("LUNA_OFFSET=4") && asked.contains("--dependency=afterany:1:2"), "{asked}");
    assert!(!asked.contains("SLURM_"), "{asked}");
    let element = |arguments: &str, variables: &[(&str, &str)]| {
        let ran = cluster.luna(&format!("cluster element study {arguments}"), variables);
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    };
    for (number, variable) in [("0", "JOB_COMPLETION_INDEX"), ("2", "PARALLEL_SEQ"), ("3", "HQ_TASK_ID")] {
        element("", &[(variable, number)]);
    }
    element("", &[("PBS_ARRAY_INDEX", "4")]);
    let status = cluster.luna("cluster status study", &[]);
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(said.contains("4 of 5 elements are done"), "{said}");
    let again = cluster.luna("cluster resubmit study", &[]);
    assert!(again.status.success() && cluster.asked("sbatch").contains("--array=0 "), "{again:?}");
    element("--offset 4", &[("SLURM_ARRAY_TASK_ID", "0")]);
    assert!(cluster.luna("merge study/parts --out merged/run --quiet", &[]).status.success());
    assert_eq!(files(&folder.join("merged")), expected);
}

/// Where there is no Slurm, tasks of any system are elements of a run that was planned only.
#[test]
fn a_run_is_planned_for_other_systems() {
    let cluster = Cluster::new();
    std::fs::write(cluster.0.path().join("a.txt"), "to be or not to be, ".repeat(40)).unwrap();
    let study = "svd-spectrum --model byte-transformer --text a.txt --seq-len 24 --windows 1 --at 4 --null none --quiet";
    let plan = || cluster.luna(&format!("cluster plan --out study --elements 2 -- {study}"), &[("PATH", "")]);
    let said = String::from_utf8(plan().stdout).unwrap();
    assert!(
        said.ends_with("a task is 'luna cluster element study'; all of them, 'luna merge study/parts'\n"),
        "{said}"
    );
    for number in ["0", "1"] {
        // Whatever folder the system starts it in.
        let mut task = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
        task.args(["cluster", "element"]).arg(cluster.0.path().join("study")).current_dir("/");
        assert!(task.env("JOB_COMPLETION_INDEX", number).status().unwrap().success());
    }
    let status = cluster.luna("cluster status study", &[]);
    assert_eq!(
        String::from_utf8_lossy(&status.stdout),
        "2 of 2 elements are done; 16 of 16 cells are recorded\n"
    );
    assert!(cluster.luna("merge study/parts", &[]).status.success());
    assert!(String::from_utf8_lossy(&plan().stderr).contains("'study': holds an earlier run"));
}

/// An element that is near its time limit finishes what it began, and begins nothing that does not fit. Every start gets on.
#[test]
fn an_element_begins_no_cell_that_does_not_fit() {
    let cluster = Cluster::new();
    let submitted =
        cluster.luna(&format!("cluster submit --out study --elements 1 --requeues 3 -- {STUDY}"), &[]);
    assert!(submitted.status.success(), "{submitted:?}");
    let script = std::fs::read_to_string(cluster.0.path().join("study/element.sh")).unwrap();
    assert!(script.contains("--requeues 3 --stop-before 120\n"), "{script}");
    let element = "cluster element study --requeues 3 --stop-before 120";
    let task = [("SLURM_JOB_ID", "9"), ("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_ID", "0")];
    let now = luna::profile::clock::since_epoch();
    // Below the two minutes before the limit at which the element is asked to stop.
    let (soon, later) = ((now + 100).to_string(), (now + 4000).to_string());
    let mut before = 0;
    for (end, restarts) in [(("SLURM_JOB_END_TIME", soon.as_str()), "0"), (("TIME_LEFT", "1:30"), "1")] {
        let ran = cluster.luna(element, &[&task[..], &[end, ("SLURM_RESTART_COUNT", restarts)]].concat());
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(75), "{said}");
        assert!(said.contains("are left: it is not begun"), "{said}");
        let cells = cluster.cells("1");
        assert!(cells > before && cells < 6, "{cells} after {before}");
        before = cells;
    }
    assert_eq!(cluster.asked("scontrol"), "7_0\n7_0\n");
    let often = [&task[..], &[("TIME_LEFT", "1:30"), ("SLURM_RESTART_COUNT", "3")]].concat();
    assert_eq!(cluster.luna(element, &often).status.code(), Some(75));
    assert_eq!(cluster.asked("scontrol"), "7_0\n7_0\n", "as often as was asked for");
    let enough = [&task[..], &[("SLURM_JOB_END_TIME", later.as_str())]].concat();
    assert_eq!(cluster.luna(element, &enough).status.code(), Some(0));
    assert_eq!(cluster.cells("1"), 6);
}

/// A cell that does not stop is left, and the element is back in the queue all the same.
#[test]
fn an_element_in_the_middle_of_a_long_cell_is_requeued() {
    let cluster = Cluster::new();
    let long = STUDY.replace("--seq-len 24", "--seq-len 24,2048 --method exact");
    assert!(
        cluster.luna(&format!("cluster submit --out study --elements 1 -- {long}"), &[]).status.success()
    );
    let mut element = cluster.command("cluster element study --requeues 1");
    element.envs([("SLURM_JOB_ID", "9"), ("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_ID", "0")]);
    let child = element.stderr(Stdio::piped()).spawn().unwrap();
    while cluster.cells("1") < 6 {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    send("TERM", &child);
    let ran = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!((ran.status.code(), cluster.asked("scontrol").as_str()), (Some(75), "7_0\n"), "{said}");
    // It stops by itself, or is left.
    assert!(said.contains("interrupted"), "{said}");
}
