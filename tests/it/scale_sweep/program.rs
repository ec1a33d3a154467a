//! The command: refusals, processes, files.

use std::process::{Command, Output};

fn luna(args: &[&str]) -> Output {
    Command::new(assert_cmd::cargo::cargo_bin!("luna")).arg("scale-sweep").args(args).output().unwrap()
}

fn refused(args: &[&str], parts: &[&str]) {
    let output = luna(args);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(1), 1), "{args:?}: {line}");
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(line.contains(part), "{args:?}: {line}");
    }
}

#[test]
fn mistakes_get_one_line() {
    refused(&["--mechanism", "lnua"], &["unknown attention 'lnua'", "did you mean 'luna'?"]);
    refused(&["--mechanism", "luna:l=x"], &["'l' of attention 'luna'", "'x'", "a whole number"]);
    refused(&["--mechanism", "luna:p=fitted"], &["'p' of attention 'luna'", "a fit on windows of a model"]);
    refused(&["--mechanism", "luna:k=3"], &["'luna' takes no parameter 'k'"]);
    refused(&["--mechanism", "luna,luna"], &["--mechanism", "each mechanism once"]);
    refused(
        &["--mechanism", "luna,linformer", "--causal"],
        &[
            "none of these",
            "'luna' has no causal implementation ('luna-causal' has one)",
            "'linformer' has no causal",
        ],
    );
    refused(
        &["--mechanism", "nystrom", "--unit", "layer"],
        &["'nystrom' has no layer", "--unit layer and encoder take softmax, "],
    );
    refused(
        &["--mechanism", "luna", "--causal"],
        &[
            "--mechanism: 'luna' has no causal implementation",
            "'luna-causal' has one",
            "run without --causal",
        ],
    );
    refused(
        &["--mechanism", "luna-causal"],
        &["'luna-causal' has no implementation without a causal mask", "run with --causal"],
    );
    refused(&["--seq-len", "0"], &["--seq-len: '0'", "1 or more"]);
    refused(&["--l", "0"], &["--l: '0'"]);
    refused(&["--num-heads", "0"], &["--num-heads: '0'"]);
    refused(&["--unit", "layer", "--ffn", "4000000000000000000"], &["--ffn", "narrower layers"]);
    refused(
        &["--unit", "layer", "--seq-len", "1", "--num-heads", "100000000000", "--head-dim", "100"],
        &["--num-heads", "narrower layers"],
    );
    refused(&["--num-heads", "4611686018427387904", "--head-dim", "4"], &["--seq-len", "shorter sequences"]);
    refused(&["--unit", "encoder", "--num-layers", "1000000000000"], &["--num-layers", "1 to 1000000"]);
    refused(&["--rounds", "2"], &["--rounds: '2'", "3 to 10000"]);
    refused(&["--preset", "luna-table-5"], &["unknown preset", "did you mean 'luna-table-4'?"]);
    refused(
        &["--mechanism", "luna", "--seq-len", "8", "--l", "16"],
        &["'luna:l=16' has an l of 16, above the longest n", "use an l from 1 to 8"],
    );
    refused(
        &["--mechanism", "nystrom", "--pass", "train"],
        &["'nystrom' has no backward pass", "--pass train takes softmax, "],
    );
    refused(&["--seq-len", "4000000000"], &["--seq-len: '4000000000'"]);
    refused(
        &["--seq-len", "4000000", "--num-heads", "64"],
        &["up to n = 4000000 would need", "a smaller --seq-len"],
    );
    refused(&["--synthetic", "gaussian"], &["--synthetic is the input of --measure error"]);
    refused(&["--measure", "error", "--unit", "layer"], &["--measure: 'error'", "--unit core"]);
    for (args, part) in [
        (&["--measure", "tme"][..], "did you mean 'time'"),
        (&["--time-limit", "soon"], "a time such as 60s"),
        (&["--unit", "cor"], "core"),
        (&["--resume"], "--out"),
    ] {
        let output = luna(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{args:?}");
    }
}

#[test]
fn the_program_counts_allocations_and_weighs_children() {
    let args =
        ["--mechanism", "softmax", "--seq-len", "256", "--measure", "memory", "--format", "json", "--quiet"];
    let output = luna(&args);
    assert!(output.status.success() && output.stderr.is_empty());
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let made = found["rows"].as_array().unwrap().iter().find(|row| row["form"] == "n x n").unwrap();
    let bytes = |name: &str| made[name].as_f64().unwrap();
    let matrices = f64::from(8 * 256 * 256 * 4);
    assert!((bytes("extra_memory_bytes") / matrices - 1.0).abs() < 0.02, "{made}");
    if cfg!(target_os = "linux") {
        assert!(bytes("rss_growth_bytes") >= 0.9 * matrices, "{made}");
        // And of the named mechanism, not of exact attention beside it.
        let args = [&["--mechanism", "performer:l=512"], &args[2..3], &["4096"], &args[4..]].concat();
        let found: serde_json::Value = serde_json::from_slice(&luna(&args).stdout).unwrap();
        let rows = found["rows"].as_array().unwrap();
        let of =
            |name: &str| rows.iter().find(|row| row["mechanism"] == name && row["form"] == "fused").unwrap();
        let bytes = |name: &str, column: &str| of(name)[column].as_f64().unwrap();
        let (counted, exact) =
            (bytes("performer", "extra_memory_bytes"), bytes("softmax", "extra_memory_bytes"));
        let more = bytes("performer", "rss_growth_bytes") - bytes("softmax", "rss_growth_bytes");
        assert!(
            counted > 2e6 && (more - (counted - exact)).abs() < 0.5 * counted,
            "{more} {counted} {exact}"
        );
    }
}

#[test]
fn a_run_folder_holds_the_journal_the_views_and_the_figures() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let flags = ["--mechanism", "softmax,luna", "--seq-len", "32,64", "--l", "8", "--rounds", "3", "--quiet"];
    let output = luna(&[&flags[..], &["--out", out]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in [
        "journal.jsonl",
        "result.json",
        "result.csv",
        "costs.csv",
        "exponents.csv",
        "crossover.csv",
        "conventions.csv",
        "scaling.svg",
        "roofline.svg",
        "manifest.json",
    ] {
        assert!(folder.path().join(name).is_file(), "{name}");
    }
}
