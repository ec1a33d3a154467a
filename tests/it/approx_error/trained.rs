//! `--mechanism trained`: a Luna model beside the softmax of its own queries and keys, and its rows of P at work.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use luna::attention::luna_causal::Weight;
use luna::model::save::save;
use luna::network::{Encoder, EncoderConfig, Head, Mechanism};
use luna::report::{Report, Table};
use ndarray::Axis;
use serde_json::json;

use super::{approx_error, refusal};
use crate::model::Everything;
use crate::model::encoder::file::write;
use crate::model::encoder::small;

const TEXT: &str = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of \
                    foolishness, it was the epoch of belief, it was the epoch of incredulity";

fn config(mechanism: Mechanism) -> EncoderConfig {
    let causal = matches!(mechanism, Mechanism::LunaCausal { .. });
    EncoderConfig {
        vocab: Some(257),
        positions: 64,
        embedding_norm: true,
        causal,
        head: if causal { Head::Tokens } else { Head::Classes(2) },
        ..small(mechanism, false)
    }
}

fn luna() -> EncoderConfig {
    config(Mechanism::Luna { l: 5, tied: true })
}

fn luna_causal() -> EncoderConfig {
    config(Mechanism::LunaCausal { l: 5, tied: false, packing: Weight::Softplus.into() })
}

/// A run folder with an encoder that is drawn from a seed as its best, and a text beside it.
fn run(config: &EncoderConfig) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("best"), config, &json!({"tokens": "bytes+1"}));
    fs::write(dir.path().join("text"), TEXT).unwrap();
    dir
}

fn studied(dir: &Path, more: &[&str]) -> Report {
    let (model, text) = (dir.to_str().unwrap().to_string(), dir.join("text"));
    let flags = [
        "--model",
        &model,
        "--text",
        text.to_str().unwrap(),
        "--seq-len",
        "32",
        "--windows",
        "2",
        "--stride",
        "contiguous",
    ];
    approx_error(&[&flags[..], &["--l", "4"], more].concat()).unwrap()
}

fn refused(dir: &Path, more: &[&str]) -> String {
    let (model, text) = (dir.to_str().unwrap().to_string(), dir.join("text"));
    let flags = [
        "--model",
        &model,
        "--text",
        text.to_str().unwrap(),
        "--seq-len",
        "32",
        "--windows",
        "2",
        "--stride",
        "contiguous",
    ];
    let text = refusal(&[&flags[..], more].concat());
    assert!(!text.contains('\n'), "{text}");
    text
}

fn numbers(table: &Table, column: &str) -> Vec<f64> {
    table.cells(column).unwrap().map(|cell| cell.number().unwrap_or(f64::NAN)).collect()
}

fn texts(table: &Table, column: &str) -> Vec<String> {
    table.cells(column).unwrap().map(luna::report::Cell::exact).collect()
}

fn table<'a>(tables: &'a [(String, Table)], name: &str) -> &'a Table {
    &tables.iter().find(|(known, _)| known == name).unwrap().1
}

#[test]
fn the_model_s_own_matrix_stands_beside_the_others() {
    for config in [luna(), luna_causal()] {
        let dir = run(&config);
        let report = studied(dir.path(), &["--mechanism", "trained,linear,svd"]);
        let rows = &report.rows;
        assert_eq!(rows.rows.len(), 3 * 2 * 3 * 2, "3 mechanisms, 2 layers of 3 heads, 2 windows");
        let own: Vec<usize> = (0..12).collect();
        assert!(own.iter().all(|row| texts(rows, "mechanism")[*row] == "trained"));
        assert!(own.iter().all(|row| numbers(rows, "l")[*row] == 5.0));
        // By hand from the heads of the encoder: the same ids, matrix and softmax.
        let ids: Vec<u32> = TEXT.bytes().take(32).map(|byte| u32::from(byte) + 1).collect();
        let mut seen = Everything::default();
        Encoder::random(&config, 3).unwrap().watch(&ids, &mut seen).unwrap();
        for (at, tap) in seen.0.iter().enumerate() {
            let mut a = (tap.q.dot(&tap.k.t()) * tap.scale).mapv(f32::exp);
            for (i, mut row) in a.rows_mut().into_iter().enumerate() {
                row.iter_mut().skip(if tap.causal { i + 1 } else { 32 }).for_each(|x| *x = 0.0);
                let sum = row.sum();
                row /= sum;
            }
            let b = tap.factors.as_ref().unwrap().matrix();
            let norm = |x: &ndarray::Array2<f32>| x.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
            let (row, bounded) = (2 * at, !tap.causal);
            let error = norm(&(&a - &b)) / norm(&a);
            assert!((numbers(rows, "matrix_rel_fro")[row] - error).abs() < 1e-4, "head {at}");
            let (o, y) = (a.dot(&tap.v), b.dot(&tap.v));
            let error = norm(&(&o - &y)) / norm(&o);
            assert!(
                (numbers(rows, "output_rel_fro")[row] - error).abs() < 1e-4 * error.max(1.0),
                "head {at}"
            );
            assert_eq!(numbers(rows, "rank_bound")[row], if bounded { 5.0 } else { 32.0 });
            assert_eq!(numbers(rows, "optimal_rel_fro")[row].is_nan(), !bounded);
            let least = numbers(rows, "optimal_rel_fro")[row];
            assert!(!bounded || least <= numbers(rows, "matrix_rel_fro")[row] + 1e-6);
        }
        assert!(report.notes.iter().any(|note| note.contains("the model itself never computes")));
        assert!(
            report
                .stamp
                .iter()
                .any(|(key, value)| key == "own_attention" && *value == json!(config.mechanism.spec()))
        );
        let drift = numbers(rows, "row_sum_drift")[0];
        assert_eq!(drift < 1e-4, !config.causal, "rows of causal Luna do not sum to 1: {drift}");
    }
}

