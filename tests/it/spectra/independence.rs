//! A figure belongs to its head: not to the threads that computed it, nor to what else was asked for beside it.

use std::fmt::Write;
use std::process::Command;

use luna::report::{Cell, Report};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::model::{Expected, tiny};
use crate::study::svd_spectrum;

const SYNTHETIC: [&str; 8] = [
    "--synthetic",
    "gaussian,iid:logit_sd=2,local:w=5",
    "--seq-len",
    "20,150",
    "--at",
    "4,16",
    "--windows",
    "2",
];

/// The token ids of a tiny model as a file.
fn tokens(name: &str) -> NamedTempFile {
    let mut text = String::new();
    Expected::read(name).ids().iter().for_each(|id| write!(text, "{id} ").unwrap());
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Runs on a tiny model, with two windows of 20 tokens, and these flags.
fn on_model(name: &str, flags: &[&str]) -> Report {
    let (dir, tokens) = (tiny(name), tokens(name));
    let input = ["--model", dir.to_str().unwrap(), "--tokens", tokens.path().to_str().unwrap()];
    // Side by side, so that a window is where it is beside any number of others.
    let lengths = ["--seq-len", "20", "--windows", "2", "--stride", "contiguous", "--at", "4,8"];
    svd_spectrum(&[&input[..], &lengths, flags].concat(), 0)
}

/// The rows of a report that these columns are all equal to the numbers of, without the columns named.
fn rows(report: &Report, chosen: &[(&str, i64)], without: &[&str]) -> Vec<Vec<(String, Cell)>> {
    let table = &report.rows;
    let is = |row: &[Cell], (name, value): &(&str, i64)| row[table.index(name).unwrap()] == Cell::Int(*value);
    let named = |row: &Vec<Cell>| {
        let cells = table.columns.iter().map(|column| column.name.clone()).zip(row.clone());
        cells.filter(|(name, _)| !without.contains(&name.as_str())).collect()
    };
    table.rows.iter().filter(|row| chosen.iter().all(|key| is(row, key))).map(named).collect()
}

#[test]
fn threads_do_not_change_a_bit() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let estimated = ["--method", "quadrature", "--probes", "8", "--rounds", "9", "--null-draws", "1"];
        pool.install(|| {
            [
                svd_spectrum(&SYNTHETIC, 3),
                svd_spectrum(&[&SYNTHETIC[..], &estimated].concat(), 3),
                on_model("bert", &[]),
                on_model("llama-gqa", &[]),
            ]
        })
    };
    for (one, three) in with(1).iter().zip(&with(3)) {
        assert_eq!(one.rows, three.rows);
        assert_eq!(one.views, three.views);
        assert_eq!(one.arrays, three.arrays);
    }
}

/// The rows of the program's JSON.
fn json(flags: &[&str]) -> Vec<Value> {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("luna"))
        .args([&["svd-spectrum", "--quiet", "--format", "json"], flags].concat())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["rows"].as_array().unwrap().clone()
}

#[test]
fn the_program_prints_the_same_rows_on_any_threads_and_beside_any_neighbours() {
    let rest = ["--seq-len", "150", "--windows", "1", "--seed", "7"];
    let alone = [&["--synthetic", "gaussian"], &rest[..]].concat();
    let one = json(&[&alone[..], &["--threads", "1"]].concat());
    assert_eq!(one.len(), 1);
    assert_eq!(one, json(&[&alone[..], &["--threads", "3"]].concat()));
    let mut beside = json(&[&["--synthetic", "local:w=5,gaussian"], &rest[..]].concat());
    assert_eq!(beside.len(), 2);
    assert_eq!(beside[1]["layer"], 1);
    beside[1]["layer"] = 0.into();
    assert_eq!(beside[1], one[0]);
}

#[test]
fn a_head_has_its_figures_beside_any_neighbours() {
    let whole = on_model("llama-gqa", &[]);
    assert_eq!(whole.rows.rows.len(), 16);
    let key = [("layer", 1), ("head", 2)];
    let chosen = on_model("llama-gqa", &["--layers", "1", "--heads", "2"]);
    assert_eq!(chosen.rows.rows.len(), 2);
    assert_eq!(rows(&chosen, &[], &[]), rows(&whole, &key, &[]));
    // Another window, another length, another null model, another index: neighbours too.
    let first = on_model("llama-gqa", &["--windows", "1"]);
    assert_eq!(rows(&first, &[], &[]), rows(&whole, &[("window", 0)], &[]));
    let lengths = on_model("llama-gqa", &["--seq-len", "13,20"]);
    assert_eq!(rows(&lengths, &[("n", 20)], &[]), rows(&whole, &[], &[]));
    let fewer = on_model("llama-gqa", &["--null", "shuffled", "--at", "8"]);
    let kept: Vec<&str> = fewer.rows.columns.iter().map(|column| column.name.as_str()).collect();
    let decides =
        |name: &str| ["verdict", "deciding_", "difference_"].iter().any(|start| name.starts_with(start));
    let kept: Vec<&str> = kept.into_iter().filter(|name| !decides(name)).collect();
    assert_eq!(fewer.rows.select(&kept).unwrap().rows, whole.rows.select(&kept).unwrap().rows);
}

#[test]
fn a_synthetic_head_has_its_figures_beside_any_neighbours() {
    let whole = svd_spectrum(&SYNTHETIC, 5);
    for (place, spec) in [(0, "gaussian"), (1, "iid:logit_sd=2")] {
        let alone = svd_spectrum(&[&SYNTHETIC[..], &["--synthetic", spec]].concat(), 5);
        assert_eq!(rows(&alone, &[], &["layer"]), rows(&whole, &[("layer", place)], &["layer"]), "{spec}");
    }
    let chosen = svd_spectrum(&[&SYNTHETIC[..], &["--layers", "1"]].concat(), 5);
    assert_eq!(rows(&chosen, &[], &[]), rows(&whole, &[("layer", 1)], &[]));
}

#[test]
fn a_seed_decides_all_that_is_drawn() {
    let [first, again, other] = [5, 5, 6].map(|seed| svd_spectrum(&SYNTHETIC, seed));
    assert_eq!(first.rows, again.rows);
    assert_eq!(first.views, again.views);
    let number = |report: &Report, column: &str, row: usize| {
        report.rows.cells(column).unwrap().nth(row).unwrap().number().unwrap()
    };
    for row in 0..first.rows.rows.len() {
        // Of a fixed pattern only the null models are drawn.
        let random = number(&first, "layer", row) < 2.0;
        let rank = |report| number(report, "effective_rank", row);
        assert_eq!(rank(&first) != rank(&other), random, "row {row}");
        for null in ["null_gaussian_effective_rank", "null_shuffled_effective_rank"] {
            assert_ne!(number(&first, null, row), number(&other, null, row), "{null} of row {row}");
        }
    }
}
