//! What the program says around a study: what it wrote, which flags have new names, which columns there are.

use std::path::Path;
use std::process::{Command, Output};

fn luna(args: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    command.args(args).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const SPECTRA: [&str; 9] =
    ["svd-spectrum", "--synthetic", "gaussian,iid", "--seq-len", "24", "--windows", "2", "--at", "4"];

#[test]
fn what_was_written_is_said_and_a_used_folder_refused() {
    let folder = tempfile::tempdir().unwrap();
    let args = [&SPECTRA[..], &["--out", "run"]].concat();
    let output = luna(&args, folder.path());
    assert!(output.status.success());
    let said = text(&output.stderr).lines().last().unwrap();
    assert!(said.starts_with("luna: wrote result.json, result.csv, "), "{said}");
    assert!(said.ends_with("manifest.json to 'run'"), "{said}");
    let again = luna(&args, folder.path());
    let said = text(&again.stderr);
    assert_eq!((again.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("'run': holds an earlier run") && said.contains("--resume"), "{said}");
    // Resumed, it is the same result; asked for other rows, its files are no longer those of before.
    let resumed = luna(&[&args[..], &["--resume"]].concat(), folder.path());
    assert_eq!(resumed.stdout, output.stdout);
    assert!(folder.path().join("run/summary.csv").exists());
    let rows = luna(&[&args[..], &["--resume", "--aggregate=no"]].concat(), folder.path());
    assert!(rows.status.success(), "{}", text(&rows.stderr));
    assert!(!folder.path().join("run/summary.csv").exists(), "a stale file of the earlier result");
    let quiet = luna(&[&SPECTRA[..], &["--quiet", "--out", "other"]].concat(), folder.path());
    assert!(quiet.status.success() && quiet.stderr.is_empty());
    assert_eq!(luna(&[&SPECTRA[..], &["--resume"]].concat(), folder.path()).status.code(), Some(2));
}

#[test]
fn an_old_flag_works_and_is_answered_with_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["approx-error", "--synthetic", "gaussian", "--seq-len", "24", "--windows", "1", "--l", "4"];
    let old = luna(&[&args[..], &["--attention", "luna,linear", "--tolerance=0.5"]].concat(), folder.path());
    let new =
        luna(&[&args[..], &["--mechanism", "luna,linear", "--target-error=0.5"]].concat(), folder.path());
    assert!(new.status.success() && old.stdout == new.stdout);
    let said: Vec<&str> = text(&old.stderr).lines().take(2).collect();
    let expected = ["attention is now --mechanism", "tolerance is now --target-error"];
    assert!(
        said.iter().zip(expected).all(|(line, expected)| line.starts_with(&format!("luna: --{expected};"))),
        "{said:?}"
    );
    assert!(!text(&new.stderr).contains("is now"));
    let file = folder.path().join("run.yaml");
    std::fs::write(&file, "command: approx-error\nsynthetic: gaussian\nseq-len: 24\nwindows: 1\nl: 4\nattention: luna,linear\ntolerance: 0.5\n").unwrap();
    assert_eq!(luna(&["run", "run.yaml", "--quiet"], folder.path()).stdout, new.stdout);
}

#[test]
fn names_that_a_table_shows_are_columns_and_the_keys_of_a_row_stand_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let header = |args: &[&str]| {
        let output = luna(&[args, &["--quiet", "--format", "csv"]].concat(), folder.path());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().next().unwrap().to_string()
    };
    let columns = |names| header(&[&SPECTRA[..], &["--columns", names]].concat());
    assert_eq!(columns("erank,verdict"), "input,layer,window,effective_rank,verdict");
    let deciding = "deciding_null,deciding_null_effective_rank,difference_low,difference_high";
    assert_eq!(columns("null,null_erank,diff_low,diff_high"), format!("input,layer,window,{deciding}"));
    let args = ["approx-error", "--synthetic", "gaussian", "--seq-len", "24", "--windows", "2", "--l", "4,8"];
    let columns = [&args[..], &["--mechanism", "luna", "--columns", "out_err"]].concat();
    assert_eq!(header(&columns), "l,window,output_rel_fro");
    assert_eq!(header(&[&columns[..], &["--aggregate"]].concat()), "mechanism,l,output_rel_fro");
}
