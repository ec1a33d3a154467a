//! What holds of every allocation.

use std::fs;

use luna::report::{Cell, Report};

use super::{SMALL, file, gpt2, on, tokens};
use crate::approx_error::approx_error;
use crate::model::tiny;
use crate::scale_sweep::swept;
use crate::study::{cell, number};

fn column(report: &Report, view: usize, name: &str) -> Vec<String> {
    report.views[view].1.cells(name).unwrap().map(Cell::exact).collect()
}

#[test]
fn budgets_are_kept_and_files_say_what_was_chosen() {
    let report = on(&gpt2(), &SMALL, None).unwrap();
    for (name, limit) in [("allocation.json", 48), ("allocation-l-4.json", 32)] {
        let read = file(&report, name);
        let heads = read["heads"].as_array().unwrap();
        assert_eq!(heads.len(), 8);
        let spent: u64 = heads.iter().map(|head| head["cost"].as_u64().unwrap()).sum();
        assert_eq!(
            (spent, limit),
            (read["budget"]["spent"].as_u64().unwrap(), read["budget"]["limit"].as_u64().unwrap())
        );
        assert!(spent <= limit);
        let harm: f64 = heads.iter().map(|head| head["predicted_harm"].as_f64().unwrap()).sum();
        assert!((harm - read["predicted_harm"].as_f64().unwrap()).abs() < 1e-12);
    }
    // Of each budget the allocation and two mechanisms alike in all heads, over two and three windows.
    assert_eq!(column(&report, 0, "choice").len(), 2 * 3);
    assert_eq!(report.rows.rows.len(), 2 * 3 * (2 + 3));
    let allocated: Vec<String> = column(&report, 0, "choice").into_iter().step_by(3).collect();
    assert_eq!(allocated, ["allocated", "allocated"]);
    assert_eq!(report.files.len(), 2);
}

/// With all that softmax takes nothing is lost, and every head that an approximation would harm has its softmax.
#[test]
fn the_whole_budget_is_the_model_itself() {
    let flags = [&SMALL[..], &["--budget", "l=100%,1e9,4"]].concat();
    let report = on(&gpt2(), &flags, None).unwrap();
    let rows = &report.rows;
    for row in 0..rows.rows.len() {
        let text = |name: &str| cell(rows, row, name).exact();
        if text("choice") == "allocated" && text("budget") != "l=4" {
            assert!(number(rows, row, "next_token_kl") < 1e-9);
        }
    }
    assert_eq!(file(&report, "allocation.json")["predicted_harm"], 0.0);
    for (at, asked) in ["l=100%", "l=1e9"].into_iter().enumerate() {
        let expected = format!("{asked}: nothing is saved: softmax in every head costs l=16 (100%)");
        assert_eq!(report.notes[at], expected);
    }
    assert!(report.notes[2].starts_with("l=4: allocated loses "), "{:?}", report.notes);
}

/// What l costs is what is read: keys come in blocks, and labels say the l of whole blocks.
#[test]
fn blocks_of_keys_count_whole() {
    let blocks = ["--mechanism", "softmax,block-top-k:block=4", "--l", "2,4,7,8", "--budget", "l=11,6"];
    let report = on(&gpt2(), &[&SMALL[..], &blocks].concat(), None).unwrap();
    for name in ["allocation.json", "allocation-l-6.json"] {
        for head in file(&report, name)["heads"].as_array().unwrap() {
            let expected = match head["mechanism"].as_str().unwrap() {
                "softmax" => 16,
                "block-top-k:l=4,block=4" => 4,
                "block-top-k:l=8,block=4" => 8,
                other => panic!("{other} reads the keys of another l"),
            };
            assert_eq!(head["cost"], expected);
        }
    }
    let uniform: Vec<String> = column(&report, 0, "choice").into_iter().skip(1).step_by(2).collect();
    assert_eq!(uniform, ["block-top-k:l=8,block=4", "block-top-k:l=4,block=4"]);
    assert!(report.notes.iter().any(|note| note.contains("read to choose them (block-top-k:block=4)")));
    // Global tokens are read beside the window.
    let flags = [&SMALL[..], &["--mechanism", "softmax,longformer", "--budget", "l=6"]].concat();
    assert_eq!(column(&on(&gpt2(), &flags, None).unwrap(), 0, "choice")[1], "longformer:l=5");
}

