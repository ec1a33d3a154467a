//! What holds of every comparison, and figures that were computed by hand.

use luna::report::{Cell, Table};
use luna::stats;
use luna::study::runs::{Condition, DiffConfig, Run, View};
use serde_json::json;

use super::{ranks, result, run};

fn numbers(table: &Table, column: &str) -> Vec<Option<f64>> {
    table.cells(column).expect("a column").map(Cell::number).collect()
}

fn texts(table: &Table, column: &str) -> Vec<String> {
    table.cells(column).expect("a column").map(Cell::exact).collect()
}

fn shown(view: &View, run: &Run) -> luna::report::Report {
    let mut report = run.report.clone();
    view.apply(&mut report, &run.columns).expect("a view");
    report
}

#[test]
fn a_run_does_not_differ_from_itself() {
    let one = run("one", &result(ranks));
    for by in [None, Some("layer"), Some("head"), Some("window"), Some("n")] {
        let config = DiffConfig { by: by.map(Into::into), ..DiffConfig::default() };
        let found = config.compare(&[one.clone(), one.clone()]).expect("a comparison").report;
        for column in ["diff", "low", "high"] {
            assert!(numbers(&found.rows, column).iter().flatten().all(|value| *value == 0.0), "{by:?}");
        }
        assert!(texts(&found.rows, "verdict").iter().all(|verdict| verdict == "equal"));
        assert!(found.views.iter().all(|(name, _)| name != "changed"));
    }
}

#[test]
fn the_difference_changes_its_sign_with_the_order_of_the_runs() {
    let noisy = |layer: usize, head: usize, window: usize| {
        ranks(layer, head, window).sqrt() * (1.1 + window as f64 / 7.0)
    };
    let [a, b] = [run("a", &result(ranks)), run("b", &result(noisy))];
    // The rows of a file may stand in any order.
    let mut turned = result(ranks);
    turned["rows"].as_array_mut().expect("rows").reverse();
    let turned = run("a", &turned);
    for by in [None, Some("layer"), Some("head")] {
        let config =
            DiffConfig { by: by.map(Into::into), sort: "column".parse().ok(), ..DiffConfig::default() };
        let compare = |runs: &[Run; 2]| config.compare(runs).expect("a comparison").report.rows;
        let [there, back, from_turned] =
            [&[a.clone(), b.clone()], &[b.clone(), a.clone()], &[turned.clone(), b.clone()]].map(compare);
        let negated = |column: &str| {
            numbers(&back, column).into_iter().map(|value| value.map(|value| -value)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&there, "diff"), negated("diff"));
        assert_eq!(numbers(&there, "low"), negated("high"));
        assert_eq!(numbers(&there, "first"), numbers(&back, "other"));
        let sorted = |table: &Table| {
            let mut diffs: Vec<_> = numbers(table, "diff").into_iter().flatten().collect();
            diffs.sort_by(f64::total_cmp);
            diffs
        };
        assert_eq!(sorted(&there), sorted(&from_turned));
        assert!(numbers(&there, "diff").iter().flatten().any(|diff| diff.abs() > 0.1));
    }
}

#[test]
fn intervals_are_over_windows_and_not_over_heads() {
    // Heads differ by what is the same in every window: no part of the interval.
    let gain = |head: usize, window: usize| [0.1, 0.3, 0.2][window] + if head == 0 { 5.0 } else { -5.0 };
    let other = run("other", &result(|layer, head, window| ranks(layer, head, window) + gain(head, window)));
    let found =
        DiffConfig::default().compare(&[run("one", &result(ranks)), other]).expect("a comparison").report;
    let expected = stats::student_mean(&[0.1, 0.3, 0.2]).expect("an interval");
    let row =
        texts(&found.rows, "column").iter().position(|column| column == "effective_rank").expect("a row");
    for (column, value) in
        [("diff", 0.2), ("low", expected.low), ("high", expected.high), ("rows", 12.0), ("windows", 3.0)]
    {
        let found = numbers(&found.rows, column)[row].expect("a number");
        assert!((found - value).abs() < 1e-12, "{column}: {found}, {value}");
    }
    assert_eq!(texts(&found.rows, "verdict")[row], if expected.low > 0.0 { "higher" } else { "undecided" });
    let (_, largest) = found.views.iter().find(|(name, _)| name == "largest").expect("a table");
    assert_eq!(texts(largest, "at"), ["layer 0 head 0 window 1", ""]);
    assert!(found.notes.iter().any(|note| note.starts_with("verdict differs in ")), "{:?}", found.notes);
}

#[test]
fn only_rows_of_both_runs_are_compared() {
    let mut cut = result(|layer, head, window| ranks(layer, head, window) + 1.0);
    cut["rows"].as_array_mut().expect("rows").truncate(5);
    cut["rows"][0]["effective_rank"] = json!(null);
    let found = DiffConfig::default()
        .compare(&[run("one", &result(ranks)), run("cut", &cut)])
        .expect("a comparison")
        .report;
    assert_eq!(numbers(&found.rows, "rows")[0], Some(4.0));
    assert!((numbers(&found.rows, "diff")[0].expect("a number") - 1.0).abs() < 1e-12);
    assert!(
        found.notes[0].contains("5 rows are matched") && found.notes[0].contains("7 of the first run"),
        "{:?}",
        found.notes
    );
}

