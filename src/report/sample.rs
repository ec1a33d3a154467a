//! A report for the tests of every format.

use super::{Cell, Column, Digits, Report, Stamp, Table};

/// A small report with everything that a format has to get right.
pub(super) fn report() -> Report {
    let mut rows = Table::new(
        "spectra",
        vec![
            Column::new("head", "", "layer.head", Digits::Text),
            Column::new("rank90_energy", "values", "share of sigma squared", Digits::Integer),
            Column::new("effective_rank", "", "exp of the entropy", Digits::Significant(3)),
            Column::new("lower_than_null", "", "below the null model", Digits::Text),
        ],
    );
    rows.push(vec!["0.0".into(), 12.into(), 34.567.into(), true.into()]);
    rows.push(vec!["0.1, \"q|k\"".into(), Cell::Missing, f64::NAN.into(), false.into()]);
    rows.push(vec!["λ".into(), 3.into(), (1.0 / 3.0).into(), Cell::Missing]);
    let mut stamp = Stamp::default();
    stamp.push("version", "0.1.0");
    stamp.push("seed", 7);
    let summary = rows.select(&["head", "effective_rank"]).unwrap();
    Report {
        stamp,
        rows,
        views: vec![("summary".into(), summary)],
        notes: vec!["one head of three is lower than its null model".into()],
        ..Report::default()
    }
}
