//! Laws that hold for every sweep, on any machine.

use super::{rows, swept};

/// Small sizes that divide nothing evenly.
const SHAPES: &[&str] =
    &["--seq-len", "33,70", "--l", "5,16", "--num-heads", "3", "--head-dim", "24", "--rounds", "3"];

fn with<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    [SHAPES, flags].concat()
}

#[test]
fn counts_are_the_closed_forms() {
    let encoder = ["--unit", "encoder", "--num-layers", "2", "--batch", "2"];
    let causal = [&encoder[..], &["--causal"]].concat();
    let forward = [&[][..], &["--causal"], &["--unit", "layer"], &encoder, &causal];
    let both = forward.map(|flags| [flags, &["--pass", "train"]].concat());
    for flags in forward.into_iter().chain(both.iter().map(Vec::as_slice)) {
        let report = swept(&[&with(&["--measure", "flops"]), flags].concat());
        let mut counted = 0;
        for row in rows(&report.rows) {
            let macs: u64 = row["macs"].parse().unwrap();
            assert_eq!(row["flops"], (2 * macs).to_string());
            assert_eq!(
                row["flops_counted"], row["flops"],
                "{} {} {}",
                row["mechanism"], row["form"], row["n"]
            );
            assert_eq!(row["state"], "counted");
            counted += 1;
        }
        assert!(counted >= 8, "{flags:?} {counted}");
    }
}

#[test]
fn allocations_are_the_closed_forms_on_every_run() {
    // Backward passes copy rows that are not whole cache lines, like these of 24 elements: the closed form includes the copies.
    let both = ["--pass", "train"];
    let causal = ["--pass", "train", "--causal"];
    let encoder = ["--unit", "encoder"];
    let causal_encoder = ["--unit", "encoder", "--causal"];
    for flags in [&["--pass", "forward"][..], &both, &causal, &encoder, &causal_encoder] {
        let flags = [&["--measure", "memory", "--seq-len", "70,300"], flags].concat();
        for threads in [1, 2] {
            let sweep = || by_program(threads, &with(&flags));
            alike(&sweep(), &sweep(), threads);
        }
    }
}

#[test]
fn training_layers_allocate_what_their_closed_form_says() {
    let shapes: [&[&str]; 3] = [
        &["--unit", "layer", "--seq-len", "70,600", "--l", "5,33", "--num-heads", "3", "--head-dim", "24"],
        // Nearly no feed-forward network: the peak is inside attention.
        &[
            "--unit",
            "layer",
            "--seq-len",
            "300",
            "--l",
            "8,100",
            "--num-heads",
            "2",
            "--head-dim",
            "32",
            "--ffn",
            "8",
        ],
        &[
            "--unit",
            "encoder",
            "--num-layers",
            "3",
            "--batch",
            "2",
            "--seq-len",
            "130",
            "--l",
            "16",
            "--num-heads",
            "4",
        ],
    ];
    for shape in shapes {
        for causal in [&[][..], &["--causal"]] {
            let flags = [shape, &["--pass", "train", "--measure", "memory"], causal].concat();
            let rows = [1, 2].map(|threads| by_program(threads, &flags));
            assert!(rows.iter().all(|rows| rows.len() >= 4), "{flags:?}");
            for (threads, row) in
                rows.iter().enumerate().flat_map(|(i, rows)| rows.iter().map(move |row| (i + 1, row)))
            {
                let number = |name: &str| row[name].parse::<f64>().unwrap();
                let (found, bound) = (number("extra_memory_bytes"), number("extra_memory_formula_bytes"));
                // Of two threads one may be done before the other begins.
                let least = if threads == 1 { 0.9 * bound } else { 0.7 * bound };
                assert!(
                    found >= least - 8192.0,
                    "{} n {}: {found} beside {bound}",
                    row["mechanism"],
                    row["n"]
                );
                assert!(
                    found <= bound + 8192.0,
                    "{} n {}: {found} beside {bound}",
                    row["mechanism"],
                    row["n"]
                );
            }
        }
    }
}

