//! Finished runs: opened, shown again, compared, on a page.

mod laws;
mod page;
mod program;

use std::path::Path;

use luna::study::runs::Run;
use serde_json::{Value, json};

/// A result of `svd-spectrum` on two layers of two heads over three windows, whose effective rank is `rank` of layer, head
/// and window.
fn result(rank: impl Fn(usize, usize, usize) -> f64) -> Value {
    let column =
        |name: &str, digits: &str| json!({ "name": name, "unit": "", "about": "", "digits": digits });
    let keys = ["layer", "head", "window", "n"].map(|name| column(name, "integer"));
    let measured =
        [column("effective_rank", "fixed 1"), column("stable_rank", "fixed 1"), column("verdict", "text")];
    let mut columns = [&keys[..], &measured[..]].concat();
    // The summary leaves this unit out, as that of the study does.
    columns[4]["unit"] = "values".into();
    let mut rows = Vec::new();
    for (layer, head, window) in (0..12).map(|at| (at / 6, at / 3 % 2, at % 3)) {
        let effective_rank = rank(layer, head, window);
        let verdict = if effective_rank < 10.0 { "lower" } else { "higher" };
        rows.push(json!({
            "layer": layer, "head": head, "window": window, "n": 64,
            "effective_rank": effective_rank, "stable_rank": 2.5, "verdict": verdict
        }));
    }
    let shown = [column("layer", "integer"), column("erank", "fixed 1"), column("stable_rank", "fixed 1")];
    let summary = json!({ "title": "Spectra", "columns": shown,
        "rows": [{ "layer": 0, "erank": 5.0 }, { "layer": 1, "erank": 15.0 }], "notes": [] });
    json!({
        "stamp": { "version": env!("CARGO_PKG_VERSION"), "command": ["svd-spectrum"], "study": "svd-spectrum", "seed": 0 },
        "title": "Singular values", "columns": columns, "rows": rows,
        "views": { "summary": summary }, "notes": ["a note of the run"]
    })
}

/// Its name in tables is that of `path`.
fn run(path: &str, result: &Value) -> Run {
    Run::parse(Path::new(path), &result.to_string()).expect("a result")
}

/// 10 layer + head, and a little of the window.
fn ranks(layer: usize, head: usize, window: usize) -> f64 {
    (10 * layer + head) as f64 + [0.0, 0.25, 0.5][window] + 3.0
}