#[test]
fn slots_are_of_every_layer_and_head() {
    for config in [luna(), luna_causal()] {
        let dir = run(&config);
        let report = studied(dir.path(), &["--mechanism", "trained"]);
        let (view, rows) = (table(&report.views, "slots"), table(&report.tables, "slot_usage"));
        assert_eq!((view.rows.len(), rows.rows.len()), (6, 30));
        assert!(numbers(view, "slots").iter().all(|slots| (1.0..=5.0 + 1e-6).contains(slots)));
        // The weights themselves: how often each slot is read is the mean of its unpack weights, of the first window.
        let array = |name: &str| &report.arrays.iter().find(|(known, _)| known == name).expect(name).1;
        let (unpack, pack) = (array("unpack_weights_n32"), array("pack_weights_n32"));
        assert_eq!(
            (unpack.shape(), pack.shape()),
            (&[view.rows.len(), 32, 5][..], &[view.rows.len(), 5, 32][..])
        );
        assert!(unpack.sum_axis(ndarray::Axis(2)).iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        assert!(report.figures.iter().any(|figure| figure.name == "slots"));
        assert!(numbers(view, "positions").iter().all(|positions| (1.0..=32.0 + 1e-3).contains(positions)));
        for head in numbers(rows, "usage").chunks(5) {
            assert!((head.iter().sum::<f64>() - 1.0).abs() < 1e-5);
        }
        // The mean over both windows, by hand.
        let mut usage = vec![0.0; 5];
        for window in 0..2 {
            let ids: Vec<u32> =
                TEXT.bytes().skip(32 * window).take(32).map(|byte| u32::from(byte) + 1).collect();
            let mut seen = Everything::default();
            Encoder::random(&config, 3).unwrap().watch(&ids, &mut seen).unwrap();
            let mean = seen.0[4].factors.as_ref().unwrap().unpack.mean_axis(Axis(0)).unwrap();
            usage.iter_mut().zip(&mean).for_each(|(all, one)| *all += f64::from(*one) / 2.0);
        }
        let found = &numbers(rows, "usage")[20..25];
        assert!(found.iter().zip(&usage).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {usage:?}");
        // Nothing of it where the model's own attention is not asked for.
        let without = studied(dir.path(), &["--mechanism", "linear"]);
        assert!(
            without.arrays.is_empty()
                && without.tables.is_empty()
                && !without.views.iter().any(|(name, _)| name == "slots")
        );
    }
}

#[test]
fn rows_of_p_that_are_alike_are_used_alike() {
    for config in [luna(), luna_causal()] {
        let dir = run(&config);
        let mut tensors = config.drawn(3);
        let p = tensors.get_mut("projected_embeddings").unwrap();
        let row = p.index_axis(Axis(0), 1).to_owned();
        p.index_axis_mut(Axis(0), 4).assign(&row);
        save(&dir.path().join("best/model.safetensors"), &tensors, &BTreeMap::new()).unwrap();
        let report = studied(dir.path(), &["--mechanism", "trained"]);
        let rows = table(&report.tables, "slot_usage");
        for column in ["usage", "peak", "positions"] {
            for head in numbers(rows, column).chunks(5) {
                assert!((head[1] - head[4]).abs() < 1e-5 * head[1].abs().max(1.0), "{column} {head:?}");
                assert!((head[1] - head[0]).abs() > 1e-5, "{column} {head:?}");
            }
        }
    }
}

#[test]
fn a_luna_model_is_looked_at_without_being_asked() {
    let dir = run(&luna());
    let report = studied(dir.path(), &["--aggregate"]);
    assert_eq!(texts(&report.rows, "mechanism")[0], "trained");
    assert!(report.rows.rows.len() > 5);
}

#[test]
fn an_l_above_n_is_what_the_module_makes_of_it() {
    let dir = run(&config(Mechanism::Luna { l: 40, tied: true }));
    let report = studied(dir.path(), &["--mechanism", "trained"]);
    assert_eq!(numbers(table(&report.views, "slots"), "l")[0], 32.0);
    assert!(report.notes.iter().any(|note| note.starts_with("l above n as typed: trained")));
}

#[test]
fn wrong_uses_are_one_line() {
    let text = refusal(&["--mechanism", "trained", "--synthetic", "gaussian"]);
    let accepted = "trained with the attention of a model that was trained with luna or luna-causal (--model RUN, or byte-luna)";
    assert_eq!(
        text,
        format!("--mechanism: 'trained' is not accepted; accepted: {accepted}; synthetic heads have none")
    );
    let dir = run(&luna());
    assert!(refused(dir.path(), &["--mechanism", "trained:l=4"]).contains("takes no parameter 'l'"));
    assert!(refused(dir.path(), &["--mechanism", "trained,trained"]).contains("each mechanism once"));
    let text = refused(dir.path(), &["--substitute", "all"]);
    assert_eq!(
        text,
        "attention of a model that is to be replaced: 'luna' is not accepted; accepted: softmax"
    );
    let text = refused(dir.path(), &["--check", "linformer-theorem-1"]);
    assert!(
        text.starts_with("--model: '") && text.ends_with("a model whose attention is softmax, for this"),
        "{text}"
    );
    let softmax = run(&config(Mechanism::Softmax));
    let text = refused(softmax.path(), &["--mechanism", "linear,trained"]);
    assert!(
        text.contains("luna or luna-causal (--model RUN, or byte-luna)")
            && text.ends_with("attends by softmax"),
        "{text}"
    );
    assert!(
        refused(softmax.path(), &["--mechanism", "trained", "--substitute", "all"]).contains("by softmax")
    );
    let linformer = run(&config(Mechanism::Linformer { l: 4, max: 64 }));
    let text = refused(linformer.path(), &["--mechanism", "trained"]);
    assert!(text.contains("\"linformer:l=4,max=64\"; expected softmax, luna or luna-causal"), "{text}");
}

/// The program over a run, in so many columns.
fn program(command: &str, dir: &Path, more: &[&str]) -> Output {
    let mut program = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    program.args([command, "--seq-len", "32", "--windows", "2"]).args(more).env("COLUMNS", "80");
    program.arg("--model").arg(dir).arg("--text").arg(dir.join("text")).output().unwrap()
}

#[test]
fn the_program_prints_slots_in_80_columns_and_writes_every_slot() {
    for config in [luna(), luna_causal()] {
        let dir = run(&config);
        let out = dir.path().join("out");
        let more = ["--mechanism", "trained,linear,svd", "--l", "4", "--out", out.to_str().unwrap()];
        let output = program("approx-error", dir.path(), &more);
        let (printed, said) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(printed.contains("Slots of P") && printed.contains("per_row"), "{printed}");
        let widest = printed.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{widest:?} columns: {printed}");
        let slots = fs::read_to_string(out.join("slot_usage.csv")).unwrap();
        assert_eq!(slots.lines().count(), 1 + 30);
        assert!(slots.starts_with("n,layer,head,slot,usage,peak,dead,positions"), "{slots}");
        assert!(out.join("slots.csv").is_file());
    }
    let output = program("approx-error", run(&config(Mechanism::Linear)).path(), &["--mechanism", "trained"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
}

#[test]
fn spectra_are_those_of_the_model_s_own_matrices() {
    for config in [luna(), luna_causal()] {
        let dir = run(&config);
        // As drawn, attention is nearly uniform, and all but its first singular value is rounding.
        let mut drawn = config.drawn(3);
        drawn.values_mut().filter(|tensor| tensor.ndim() == 2).for_each(|tensor| *tensor *= 4.0);
        save(&dir.path().join("best/model.safetensors"), &drawn, &BTreeMap::new()).unwrap();
        let spectra = |more: &[&str]| -> serde_json::Value {
            let more = [&["--at", "4,5", "--format", "json"], more].concat();
            let output = program("svd-spectrum", dir.path(), &more);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            serde_json::from_slice(&output.stdout).unwrap()
        };
        let found = spectra(&[]);
        let first = &found["rows"][0];
        let share = |row: &serde_json::Value, column: &str| row[column].as_f64().unwrap();
        if config.causal {
            assert!(share(first, "cum_energy_at_5") < 1.0 - 1e-6, "{first}");
        } else {
            // Rank 5 by its form, and so are the null models.
            for column in ["cum_l1_at_5", "null_gaussian_cum_l1_at_5", "null_shuffled_cum_l1_at_5"] {
                assert!(share(first, column) > 1.0 - 1e-5, "{column}: {first}");
            }
        }
        assert!(share(first, "null_gaussian_effective_rank") > 1.0);
        let notes = found["notes"].to_string();
        assert!(notes.contains("by their form the model's own matrices"), "{notes}");
        let leading = spectra(&["--method", "lanczos", "--top", "5", "--null", "none"]);
        let energy = |row: &serde_json::Value| share(row, "cum_energy_at_4");
        assert!((energy(first) - energy(&leading["rows"][0])).abs() < 1e-4);
    }
}
