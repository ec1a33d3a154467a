//! What a figure says of a claim.

use crate::stats::{Interval, student_mean};

/// What was found of the figure that a claim is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Figure {
    /// One value for each thing that was drawn (a window, a seed, a draw): their mean counts.
    Sample {
        /// What was drawn, in the singular.
        of: &'static str,
        /// The values.
        values: Vec<f64>,
    },
    /// An estimate with its 95 % interval.
    Estimate(Interval),
    /// A value without an error of sampling: a count, or the largest of all deviations.
    Exact(f64),
}

impl Figure {
    /// Its value, and its 95 % interval (Student's over a sample) where it has an error of sampling.
    pub(super) fn interval(&self) -> (f64, Option<Interval>) {
        match self {
            Self::Sample { values, .. } => (crate::stats::mean(values), student_mean(values)),
            Self::Estimate(interval) => (interval.mid, Some(*interval)),
            Self::Exact(value) => (*value, None),
        }
    }
}

/// Where the figure must lie for the claim to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Judge {
    /// Above a bound.
    Above(f64),
    /// Below a bound.
    Below(f64),
    /// Between two bounds.
    Within(f64, f64),
}

/// What a figure says of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The claim holds: the whole interval lies where the claim puts it.
    Pass,
    /// The claim does not hold: no part of the interval does.
    Fail,
    /// Neither.
    Inconclusive,
}

impl Verdict {
    /// As it stands in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}

impl Judge {
    /// The bounds, the outer ones infinite.
    fn bounds(self) -> (f64, f64) {
        match self {
            Self::Above(low) => (low, f64::INFINITY),
            Self::Below(high) => (f64::NEG_INFINITY, high),
            Self::Within(low, high) => (low, high),
        }
    }

    /// As it stands in tables: "> 0".
    pub(super) fn words(self) -> String {
        match self {
            Self::Above(bound) => format!("> {bound}"),
            Self::Below(bound) => format!("< {bound}"),
            Self::Within(low, high) => format!("{low} to {high}"),
        }
    }

    /// What the figure says, and why where that is nothing.
    ///
    /// A figure at a bound passes by chance in at most 2.5 % of samples, and fails in at most 2.5 %: each is one end of a 95 %
    /// interval.
    pub(super) fn verdict(self, figure: &Figure) -> (Verdict, Option<String>) {
        let (low, high) = self.bounds();
        let ends = match *figure {
            Figure::Exact(value) => Some(Interval { mid: value, low: value, high: value }),
            _ => figure.interval().1,
        };
        let Some(ends) = ends.filter(|ends| ends.low.is_finite() && ends.high.is_finite()) else {
            let why = match figure {
                Figure::Sample { of, values } => {
                    format!("{} {of} has no interval: two or more are needed", values.len())
                }
                Figure::Estimate(_) | Figure::Exact(_) => "the figure is not finite".into(),
            };
            return (Verdict::Inconclusive, Some(why));
        };
        if low < ends.low && ends.high < high {
            (Verdict::Pass, None)
        } else if ends.high < low || high < ends.low {
            (Verdict::Fail, None)
        } else {
            let bound = if ends.low <= low && low <= ends.high { low } else { high };
            (Verdict::Inconclusive, Some(format!("the interval holds the bound {bound}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{normal, stream};

    #[test]
    fn an_interval_decides_only_where_it_lies_on_one_side() {
        let estimate = |low, high| Figure::Estimate(Interval { mid: f64::midpoint(low, high), low, high });
        for (judge, low, high, expected) in [
            (Judge::Above(1.0), 1.1, 2.0, Verdict::Pass),
            (Judge::Above(1.0), 0.1, 0.9, Verdict::Fail),
            (Judge::Above(1.0), 0.9, 1.1, Verdict::Inconclusive),
            (Judge::Below(1.0), 0.1, 0.9, Verdict::Pass),
            (Judge::Below(1.0), 1.1, 2.0, Verdict::Fail),
            (Judge::Within(0.9, 1.1), 0.95, 1.05, Verdict::Pass),
            (Judge::Within(0.9, 1.1), 0.5, 0.8, Verdict::Fail),
            (Judge::Within(0.9, 1.1), 1.2, 1.3, Verdict::Fail),
            (Judge::Within(0.9, 1.1), 0.8, 1.2, Verdict::Inconclusive),
            (Judge::Within(0.9, 1.1), 1.0, f64::NAN, Verdict::Inconclusive),
        ] {
            assert_eq!(judge.verdict(&estimate(low, high)).0, expected, "{judge:?} {low} {high}");
        }
        let one = Figure::Sample { of: "window", values: vec![3.0] };
        let (verdict, why) = Judge::Above(0.0).verdict(&one);
        assert_eq!(
            (verdict, why.unwrap().as_str()),
            (Verdict::Inconclusive, "1 window has no interval: two or more are needed")
        );
        assert_eq!(Judge::Below(0.0).verdict(&Figure::Exact(0.0)).0, Verdict::Inconclusive);
        assert_eq!(Judge::Below(1e-5).verdict(&Figure::Exact(1e-6)).0, Verdict::Pass);
    }

    /// How often samples of `count` values about `mean` (standard deviation 1) get each verdict, of 2000.
    fn verdicts(judge: Judge, mean: f64, count: usize) -> [usize; 2] {
        let mut rng = stream(count as u64, "planted");
        let mut found = [0; 2];
        for _ in 0..2000 {
            let values = normal(&mut rng, 1, count).iter().map(|x| mean + f64::from(*x)).collect();
            match judge.verdict(&Figure::Sample { of: "draw", values }).0 {
                Verdict::Pass => found[0] += 1,
                Verdict::Fail => found[1] += 1,
                Verdict::Inconclusive => {}
            }
        }
        found
    }

    #[test]
    fn wrong_verdicts_are_as_rare_as_said_and_right_ones_are_found() {
        // 2.5 % of 2000 are 50; three standard deviations are 21.
        for count in [2, 4, 8, 30] {
            for judge in [Judge::Above(0.0), Judge::Below(0.0)] {
                let [pass, fail] = verdicts(judge, 0.0, count);
                assert!(pass <= 71 && fail <= 71, "{judge:?} of {count} at its bound: {pass} and {fail}");
            }
            let [pass, fail] = verdicts(Judge::Above(0.0), -0.5, count);
            assert!(pass <= 71, "planted false, {count}: {pass} pass, {fail} fail");
            let [pass, fail] = verdicts(Judge::Above(0.0), 0.5, count);
            assert!(fail <= 71, "planted true, {count}: {pass} pass, {fail} fail");
        }
        let [pass, _] = verdicts(Judge::Above(0.0), 1.5, 8);
        let [_, fail] = verdicts(Judge::Below(0.0), 1.5, 8);
        assert!(
            pass > 1800 && fail > 1800,
            "an effect of 1.5 standard deviations is seen: {pass} and {fail}"
        );
        let [pass, fail] = verdicts(Judge::Within(-3.0, 3.0), 0.0, 8);
        assert!(pass > 1900 && fail == 0, "{pass} and {fail}");
        let [pass, fail] = verdicts(Judge::Within(-3.0, 3.0), 3.0, 8);
        assert!(pass <= 71 && fail <= 71, "at a bound: {pass} and {fail}");
    }
}