type Row = std::collections::BTreeMap<String, String>;

/// The rows of a sweep in its own process: beside other tests, what their threads leave when they end is freed by any thread
/// (crossbeam's collector is global), and would be subtracted from the work that is counted.
fn by_program(threads: usize, flags: &[&str]) -> Vec<Row> {
    let threads = threads.to_string();
    let program = [
        &["scale-sweep", "--threads", &threads, "--format", "csv", "--columns", "all", "--quiet"],
        flags,
        &["--time-limit", "1h"],
    ]
    .concat();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_luna")).args(program).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Row> =
        csv::Reader::from_reader(&output.stdout[..]).deserialize().map(|row| row.unwrap()).collect();
    assert!(!rows.is_empty());
    rows
}

fn alike(first: &[Row], second: &[Row], threads: usize) {
    for (one, two) in first.iter().zip(second) {
        let what = format!("{} {} n {} l {}", one["mechanism"], one["form"], one["n"], one["l"]);
        let number = |name: &str| one[name].parse::<f64>().unwrap();
        let (found, formula) = (number("extra_memory_bytes"), number("extra_memory_formula_bytes"));
        // Products of faer take some hundred bytes to plan their blocks.
        assert!(found <= 1.02 * formula + 2048.0, "{what}: {found} beside {formula}");
        // Of layers the closed form is a bound: of two threads one may get no rows.
        let least = if one["unit"] == "core" || threads == 1 { 0.98 } else { 0.7 };
        assert!(found >= least * formula - 2048.0, "{what}: {found} beside {formula}");
        if one["form"] == "fused" && one["unit"] == "core" {
            assert_eq!(one["extra_memory_bytes"], two["extra_memory_bytes"], "{what}");
        }
    }
}

#[test]
fn fused_softmax_needs_the_same_memory_at_every_length() {
    let rows = by_program(2, &["--mechanism", "softmax", "--seq-len", "200,400,800", "--measure", "memory"]);
    let fused: Vec<String> = rows
        .into_iter()
        .filter(|row| row["form"] == "fused")
        .map(|row| row["extra_memory_bytes"].clone())
        .collect();
    assert_eq!(fused.len(), 3);
    assert!(fused.iter().all(|bytes| *bytes == fused[0]), "{fused:?}");
}

#[test]
fn times_have_intervals_rates_and_speedups() {
    let report = swept(&with(&["--rounds", "6"]));
    for row in rows(&report.rows) {
        let number = |name: &str| row[name].parse::<f64>().unwrap_or_else(|_| panic!("{name} of {row:?}"));
        assert_eq!((&*row["state"], &*row["rounds"]), ("measured", "6"));
        assert!(number("time_low_s") <= number("time_s") && number("time_s") <= number("time_high_s"));
        let rate = number("flops") / number("time_s") / 1e9;
        assert!((rate / number("gflop_per_s") - 1.0).abs() < 1e-9);
        assert!(number("speedup") > 0.0 && number("speedup_n_x_n") > 0.0 && number("peak_fraction") > 0.0);
        if row["mechanism"] == "softmax" && row["form"] == "fused" {
            assert_eq!(number("speedup"), 1.0);
        }
    }
    let names: Vec<&str> = report.views.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["costs", "exponents", "crossover", "conventions"]);
    let figures: Vec<&str> = report.figures.iter().map(|figure| figure.name.as_str()).collect();
    assert_eq!(figures, ["scaling", "crossover", "roofline"]);
    assert!(report.notes.iter().any(|note| note.starts_with("noise (A/A test)")));
    assert!(report.stamp.get("sgemm_gflop_per_s").is_some());
}