/// Every unit counts what it says: the spent is the sum over heads of the closed form, and within the budget.
#[test]
fn budgets_of_flops_and_of_the_cache() {
    for (unit, one) in [("flops", "FLOP"), ("cache", "bytes")] {
        let budget = format!("{unit}=40%");
        let flags = [&SMALL[..], &["--budget", &budget]].concat();
        let read = file(&on(&gpt2(), &flags, None).unwrap(), "allocation.json");
        let of = |key: &str| read["budget"][key].as_u64().unwrap();
        assert_eq!(read["budget"]["unit"], one);
        assert!(of("spent") <= of("limit") && of("limit") == of("softmax") * 2 / 5, "{read}");
        // Keys and values of width 8 in f32, read by 16 queries of 8 heads; causal.
        let pairs = 8 * 16 * 17 / 2;
        assert_eq!(of("softmax"), pairs * if unit == "flops" { 2 * 16 } else { 4 * 16 });
    }
}

#[test]
fn an_encoder_is_judged_by_its_hidden_states() {
    let report = on(&tiny("bert"), &SMALL, None).unwrap();
    assert_eq!(cell(&report.rows, 0, "nll").number(), None);
    assert!(number(&report.views[0].1, 1, "hidden_err") > 0.0);
    assert_eq!(file(&report, "allocation.json")["judged"]["nll"], serde_json::Value::Null);
}

/// Heads are weighed by something that changes them, whatever is named first.
#[test]
fn an_exact_form_weighs_no_head() {
    for first in ["sink-window:l=64", "softmax,local:l=16"] {
        let mechanisms = [first, "top-k:l=4"].join(",");
        let flags = ["--seq-len", "16", "--windows", "1", "--judge-windows", "1", "--budget", "l=50%"];
        let report = on(&gpt2(), &[&flags[..], &["--mechanism", &mechanisms]].concat(), None).unwrap();
        let said = |note: &&String| note.starts_with("predicted harm:") && note.contains("by top-k:l=4");
        assert!(report.notes.iter().any(|note| said(&note)), "{:?}", report.notes);
        let (_, heads) = report.tables.iter().find(|(name, _)| name == "heads").unwrap();
        let weights: Vec<f64> = (0..heads.rows.len()).map(|row| number(heads, row, "sensitivity")).collect();
        assert!(weights.iter().any(|one| *one != weights[0]), "{weights:?}");
    }
}

