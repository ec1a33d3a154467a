//! Whether a head's effective rank is lower than that of its null models.
//!
//! The hypothesis that a verdict rejects: the head is itself one more draw of the null model. Its error rate is tested:
//! of heads that are such draws, 5 % are called lower or higher.

use crate::report::Digits::{Fixed, Text};
use crate::report::{Cell, Column};
use crate::stats::{self, Interval};
use crate::study::columns::{described, ends_cells};

/// Differences below this share of the effective rank are rounding of the matrix and decide nothing.
const RESOLUTION: f64 = 1e-4;

/// The share of heads that are called lower or higher although they are draws of their null model.
pub(super) const LEVEL: f64 = 0.05;

/// What can be said of a head beside its null models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Below every null model, the interval of each difference below 0.
    Lower,
    /// Above at least one of them, the interval of the difference above 0.
    Higher,
    /// An interval holds 0, or there are too few draws for one.
    Undecided,
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Higher => "higher",
            Self::Undecided => "undecided",
        }
    }
}

/// A head's effective rank less that of one null model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Difference {
    /// The head's less the mean of the null model's.
    pub(super) mid: f64,
    /// The 95 % interval; none from one draw in one window.
    pub(super) interval: Option<Interval>,
}

impl Difference {
    fn below(self) -> bool {
        self.interval.is_some_and(|interval| interval.high < 0.0)
    }

    fn above(self) -> bool {
        self.interval.is_some_and(|interval| interval.low > 0.0)
    }

    /// The end that keeps a head from being called lower.
    fn upper(self) -> f64 {
        self.interval.map_or(f64::INFINITY, |interval| interval.high)
    }
}

/// A verdict and the null model that decided it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    /// Its place among the null models.
    pub(super) null: usize,
    pub(super) difference: Difference,
}

/// A head's effective rank less that of one null model; none if an effective rank is missing.
///
/// `windows` holds for each window the head's effective rank and that of each draw.
///
/// Several windows: the mean over windows of the difference from the mean of the draws, with Student's interval over
/// windows. One window: Student's prediction interval, in which one more draw of the null model lies (half-width
/// `t s sqrt(1 + 1 / draws)`; the interval of the draws' mean would shrink to nothing with their number, and decide heads
/// that are draws themselves).
pub(super) fn difference(windows: &[(Option<f64>, &[f64])]) -> Option<Difference> {
    let known: Option<Vec<(f64, &[f64])>> = windows
        .iter()
        .map(|(head, draws)| head.filter(|_| !draws.is_empty()).map(|head| (head, *draws)))
        .collect();
    let known = known.filter(|known| !known.is_empty())?;
    let differences: Vec<f64> = known.iter().map(|(head, draws)| head - stats::mean(draws)).collect();
    let mid = stats::mean(&differences);
    let interval = match known.as_slice() {
        [(_, draws)] => stats::student_prediction(draws).map(|draw| Interval {
            mid,
            low: mid - (draw.high - draw.mid),
            high: mid + (draw.mid - draw.low),
        }),
        _ => stats::student_mean(&differences),
    };
    let rounding = RESOLUTION * known.iter().map(|(head, _)| head.abs()).fold(0.0, f64::max);
    let wide = |interval: Interval| Interval {
        low: interval.low.min(mid - rounding),
        high: interval.high.max(mid + rounding),
        ..interval
    };
    Some(Difference { mid, interval: interval.map(wide) })
}

/// The verdict over the differences from all null models: of a head above one of them, the null model that it is furthest
/// above; otherwise the one that it is hardest to be below. None without a difference.
pub(super) fn decide(differences: &[Option<Difference>]) -> Option<Decision> {
    let known =
        || differences.iter().enumerate().filter_map(|(null, difference)| Some((null, (*difference)?)));
    let lowest =
        |difference: Difference| difference.interval.map_or(f64::NEG_INFINITY, |interval| interval.low);
    let above = known().filter(|(_, difference)| difference.above());
    if let Some((null, difference)) = above.max_by(|(_, a), (_, b)| lowest(*a).total_cmp(&lowest(*b))) {
        return Some(Decision { verdict: Verdict::Higher, null, difference });
    }
    let order = |a: Difference, b: Difference| a.upper().total_cmp(&b.upper()).then(a.mid.total_cmp(&b.mid));
    let (null, difference) = known().max_by(|(_, a), (_, b)| order(*a, *b))?;
    let below = differences.iter().all(|difference| difference.is_some_and(Difference::below));
    let verdict = if below { Verdict::Lower } else { Verdict::Undecided };
    Some(Decision { verdict, null, difference })
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
            columns.push(Column::new(name, "values", format!("{about} of the {null} null"), Fixed(1)));
        }
    }
    if !nulls.is_empty() {
        let names = ["deciding_null", "deciding_null_effective_rank", "difference_low", "difference_high"];
        columns.extend(deciding_columns(names));
    }
    columns
}

/// The columns of the null model that decided and of the verdict, the first four under these names.
pub(super) fn deciding_columns([null, rank, low, high]: [&str; 4]) -> Vec<Column> {
    described(&[
        (null, "", "the null model that the verdict rests on", Text),
        (rank, "", "effective rank of this null model, mean over draws and windows", Fixed(1)),
        (low, "", "lower 95 % end of the effective rank less that", Fixed(1)),
        (high, "", "upper 95 % end of it", Fixed(1)),
        (
            "verdict",
            "",
            "effective rank against the null models: lower than all, higher than one (95 % intervals), or undecided",
            Text,
        ),
    ])
}

