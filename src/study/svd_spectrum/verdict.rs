//! Whether a head's effective rank is lower than that of its null models.

use crate::report::{Cell, Column, Digits};
use crate::stats::{self, Interval};

/// What can be said of a head beside its null models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Below every null model, intervals apart.
    Lower,
    /// Not below at least one of them, intervals apart.
    NotLower,
    /// An interval holds 0, or there are too few draws for one.
    Undecided,
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::NotLower => "not lower",
            Self::Undecided => "undecided",
        }
    }
}

/// A head's effective rank less that of one null model, with Student's interval.
///
/// `windows` holds for each window the head's effective rank and that of each draw. Several windows: the interval is
/// over windows, of the difference from the mean of the draws. One window: over its draws, and so about this window
/// alone.
pub(super) fn difference(windows: &[(f64, Vec<f64>)]) -> Option<Interval> {
    match windows {
        [] => None,
        [(head, draws)] => stats::student_mean(&draws.iter().map(|draw| head - draw).collect::<Vec<_>>()),
        windows => {
            let differences = windows.iter().map(|(head, draws)| head - stats::mean(draws));
            stats::student_mean(&differences.collect::<Vec<_>>())
        }
    }
}

/// The verdict over the differences from all null models.
pub(super) fn verdict(differences: &[Option<Interval>]) -> Verdict {
    if differences.iter().any(|difference| difference.is_some_and(|interval| interval.low > 0.0)) {
        Verdict::NotLower
    } else if !differences.is_empty()
        && differences.iter().all(|difference| difference.is_some_and(|interval| interval.high < 0.0))
    {
        Verdict::Lower
    } else {
        Verdict::Undecided
    }
}

/// The columns of the differences from these null models, and of the verdict.
pub(super) fn columns(nulls: &[&str]) -> Vec<Column> {
    let mut columns = Vec::new();
    for null in nulls {
        for (end, about) in [
            ("", "effective_rank less that"),
            ("_low", "lower 95 % end of it: that"),
            ("_high", "upper 95 % end of it: that"),
        ] {
            let name = format!("null_{null}_difference{end}");
            columns.push(Column::new(
                name,
                "values",
                format!("{about} of the {null} null"),
                Digits::Fixed(1),
            ));
        }
    }
    if !nulls.is_empty() {
        let about = "lower: the differences from all null models lie below 0 with their 95 % intervals; not lower: one \
                     lies above; undecided: otherwise";
        columns.push(Column::new("lower_than_null", "", about, Digits::Text));
    }
    columns
}

/// The cells under [`columns`].
pub(super) fn cells(differences: &[Option<Interval>]) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for difference in differences {
        cells.push(difference.map(|interval| interval.mid).into());
        cells.push(difference.map(|interval| interval.low).into());
        cells.push(difference.map(|interval| interval.high).into());
    }
    if !differences.is_empty() {
        cells.push(verdict(differences).name().into());
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_need_their_intervals_apart() {
        let below = difference(&[(10.0, vec![20.0, 20.5, 19.5])]);
        let above = difference(&[(30.0, vec![20.0, 20.5, 19.5])]);
        let about = difference(&[(20.0, vec![20.0, 20.5, 19.5])]);
        let alone = difference(&[(10.0, vec![20.0])]);
        assert_eq!(verdict(&[below, below]), Verdict::Lower);
        assert_eq!(verdict(&[below, above]), Verdict::NotLower);
        assert_eq!(verdict(&[below, about]), Verdict::Undecided);
        assert_eq!(verdict(&[alone]), Verdict::Undecided);
        assert_eq!(verdict(&[]), Verdict::Undecided);
    }

    #[test]
    fn windows_are_what_varies_where_there_are_several() {
        let windows = [(10.0, vec![20.0, 22.0]), (12.0, vec![20.0, 22.0])];
        let interval = difference(&windows).unwrap();
        assert_eq!(interval.mid, -10.0);
        assert!(interval.high > 0.0, "two windows decide little: {interval:?}");
    }
}