#[test]
fn runs_that_cannot_be_matched_are_refused_by_name() {
    let one = result(ranks);
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut other = one.clone();
        change(&mut other);
        let refused = DiffConfig::default().compare(&[run("one", &one), run("other", &other)]);
        refused.map(|_| ()).unwrap_err().to_string()
    };
    let lines = [
        with(&|other| other["stamp"]["study"] = "approx-error".into()),
        with(&|other| drop(other["columns"].as_array_mut().expect("columns").remove(2))),
        with(&|other| {
            other["rows"].as_array_mut().expect("rows").iter_mut().for_each(|row| row["n"] = 32.into());
        }),
        with(&|other| other["rows"][1]["window"] = 0.into()),
        with(&|other| drop(other["columns"].as_array_mut().expect("columns").drain(4..6))),
    ];
    let expected = [
        "'other' is of approx-error",
        "'other' have the keys layer, head, n;",
        "n is 32 there, 64 here",
        "rows 1 and 2 of 'other' have the same keys",
        "no matched rows have numbers in effective_rank, stable_rank",
    ];
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected) && !line.contains('\n'), "{line}");
    }
}

#[test]
fn a_condition_is_judged_by_the_mean_difference_and_an_interval_that_holds_its_bound_is_said() {
    let gain = [0.1, 0.3, 0.2];
    let runs = [
        run("one", &result(ranks)),
        run("other", &result(|layer, head, window| ranks(layer, head, window) + gain[window])),
    ];
    let judge = |condition: &str| {
        let config =
            DiffConfig { fail_if: vec![condition.parse().expect("a condition")], ..DiffConfig::default() };
        config.compare(&runs).map(|diff| (diff.failed, diff.report.views.last().expect("a table").1.clone()))
    };
    for (condition, holds) in [
        ("effective_rank > 0.199", "yes, undecided"),
        ("erank > 5", "no"),
        ("effective_rank < 0.5", "yes"),
        ("effective_rank <= 0.1", "no, undecided"),
        ("|effective_rank| > 0.01", "yes, undecided"),
        ("stable_rank >= 0", "yes"),
    ] {
        let (failed, table) = judge(condition).expect("a comparison");
        assert_eq!(texts(&table, "holds"), [holds], "{condition}");
        assert_eq!(failed.len(), usize::from(holds.starts_with("yes")), "{condition}");
        assert!(
            failed.iter().all(|line| line.contains("undecided") == holds.contains("undecided")),
            "{failed:?}"
        );
    }
    for wrong in ["effective_rang < 1", "verdict < 1", "effective_rank = 1"] {
        let line = judge(wrong).map(|_| ()).unwrap_err().to_string();
        assert!(line.contains("known: ") || line.contains("accepted: "), "{wrong}: {line}");
    }
}

#[test]
fn means_by_layer_are_over_heads_then_windows() {
    let one = run("one", &result(ranks));
    let by = |by: &str| shown(&View { by: Some(by.into()), ..View::default() }, &one);
    let found = by("layer");
    assert_eq!(numbers(&found.rows, "layer"), [Some(0.0), Some(1.0)]);
    assert_eq!(numbers(&found.rows, "effective_rank"), [Some(3.75), Some(13.75)]);
    let expected = stats::student_mean(&[3.5, 3.75, 4.0]).expect("an interval");
    assert!((numbers(&found.rows, "effective_rank_low")[0].expect("a number") - expected.low).abs() < 1e-12);
    // The main table of the run shows the effective rank alone, under its short name.
    let names: Vec<_> = found.views[0].1.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["layer", "rows", "windows", "erank", "stable_rank"]);
    assert_eq!(texts(&by("head").rows, "rows"), ["3"; 4]);
    let mut bare = result(ranks);
    bare["columns"].as_array_mut().expect("columns").drain(4..6);
    let bare = shown(&View { by: Some("layer".into()), ..View::default() }, &run("bare", &bare));
    assert_eq!(texts(&bare.views[0].1, "rows"), ["6", "6"]);
    assert!(by("window").rows.index("effective_rank_low").is_err(), "one window has no interval");
}

#[test]
fn rows_are_chosen_and_sorted_in_every_table_that_has_the_column() {
    let one = run("one", &result(ranks));
    let conditions: Vec<Condition> = vec!["erank < 13.4".parse().expect("a condition")];
    let view = View { conditions, sort: "erank:desc".parse().ok(), ..View::default() };
    let found = shown(&view, &one);
    assert_eq!(numbers(&found.rows, "effective_rank")[..3], [Some(13.25), Some(13.0), Some(4.5)]);
    assert_eq!(numbers(&found.views[0].1, "erank"), [Some(5.0)]);
    assert_eq!(found.views[0].1.notes, ["1 of 2 rows: erank < 13.4"]);
    let view = View { sort: "effective_rank:desc".parse().ok(), ..View::default() };
    assert_eq!(numbers(&shown(&view, &one).views[0].1, "erank"), [Some(15.0), Some(5.0)]);
    // A column that no table has is shown beside those of the main one.
    let view = View { conditions: vec!["window = 2".parse().expect("a condition")], ..View::default() };
    assert_eq!(numbers(&shown(&view, &one).views[0].1, "erank").len(), 4);
    let wrong = View { sort: "eranc".parse().ok(), ..View::default() };
    let line = wrong.apply(&mut one.report.clone(), &one.columns).unwrap_err().to_string();
    assert!(line.starts_with("unknown column 'eranc'"), "{line}");
    assert_eq!(wrong.check(&one.columns).unwrap_err().to_string(), line);
}