/// `scale-sweep` sums over heads what `allocate` summed, and times what has a fused form.
#[test]
fn scale_sweep_costs_an_allocation() {
    for (budget, mechanism, unit) in [
        ("flops=40%", "softmax,sink-window", Some(("flops", 1.0))),
        ("cache=40%", "softmax,sink-window,local", Some(("cache_bytes", 16.0))),
        ("cache=70%", "softmax,block-top-k:block=4", Some(("cache_bytes", 16.0))),
        // It has no fused form, and is not timed.
        ("l=6", "softmax,top-k", None),
    ] {
        let flags = [&SMALL[..], &["--budget", budget, "--mechanism", mechanism]].concat();
        let report = on(&gpt2(), &flags, None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("allocation.json");
        fs::write(&path, &report.files[0].1).unwrap();
        let path = path.to_str().unwrap();
        let found = swept(&["--allocation", path, "--measure", "flops,time", "--rounds", "8"]);
        let (name, table) = &found.views[0];
        assert_eq!(*name, "allocation");
        let read = file(&report, "allocation.json");
        let mechanisms: Vec<&str> = read["heads"]
            .as_array()
            .unwrap()
            .iter()
            .map(|head| head["mechanism"].as_str().unwrap())
            .collect();
        assert!(mechanisms.iter().any(|one| *one != mechanisms[0]), "{mechanisms:?}");
        for (row, (name, key)) in [("softmax", "softmax"), ("allocated", "spent")].into_iter().enumerate() {
            assert_eq!(cell(table, row, "allocation").exact(), name);
            if let Some((column, tokens)) = unit {
                let of_all = read["budget"][key].as_u64().unwrap() as f64;
                assert_eq!(number(table, row, column) * tokens, of_all, "{budget} {mechanism} {name}");
            }
        }
        assert!(number(table, 0, "time") > 0.0);
        assert_eq!(cell(table, 1, "time").number().is_some(), unit.is_some(), "{mechanism}");
        if unit.is_some() {
            let of = |name: &str| number(table, 1, name);
            assert!(of("low") <= of("speedup") && of("speedup") <= of("high"));
        }
    }
}

/// The same windows under the file of an allocation lose what they lost when it was judged.
#[test]
fn approx_error_runs_an_allocation() {
    let report = on(&gpt2(), &SMALL, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("allocation.json");
    fs::write(&path, &report.files[0].1).unwrap();
    let tokens = tokens(folder.path());
    let (model, tokens, path) =
        (gpt2(), tokens.to_str().unwrap().to_string(), path.to_str().unwrap().to_string());
    let model = model.to_str().unwrap();
    let input =
        ["--model", model, "--tokens", &tokens, "--seq-len", "16", "--windows", "5", "--substitute", "all"];
    let found = approx_error(&[&input[..], &["--allocation", &path]].concat()).unwrap();
    assert!(!found.notes.iter().any(|note| note.contains("--l")), "{:?}", found.notes);
    let rows = found.rows;
    assert_eq!(rows.rows.len(), 5, "nothing but the allocation");
    let judged = (0..report.rows.rows.len()).filter(|row| {
        let text = |name: &str| cell(&report.rows, *row, name).exact();
        text("choice") == "allocated" && text("budget") == "l=6"
    });
    let mut compared = 0;
    for row in judged {
        let window = cell(&report.rows, row, "window").exact();
        let other = (0..5).find(|row| cell(&rows, *row, "window").exact() == window).unwrap();
        for name in ["nll", "next_token_kl", "hidden_rel_fro"] {
            assert_eq!(number(&report.rows, row, name), number(&rows, other, name), "{name} window {window}");
        }
        compared += 1;
    }
    assert_eq!(compared, 5);
    // Beside mechanisms that are named, and in some layers.
    let more = ["--allocation", &path, "--mechanism", "local", "--l", "4", "--substitute", "1"];
    assert_eq!(approx_error(&[&input[..], &more].concat()).unwrap().rows.rows.len(), 2 * 5);
}

#[test]
fn a_resumed_run_gives_the_same_result() {
    let folder = tempfile::tempdir().unwrap();
    let expected = on(&gpt2(), &SMALL, Some(folder.path())).unwrap();
    assert_eq!(on(&gpt2(), &SMALL, None).unwrap(), expected);
    let path = folder.path().join("journal.jsonl");
    let journal = fs::read(&path).unwrap();
    let first = journal.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for share in 0..8 {
        let at = first + (journal.len() - first) * share / 8;
        fs::write(&path, &journal[..at]).unwrap();
        assert_eq!(on(&gpt2(), &SMALL, Some(folder.path())).unwrap(), expected, "cut at byte {at}");
    }
    // Other budgets need no new errors of heads.
    let lines = |path: &std::path::Path| fs::read_to_string(path).unwrap().lines().count();
    let before = lines(&path);
    let other = [&SMALL[..], &["--budget", "l=5"]].concat();
    let found = on(&gpt2(), &other, Some(folder.path())).unwrap();
    assert_eq!(lines(&path), before + 3 * 5, "an allocation and two mechanisms over five windows");
    assert_eq!(found, on(&gpt2(), &other, None).unwrap());
}