#[test]
fn training_is_timed_where_gradients_agree() {
    for mask in [&[][..], &["--causal"]] {
        let report = swept(&with(&[&["--pass", "train", "--measure", "time"][..], mask].concat()));
        let rows = rows(&report.rows);
        assert!(rows.iter().filter(|row| row["form"] == "fused").count() >= 6);
        for row in rows.iter().filter(|row| row["form"] != "reference") {
            assert_eq!(row["state"], "measured", "{row:?}");
            assert_eq!(row["flops_counted"], row["flops"], "{row:?}");
        }
    }
}

#[test]
fn training_layers_are_timed() {
    let flags = ["--unit", "layer", "--measure", "flops,time,memory", "--seq-len", "33,70", "--ffn", "100"];
    let both = swept(&with(&[&flags[..], &["--pass", "train"]].concat()));
    let forward = swept(&with(&flags));
    let seen = rows(&both.rows);
    for row in &seen {
        assert_eq!(row["state"], "measured", "{} {}", row["mechanism"], row["form"]);
    }
    // Exact attention is there twice: fused, its 3 heads compute their weights once more, and n means.
    let exact = |form: &str| {
        let row = seen.iter().find(|row| row["form"] == form && row["n"] == "70").unwrap();
        row["macs"].parse::<u64>().unwrap()
    };
    assert_eq!(exact("fused") - exact("n x n"), 3 * (70 * 70 * 24 + 70 * 24));
    let counted: f64 = seen.iter().map(|row| row["extra_memory_bytes"].parse::<f64>().unwrap()).sum();
    assert!(counted > 0.0);
    // A wider feed-forward network adds three times as much as in the forward pass.
    let wider = ["--ffn", "160"];
    let flops = |report: &luna::report::Report, name: &str| -> u64 {
        let rows = rows(&report.rows);
        let of =
            rows.iter().find(|row| row["mechanism"] == name && row["n"] == "70" && row["form"] == "fused");
        of.unwrap()["flops"].parse().unwrap()
    };
    let [both_wider, forward_wider] =
        [&["--pass", "train"][..], &[]].map(|pass| swept(&with(&[&flags[..6], pass, &wider].concat())));
    for name in ["softmax", "luna", "linear"] {
        let more = flops(&forward_wider, name) - flops(&forward, name);
        assert_eq!(flops(&both_wider, name) - flops(&both, name), 3 * more, "{name}");
        assert!(flops(&both, name) > 2 * flops(&forward, name));
    }
}

#[test]
fn layers_are_timed_with_tied_and_untied_luna() {
    let flags = ["--mechanism", "softmax,luna,luna:tied=false", "--unit", "layer", "--measure", "flops,time"];
    let report = swept(&with(&flags));
    let flops = |name: &str, l: &str| {
        let rows = rows(&report.rows);
        let row = rows.iter().find(|row| row["mechanism"] == name && row["n"] == "70" && row["l"] == l);
        row.unwrap()["flops"].parse::<u64>().unwrap()
    };
    let (n, l, d) = (70, 16, 72);
    // Untied, n rows are projected once more, and l rows once more.
    assert_eq!(flops("luna:tied=false", "16") - flops("luna", "16"), 2 * (n + l) * d * d);
}

#[test]
fn cells_beyond_budget_or_memory_say_so() {
    let flags = [
        "--mechanism",
        "softmax",
        "--seq-len",
        "64,128,256,1000000",
        "--num-heads",
        "1",
        "--measure",
        "time",
    ];
    let report = swept(&[&flags[..], &["--rounds", "3", "--time-limit", "30s"]].concat());
    let long: Vec<_> = rows(&report.rows).into_iter().filter(|row| row["n"] == "1000000").collect();
    let fused = long.iter().find(|row| row["form"] == "fused").unwrap();
    assert!(fused["state"].contains("--time-limit: about "), "{}", fused["state"]);
    assert!(fused["rounds"].is_empty() && fused["speedup"].is_empty());
    let made = long.iter().find(|row| row["form"] == "n x n").unwrap();
    assert!(made["state"].contains("would need 3725.3 GiB"), "{}", made["state"]);
}

