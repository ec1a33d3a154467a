//! Which of several is better: differences of pairs, with intervals and verdicts.

use super::sample::{Interval, mean};
use super::student::student_mean_at;

/// What an interval of a difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval is below 0.
    Lower,
    /// The whole interval is above 0.
    Higher,
    /// The interval holds 0, or there is none.
    Undecided,
}

impl Verdict {
    /// What an interval of a difference says; nothing if there is none.
    pub fn of(difference: Option<Interval>) -> Self {
        match difference {
            Some(ends) if ends.high < 0.0 => Self::Lower,
            Some(ends) if ends.low > 0.0 => Self::Higher,
            _ => Self::Undecided,
        }
    }

    /// As it stands in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Higher => "higher",
            Self::Undecided => "undecided",
        }
    }
}

/// Student's interval of the mean difference `values - baseline`, pair by pair; none below two pairs.
///
/// Student's, at every count: percentiles of a bootstrap of four differences would tell equal things apart in about 20 of
/// 100 samples, of eight in 10 (`experiments/calibration`).
pub fn paired(values: &[f64], baseline: &[f64], confidence: f64) -> Option<Interval> {
    let differences: Vec<f64> = values.iter().zip(baseline).map(|(one, other)| one - other).collect();
    student_mean_at(&differences, confidence)
}

/// How far each of several is from one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Differences {
    /// The place of that one.
    pub baseline: usize,
    /// The share of samples in which an interval covers its difference.
    pub confidence: f64,
    /// The differences from it; its own is none, and so are all below two pairs.
    pub differences: Vec<Option<Interval>>,
}

/// How far each of several is from one that was named before anything was measured, with 95 % intervals.
pub fn from_baseline(groups: &[Vec<f64>], baseline: usize) -> Differences {
    from(groups, baseline, 0.95)
}

fn from(groups: &[Vec<f64>], baseline: usize, confidence: f64) -> Differences {
    let other = |at: usize| (at != baseline).then_some(&groups[at]);
    let difference = |at| other(at).and_then(|group| paired(group, &groups[baseline], confidence));
    Differences { baseline, confidence, differences: (0..groups.len()).map(difference).collect() }
}

/// How far each of several is from that with the lowest (or highest) mean, over the same things in the same order.
///
/// The best is chosen by the values that it is then compared by, and of equal ones the one with the luckiest draws is
/// chosen. So the intervals of M things are at 1 - 0.1 / M: that any of the M is the luckiest, and then apart from a
/// given other by Student's test, has a probability of at most (M - 1) * 0.05 / M (a union bound), and a comparison of
/// equal ones is decided in at most 5 of 100 samples. Two things have the usual 95 %.
pub fn from_best(groups: &[Vec<f64>], lowest: bool) -> Option<Differences> {
    let sign = if lowest { 1.0 } else { -1.0 };
    let means: Vec<f64> = groups.iter().map(|group| sign * mean(group)).collect();
    let best = (0..groups.len())
        .filter(|at| means[*at].is_finite())
        .min_by(|a, b| means[*a].total_cmp(&means[*b]))?;
    let confidence = 1.0 - 0.1 / groups.len().max(2) as f64;
    Some(from(groups, best, confidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, normal, stream};

    /// A number of a distribution.
    type Draw = fn(&mut Rng) -> f64;

    fn standard(rng: &mut Rng) -> f64 {
        f64::from(normal(rng, 1, 1)[(0, 0)])
    }

    const DRAWS: [(&str, Draw); 3] = [
        ("normal", standard),
        ("skewed", |rng| standard(rng).exp()),
        ("one of ten far off", |rng| if standard(rng) > 1.2816 { 10.0 } else { 1.0 } * standard(rng)),
    ];

    #[test]
    fn equal_things_are_told_apart_in_at_most_5_of_100_samples() {
        // 5 % and three standard deviations of 400 samples.
        const MOST: f64 = 0.05 + 0.033;
        for (name, draw) in DRAWS {
            for (things, pairs) in [(2, 2), (2, 3), (2, 6), (2, 12), (2, 72), (5, 3), (5, 8), (9, 16)] {
                let mut rng = stream(1, &format!("equal {name} {things} {pairs}"));
                let mut decided = 0;
                for _ in 0..400 {
                    // What heads have in common is in every one's values: pairs take it out.
                    let common: Vec<f64> = (0..pairs).map(|_| 5.0 * standard(&mut rng)).collect();
                    let mut own = || common.iter().map(|head| head + draw(&mut rng)).collect();
                    let groups: Vec<Vec<f64>> = (0..things).map(|_| own()).collect();
                    let found = from_best(&groups, true).unwrap();
                    let verdicts = found.differences.iter().map(|difference| Verdict::of(*difference));
                    decided += verdicts.filter(|verdict| *verdict != Verdict::Undecided).count();
                }
                let share = f64::from(decided as u32) / f64::from(400 * (things - 1));
                assert!(share <= MOST, "{name}: {share} of {things} things over {pairs} pairs");
            }
        }
    }

    #[test]
    fn what_pairs_have_in_common_hides_no_difference() {
        let mut rng = stream(2, "power");
        let decided = (0..100).filter(|_| {
            let common: Vec<f64> = (0..12).map(|_| 5.0 * standard(&mut rng)).collect();
            let mut own =
                |more: f64| common.iter().map(|head| head + more + 0.3 * standard(&mut rng)).collect();
            let found = from_best(&[own(0.0), own(0.6)], true).unwrap();
            (found.baseline, Verdict::of(found.differences[1])) == (0, Verdict::Higher)
        });
        assert!(decided.count() >= 95);
    }

    #[test]
    fn the_best_is_the_lowest_or_the_highest() {
        let groups = [vec![3.0, 4.0, 5.0], vec![1.0, 2.1, 3.0], vec![9.0, 9.9, 11.0]];
        let low = from_best(&groups, true).unwrap();
        assert_eq!((low.baseline, low.differences[1]), (1, None));
        assert_eq!(
            low.differences.iter().map(|one| Verdict::of(*one).name()).collect::<Vec<_>>(),
            ["higher", "undecided", "higher"]
        );
        let high = from_best(&groups, false).unwrap();
        assert_eq!((high.baseline, Verdict::of(high.differences[0])), (2, Verdict::Lower));
        let expected = student_mean_at(&[-6.0, -5.9, -6.0], 1.0 - 0.1 / 3.0);
        assert!((high.differences[0].unwrap().low - expected.unwrap().low).abs() < 1e-12);
        let named = from_baseline(&groups, 2);
        assert_eq!((named.baseline, named.differences[2], named.confidence), (2, None, 0.95));
        assert_eq!(named.differences[0], paired(&groups[0], &groups[2], 0.95));
        assert_eq!(from_best(&[], true), None);
        assert_eq!(from_best(&[vec![f64::NAN], vec![f64::NAN]], true), None);
    }

    #[test]
    fn one_pair_decides_nothing() {
        let found = from_best(&[vec![1.0], vec![2.0]], true).unwrap();
        assert_eq!((found.baseline, found.differences), (0, vec![None, None]));
        assert_eq!(Verdict::of(None), Verdict::Undecided);
    }
}
