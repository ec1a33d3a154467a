//! Mechanisms beside each other: paired head by head, and what is said of it.

use luna::report::{Report, Table};
use luna::stats::{Verdict, from_best, student_mean_at};

use super::{approx_error, with_seed};
use crate::study::{cell, number};

/// Heads of one temperature each: the same for every mechanism.
fn heads(count: usize) -> String {
    let sds = (0..count).map(|head| format!("gaussian:logit_sd={},d_h=8", 1.0 + head as f64 / 4.0));
    sds.collect::<Vec<_>>().join(",")
}

fn run(heads: &str, more: &[&str]) -> Report {
    let input = ["--synthetic", heads, "--seq-len", "40", "--windows", "2", "--l", "4,8"];
    approx_error(&[&input[..], more].concat()).unwrap()
}

fn view<'a>(report: &'a Report, name: &str) -> Option<&'a Table> {
    report.views.iter().find(|(known, _)| known == name).map(|(_, table)| table)
}

#[test]
fn differences_are_of_the_same_heads_and_decide_where_marginal_intervals_overlap() {
    let specs = "luna:p=segment,luna:p=random,nystrom,linear";
    let report = run(&heads(6), &["--mechanism", specs]);
    let table = view(&report, "differences_n40").unwrap();
    let errors = |mechanism: &str, l: &str| -> Vec<f64> {
        let at = |row: usize, column: &str| cell(&report.rows, row, column).exact();
        let own = (0..report.rows.rows.len())
            .filter(|row| at(*row, "mechanism") == mechanism && at(*row, "l") == l);
        let all: Vec<f64> = own.map(|row| number(&report.rows, row, "output_rel_fro")).collect();
        all.chunks(2).map(|windows| f64::midpoint(windows[0], windows[1])).collect()
    };
    // linear has no l, and nothing to be compared with.
    assert_eq!(table.rows.len(), 6, "three mechanisms at two l");
    let mut best = Vec::new();
    for row in 0..6 {
        let text = |column: &str| cell(table, row, column).exact();
        let own = errors(&text("mechanism"), &text("l"));
        assert_eq!((own.len(), number(table, row, "heads")), (6, 6.0));
        if row % 3 == 0 {
            assert_eq!((text("verdict"), text("diff")), ("best".to_string(), String::new()));
            best = own;
            continue;
        }
        let differences: Vec<f64> = own.iter().zip(&best).map(|(own, best)| own - best).collect();
        let ends = student_mean_at(&differences, 1.0 - 0.1 / 3.0).unwrap();
        for (column, expected) in [("diff", ends.mid), ("low", ends.low), ("high", ends.high)] {
            assert!((number(table, row, column) - expected).abs() < 1e-9, "{row} {column}");
        }
        assert!(ends.mid >= 0.0);
        assert_eq!(text("verdict"), if ends.low > 0.0 { "higher" } else { "undecided" });
    }
    let decided = (0..6).filter(|row| cell(table, *row, "verdict").exact() == "higher").count();
    let said = |part: &str| report.notes.iter().any(|note| note.contains(part));
    assert!(
        said(&format!("{decided} of 4 differences of out_err from the best are decided")),
        "{:?}",
        report.notes
    );
    assert!(said("about 0.2 would be by chance"), "{:?}", report.notes);
    assert!(said("Student's over 6 heads") && said("not those of other models"), "{:?}", report.notes);
    // Nothing is decided by the overlap of two intervals any more.
    let summary = view(&report, "summary_n40").unwrap();
    assert!(summary.columns.iter().all(|column| column.name != "tied"));
}

#[test]
fn one_head_decides_nothing_and_one_mechanism_is_not_compared() {
    let report = run(&heads(1), &["--mechanism", "luna,nystrom"]);
    let table = view(&report, "differences_n40").unwrap();
    for row in 0..table.rows.len() {
        assert_eq!(cell(table, row, "low").number(), None);
        assert!(["best", "undecided"].contains(&cell(table, row, "verdict").exact().as_str()));
    }
    assert!(report.notes.iter().any(|note| note.starts_with("one head: no interval")), "{:?}", report.notes);
    assert_eq!(view(&run(&heads(3), &["--mechanism", "luna"]), "differences_n40"), None);
}

#[test]
fn a_baseline_may_be_named_and_one_without_l_is_compared_at_every_l() {
    let specs = "luna:p=segment,nystrom,linear";
    let of = |baseline: &str| {
        let report = run(&heads(3), &["--mechanism", specs, "--baseline", baseline]);
        let table = view(&report, "differences_n40").unwrap();
        let text = |row: usize, column: &str| cell(table, row, column).exact();
        let rows = 0..table.rows.len();
        let verdicts = ["baseline", "lower", "higher", "undecided"];
        assert!(rows.clone().all(|row| verdicts.contains(&text(row, "verdict").as_str())), "{table:?}");
        let base = rows.filter(|row| text(*row, "verdict") == "baseline").map(|row| text(row, "mechanism"));
        (base.collect::<Vec<String>>(), table.rows.len())
    };
    assert_eq!(of("linear"), (vec!["linear".to_string(); 2], 6));
    assert_eq!(of("nystrom"), (vec!["nystrom".to_string(); 2], 4));
    let refused = super::refusal(&["--synthetic", "gaussian", "--mechanism", specs, "--baseline", "local"]);
    assert!(
        refused.contains("--baseline: 'local'") && refused.contains("luna:p=segment, nystrom, linear"),
        "{refused}"
    );
}

/// Errors of one mechanism under two seeds differ by chance: real error distributions, skewed as they are.
#[test]
fn equal_error_distributions_are_told_apart_in_at_most_5_of_100_comparisons() {
    for count in [2, 4, 9] {
        let heads = heads(count);
        let errors = |seed: u64| -> Vec<f64> {
            let input = ["--synthetic", &heads, "--seq-len", "12", "--windows", "1", "--l", "4"];
            let report = with_seed(&[&input[..], &["--mechanism", "performer"]].concat(), seed);
            (0..count).map(|row| number(&report.rows, row, "output_rel_fro")).collect()
        };
        let decided = (0..200).filter(|seed| {
            let found = from_best(&[errors(2 * seed), errors(2 * seed + 1)], true).unwrap();
            Verdict::of(found.differences[1 - found.baseline]) != Verdict::Undecided
        });
        // 5 % and three standard deviations of 200.
        let decided = decided.count();
        assert!(decided <= 19, "{decided} of 200 over {count} heads");
    }
}