#[test]
fn an_l_above_every_length_is_left_out_of_the_default_ones() {
    let report = swept(&["--mechanism", "luna", "--seq-len", "24", "--measure", "flops"]);
    assert_eq!(rows(&report.rows).iter().filter(|row| row["mechanism"] == "luna").count(), 1);
    assert!(report.notes.iter().any(|note| note.starts_with("left out: l = 128 up to n = 24 is above n")));
}

#[test]
fn exact_attention_is_always_measured() {
    let report = swept(&["--mechanism", "linear", "--seq-len", "40", "--measure", "flops"]);
    let forms: Vec<(String, String)> =
        rows(&report.rows).into_iter().map(|row| (row["mechanism"].clone(), row["form"].clone())).collect();
    let expected = [("softmax", "fused"), ("softmax", "n x n"), ("linear", "fused")];
    assert_eq!(forms, expected.map(|(a, b)| (a.to_string(), b.to_string())));
}

#[test]
fn any_choice_of_measures_runs() {
    let all = ["flops", "time", "memory", "error"];
    for chosen in 1..16_usize {
        let names: Vec<&str> = (0..4).filter(|i| chosen >> i & 1 == 1).map(|i| all[i]).collect();
        let measure = names.join(",");
        let flags =
            ["--mechanism", "luna", "--seq-len", "24", "--l", "8", "--num-heads", "1", "--rounds", "3"];
        let report = swept(&[&flags[..], &["--windows", "1", "--measure", &measure]].concat());
        for row in rows(&report.rows) {
            assert_eq!(!row["time_s"].is_empty(), names.contains(&"time"), "{measure}");
            assert_eq!(!row["output_rel_fro"].is_empty(), names.contains(&"error"), "{measure}");
            assert_eq!(!row["extra_memory_bytes"].is_empty(), names.contains(&"memory"), "{measure}");
        }
    }
}

#[test]
fn reference_implementations_are_counted_and_not_timed() {
    let report = swept(&with(&["--mechanism", "softmax,synthesizer", "--seq-len", "70"]));
    for row in rows(&report.rows).iter().filter(|row| row["mechanism"] == "synthesizer") {
        assert_eq!(row["form"], "reference");
        assert!(row["time_s"].is_empty() && !row["flops"].is_empty());
        assert!(row["l"].is_empty(), "nothing of the random form depends on l");
        assert!(row["state"].starts_with("skipped (reference implementation only"), "{}", row["state"]);
    }
}

#[test]
fn errors_are_those_of_approx_error() {
    let flags =
        ["--mechanism", "softmax,luna,linear", "--seq-len", "64", "--l", "8,16", "--measure", "flops,error"];
    let report = swept(&[&flags[..], &["--windows", "2"]].concat());
    let luna =
        rows(&report.rows).into_iter().find(|row| row["mechanism"] == "luna" && row["l"] == "16").unwrap();
    let approx = std::process::Command::new(assert_cmd::cargo::cargo_bin!("luna"))
        .args([
            "approx-error",
            "--mechanism",
            "luna",
            "--seq-len",
            "64",
            "--l",
            "16",
            "--windows",
            "2",
            "--aggregate",
            "--synthetic",
            "gaussian:logit_sd=0.5,gaussian:logit_sd=1,gaussian:logit_sd=2,gaussian:logit_sd=4",
        ])
        .args(["--format", "json", "--quiet"])
        .output()
        .unwrap();
    let approx: serde_json::Value = serde_json::from_slice(&approx.stdout).unwrap();
    let theirs = approx["rows"][0]["output_rel_fro"].as_f64().unwrap();
    let ours: f64 = luna["output_rel_fro"].parse().unwrap();
    assert!((ours / theirs - 1.0).abs() < 1e-5, "{ours} {theirs}");
    let exact = rows(&report.rows).into_iter().find(|row| row["mechanism"] == "softmax").unwrap();
    assert!(exact["output_rel_fro"].parse::<f64>().unwrap() < 1e-6);
}