/// The cells under [`columns`]; `rank` is the effective rank of a null model.
pub(super) fn cells(
    differences: &[Option<Difference>],
    nulls: &[&str],
    rank: impl Fn(usize) -> Option<f64>,
) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for difference in differences {
        let interval = difference.and_then(|difference| difference.interval);
        cells.extend(ends_cells(difference.map(|difference| difference.mid), interval));
    }
    if !differences.is_empty() {
        cells.extend(deciding_cells(decide(differences), nulls, rank));
    }
    cells
}

/// The cells under [`deciding_columns`].
pub(super) fn deciding_cells(
    decision: Option<Decision>,
    nulls: &[&str],
    rank: impl Fn(usize) -> Option<f64>,
) -> [Cell; 5] {
    let verdict = decision.map_or(Verdict::Undecided, |decision| decision.verdict);
    let interval = decision.and_then(|decision| decision.difference.interval);
    [
        decision.and_then(|decision| nulls.get(decision.null).copied()).into(),
        decision.and_then(|decision| rank(decision.null)).into(),
        interval.map(|ends| ends.low).into(),
        interval.map(|ends| ends.high).into(),
        verdict.name().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{normal, stream};

    fn one(head: f64, draws: &[f64]) -> Option<Difference> {
        difference(&[(Some(head), draws)])
    }

    #[test]
    fn verdicts_need_their_intervals_apart() {
        let below = one(10.0, &[20.0, 20.5, 19.5]);
        let above = one(30.0, &[20.0, 20.5, 19.5]);
        let about = one(20.0, &[20.0, 20.5, 19.5]);
        let alone = one(10.0, &[20.0]);
        let of = |differences: &[_]| decide(differences).map(|decision| (decision.verdict, decision.null));
        assert_eq!(of(&[below, below]).unwrap().0, Verdict::Lower);
        assert_eq!(of(&[below, above]), Some((Verdict::Higher, 1)));
        assert_eq!(of(&[below, about]), Some((Verdict::Undecided, 1)));
        assert_eq!(of(&[alone]), Some((Verdict::Undecided, 0)));
        assert_eq!(
            of(&[below, None]),
            Some((Verdict::Undecided, 0)),
            "an unknown null model decides nothing"
        );
        assert_eq!(of(&[]), None);
        assert_eq!(alone.unwrap().mid, -10.0, "one draw has a difference, and no interval");
    }

    /// A head that lies above one null model and widely about another is decided by the former: the row shows that one.
    #[test]
    fn the_null_model_that_decides_is_the_one_in_the_row() {
        let wide = Difference { mid: 0.0, interval: Some(Interval { mid: 0.0, low: -117.4, high: 102.8 }) };
        let narrow = Difference { mid: 5.0, interval: Some(Interval { mid: 5.0, low: 4.0, high: 6.0 }) };
        let decision = decide(&[Some(wide), Some(narrow)]).unwrap();
        assert_eq!((decision.verdict, decision.null, decision.difference), (Verdict::Higher, 1, narrow));
        let cells = cells(&[Some(wide), Some(narrow)], &["gaussian", "shuffled"], |null| Some(null as f64));
        assert_eq!(cells[6..], ["shuffled".into(), 1.0.into(), 4.0.into(), 6.0.into(), "higher".into()]);
    }

    #[test]
    fn windows_are_what_varies_where_there_are_several() {
        let windows: [(Option<f64>, &[f64]); 2] = [(Some(10.0), &[20.0, 22.0]), (Some(12.0), &[20.0, 22.0])];
        let found = difference(&windows).unwrap();
        assert_eq!(found.mid, -10.0);
        assert!(found.interval.unwrap().high > 0.0, "two windows decide little: {found:?}");
    }

    #[test]
    fn rounding_decides_nothing() {
        let draws = [32.0, 32.0 + 1e-9, 32.0 + 2e-9];
        assert_eq!(decide(&[one(32.0 - 1e-6, &draws)]).unwrap().verdict, Verdict::Undecided);
        assert_eq!(decide(&[one(31.0, &draws)]).unwrap().verdict, Verdict::Lower);
    }

    /// The interval of one window must not shrink with the draws: with 200 of them 90 of 100 such heads were decided.
    #[test]
    fn one_more_draw_is_decided_in_one_of_twenty() {
        for draws in [2, 3, 10, 50, 200] {
            let mut rng = stream(5, &format!("one more of {draws}"));
            let heads = 2_000;
            let decided = (0..heads)
                .filter(|_| {
                    let all: Vec<f64> =
                        normal(&mut rng, 1, draws + 1).iter().map(|x| 100.0 + f64::from(*x)).collect();
                    decide(&[one(all[0], &all[1..])]).unwrap().verdict != Verdict::Undecided
                })
                .count() as f64;
            let expected = LEVEL * f64::from(heads);
            let sd = (expected * (1.0 - LEVEL)).sqrt();
            assert!((decided - expected).abs() <= 3.0 * sd, "{decided} of {heads} at {draws} draws");
        }
    }
}