#[test]
fn the_front_has_what_nothing_dominates() {
    let flags = ["--mechanism", "softmax,luna,linear", "--seq-len", "96", "--l", "4,16,64", "--windows", "1"];
    let report = swept(&[&flags[..], &["--measure", "flops,time,memory,error", "--rounds", "3"]].concat());
    let front = &report.views.iter().find(|(name, _)| name == "front").unwrap().1;
    let rows = rows(front);
    let costs =
        |row: &Row| ["error", "mflop", "time", "memory"].map(|name| row[name].parse::<f64>().unwrap());
    assert_eq!(rows.len(), 6);
    for own in rows.iter().filter(|row| row["front"] != "yes") {
        let beaten = rows.iter().any(|other| {
            let (a, b) = (costs(other), costs(own));
            let no_worse =
                a.iter().zip(&b).all(|(a, b)| a <= b) || (a[0] <= b[0] && a[1] <= b[1] && a[3] <= b[3]);
            no_worse && a.iter().zip(&b).any(|(a, b)| a < b)
        });
        assert!(beaten, "{own:?}");
    }
    assert!(rows.iter().any(|row| row["front"] == "yes"));
}

#[test]
fn every_parameter_can_be_swept() {
    for (flags, name) in [
        (&["--causal", "--mechanism", "luna-causal:weight=elu"][..], "luna-causal:weight=elu"),
        (&["--mechanism", "luna:p=segment"], "luna:p=segment"),
        (&["--mechanism", "performer:eps=1e-6"], "performer:eps=1e-6"),
        (&["--mechanism", "linformer:shared=false"], "linformer:shared=false"),
    ] {
        let report = swept(&with(&[flags, &["--seq-len", "64,128", "--measure", "flops,time"]].concat()));
        let rows = rows(&report.rows);
        let timed = rows.iter().filter(|row| row["mechanism"] == name && row["state"] == "measured").count();
        assert_eq!(timed, 4, "{name}: two lengths, two l");
    }
    // Means of segments instead of a product with E: it has no fused implementation.
    let report = swept(&with(&["--mechanism", "linformer:e=segment", "--measure", "flops"]));
    let rows = rows(&report.rows);
    assert!(rows.iter().any(|row| row["mechanism"] == "linformer:e=segment" && row["form"] == "reference"));
}

#[test]
fn impossible_cells_are_left_out_with_their_reason() {
    for unit in ["core", "layer"] {
        let flags =
            ["--unit", unit, "--mechanism", "softmax,linformer:max=64", "--seq-len", "64,128", "--l", "16"];
        let report = swept(&[&flags[..], &["--num-heads", "2", "--rounds", "3"]].concat());
        let rows = rows(&report.rows);
        let of = |n: &str| {
            rows.iter().find(|row| row["mechanism"].starts_with("linformer") && row["n"] == n).unwrap()
        };
        assert_eq!(of("64")["state"], "measured", "{unit}");
        let out = of("128");
        assert_eq!(out["state"], "left out (covers max = 64 tokens, and n is 128)", "{unit}");
        assert!(out["flops"].is_empty() && out["time_s"].is_empty(), "{unit}");
        assert_eq!(rows.iter().filter(|row| row["state"] == "measured").count(), 5, "{unit}");
        assert!(
            report.notes.iter().any(|note| note.contains("left out") && note.contains("max = 64")),
            "{unit}"
        );
    }
    let flags = ["--causal", "--mechanism", "luna,linear,linformer", "--seq-len", "64", "--measure", "flops"];
    let report = swept(&flags);
    let note = report.notes.iter().find(|note| note.starts_with("left out")).unwrap();
    assert!(
        note.contains("luna has no causal impl") && note.contains("linformer has no causal impl"),
        "{note}"
    );
    assert!(rows(&report.rows).iter().any(|row| row["mechanism"] == "linear"));
}

#[test]
fn every_timed_row_says_how_near_its_code_was_to_the_reference() {
    let small = [
        "--seq-len",
        "33",
        "--l",
        "5",
        "--num-heads",
        "2",
        "--head-dim",
        "16",
        "--ffn",
        "24",
        "--rounds",
        "3",
    ];
    for unit in ["core", "layer", "encoder"] {
        for pass in ["forward", "train"] {
            for mask in [&[][..], &["--causal"]] {
                let flags =
                    [&small[..], &["--unit", unit, "--pass", pass, "--measure", "time"], mask].concat();
                let report = swept(&flags);
                let rows = rows(&report.rows);
                let timed: Vec<_> = rows.iter().filter(|row| !row["time_s"].is_empty()).collect();
                assert!(timed.len() >= 5, "{flags:?}");
                for row in timed {
                    let gate = |name: &str| row[name].parse::<f64>().ok();
                    let near = |off: Option<f64>| off.is_some_and(|off| off > 0.0 && off <= 1e-4);
                    assert!(near(gate("gate_output")), "{flags:?} {row:?}");
                    assert_eq!(gate("gate_gradients").is_some(), pass == "train", "{flags:?} {row:?}");
                    assert!(pass == "forward" || near(gate("gate_gradients")), "{flags:?} {row:?}");
                }
                assert!(report.notes.iter().any(|note| note.starts_with("checked before timing")));
            }
        }
    }
}

#[test]
fn break_even_holds_for_every_longer_row() {
    let flags =
        ["--seq-len", "8,16,32,64,128,256", "--l", "16", "--num-heads", "1", "--measure", "flops,memory"];
    for (unit, mask, attention) in
        [("layer", &["--causal"][..], "luna-causal"), ("core", &[], "luna,linformer,local")]
    {
        let report = swept(&[&flags[..], mask, &["--unit", unit, "--mechanism", attention]].concat());
        let all = rows(&report.rows);
        let crossover = &report.views.iter().find(|(name, _)| name == "crossover").unwrap().1;
        for row in rows(crossover) {
            for (column, figure) in [("n_flops", "flops"), ("n_memory", "extra_memory_bytes")] {
                let from: Option<f64> = row[column].parse().ok();
                let cost = |mechanism: &str, form: &str, n: &str| {
                    let found = all
                        .iter()
                        .find(|one| one["mechanism"] == mechanism && one["form"] == form && one["n"] == n)?;
                    found[figure].parse::<f64>().ok()
                };
                let lengths = ["16", "32", "64", "128", "256"];
                for n in
                    lengths.into_iter().filter(|n| from.is_some_and(|from| n.parse::<f64>().unwrap() >= from))
                {
                    let (own, exact) =
                        (cost(&row["mechanism"], "fused", n), cost("softmax", &row["against"], n));
                    assert!(own < exact, "{column} {row:?} at {n}: {own:?} and {exact:?}");
                }
            }
        }
    }
}

#[test]
fn exponents_of_closed_forms_are_local_and_have_no_interval() {
    let report =
        swept(&with(&["--seq-len", "64,128,1024", "--mechanism", "softmax,linear", "--measure", "flops"]));
    let table = &report.views.iter().find(|(name, _)| name == "exponents").unwrap().1;
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["mechanism", "l", "flops", "mem", "time", "low", "high", "from", "to"]);
    for row in rows(table) {
        let expected = if row["mechanism"].starts_with("softmax") { 2.0 } else { 1.0 };
        assert!((row["flops"].parse::<f64>().unwrap() - expected).abs() < 1e-9, "{row:?}");
        assert!(row["time"].is_empty() && row["from"].is_empty(), "{row:?}");
    }
    let timed = swept(&with(&["--mechanism", "linear", "--measure", "time", "--rounds", "6"]));
    let table = &timed.views.iter().find(|(name, _)| name == "exponents").unwrap().1;
    for row in rows(table) {
        assert_eq!((&*row["from"], &*row["to"]), ("33", "70"), "{row:?}");
        let [low, mid, high] = ["low", "time", "high"].map(|name| row[name].parse::<f64>().unwrap());
        assert!(low <= mid && mid <= high, "{row:?}");
    }
}
