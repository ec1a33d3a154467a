//! Means with intervals, paired differences with verdicts, and straight lines through points with intervals of their
//! slopes.
//!
//! Which interval is used where was decided by measurement (`experiments/calibration`): Student's for means and paired
//! differences, at every count; the bootstrap for statistics that are no means, from eight things on; Wilson's for
//! shares; the sign test's for medians.

mod bootstrap;
mod paired;

use statrs::distribution::{ContinuousCDF, StudentsT};

pub use bootstrap::{FEWEST, bootstrap, bootstrap_mean, bootstrap_of_medians};
pub use paired::{Differences, Verdict, from_baseline, from_best, paired};

/// An estimate with the ends of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub mid: f64,
    /// Lower end, at 2.5 %.
    pub low: f64,
    /// Upper end, at 97.5 %.
    pub high: f64,
}

/// The mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The median; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// The standard deviation of a sample (divisor n - 1); NaN below two values.
pub fn sd(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (squares / (values.len() as f64 - 1.0)).sqrt()
}

/// The median with an interval between two of the values themselves that covers the true median in at least 95 of 100
/// samples, whatever the distribution (the sign test turned round; David and Nagaraja 2003, section 7.1); none below six
/// values, of which not even the smallest and the largest do.
///
/// A bootstrap of so few values covers less than it says: 76 in 100 at three, 87 at seven.
pub fn median_interval(values: &[f64]) -> Option<Interval> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    // How often a fair coin shows at most so many heads of n: beyond 2.5 in 100 the next value inwards is too far in.
    let (mut chance, mut sum, mut inwards) = (0.5_f64.powi(i32::try_from(n).ok()?), 0.0, 0);
    loop {
        sum += chance;
        if sum > 0.025 || 2 * inwards >= n {
            break;
        }
        chance *= (n - inwards) as f64 / (inwards + 1) as f64;
        inwards += 1;
    }
    let place = inwards.checked_sub(1)?;
    Some(Interval { mid: median(values), low: sorted[place], high: sorted[n - 1 - place] })
}

/// Student's 95 % interval of the mean; none below two values.
pub fn student_mean(values: &[f64]) -> Option<Interval> {
    student_mean_at(values, 0.95)
}

/// Student's interval of the mean that covers it in this share of samples; none below two values.
pub fn student_mean_at(values: &[f64], confidence: f64) -> Option<Interval> {
    let freedom = values.len().checked_sub(1).filter(|freedom| *freedom > 0)?;
    let half = student_quantile(freedom, confidence)? * sd(values) / (values.len() as f64).sqrt();
    let mid = mean(values);
    Some(Interval { mid, low: mid - half, high: mid + half })
}

/// Student's prediction interval: where one more value of the same distribution lies, with the mean as its estimate; none
/// below two values.
///
/// Half-width `t s sqrt(1 + 1 / n)`; it does not shrink to nothing with n, as the interval of the mean does.
pub fn student_prediction(values: &[f64]) -> Option<Interval> {
    let freedom = values.len().checked_sub(1).filter(|freedom| *freedom > 0)?;
    let half = student_quantile(freedom, 0.95)? * sd(values) * (1.0 + 1.0 / values.len() as f64).sqrt();
    let mid = mean(values);
    Some(Interval { mid, low: mid - half, high: mid + half })
}

/// Student's 95 % interval of the ratio of two means over the same things (their linearised differences; Cochran 1977,
/// section 6.3); none below two.
///
/// The mean of their ratios would be another figure: a few small divisors dominate it.
pub fn student_ratio(values: &[f64], divisors: &[f64]) -> Option<Interval> {
    let under = mean(divisors);
    let mid = mean(values) / under;
    let apart: Vec<f64> = values.iter().zip(divisors).map(|(x, y)| (x - mid * y) / under).collect();
    let ends = student_mean(&apart)?;
    Some(Interval { mid, low: mid + ends.low, high: mid + ends.high })
}

/// A share of `count` trials with Wilson's score interval (Wilson 1927); NaN of nothing.
pub fn wilson(share: f64, count: usize) -> Interval {
    /// The 97.5 % quantile of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    let (n, mid) = (count as f64, share);
    let (square, whole) = (Z * Z / n, 1.0 + Z * Z / n);
    let centre = (mid + square / 2.0) / whole;
    let half = Z * (mid * (1.0 - mid) / n + square / (4.0 * n)).sqrt() / whole;
    Interval { mid, low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// A least-squares line `y = intercept + slope x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Where it crosses x = 0.
    pub intercept: f64,
    /// Its slope, with Student's interval (NaN ends below three points).
    pub slope: Interval,
    /// What [`predict`](Self::predict) needs: the mean of the x, the sum of their squared distances from it, how many
    /// there were, and the standard deviation of what the line leaves.
    mean_x: f64,
    spread: f64,
    points: usize,
    residual: f64,
}

impl Line {
    /// The line's value at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope.mid * x
    }

    /// The line's value at `x`, with the 95 % interval of one new point there (NaN ends below three points).
    pub fn predict(&self, x: f64) -> Interval {
        let far = (x - self.mean_x).powi(2) / self.spread;
        let error = self.residual * (1.0 + 1.0 / self.points as f64 + far).sqrt();
        let half = student_quantile(self.points - 2, 0.95).map_or(f64::NAN, |t| t * error);
        let mid = self.at(x);
        Interval { mid, low: mid - half, high: mid + half }
    }
}

/// The least-squares line through points; none if there are fewer than two different `x`.
pub fn line(x: &[f64], y: &[f64]) -> Option<Line> {
    let (mean_x, mean_y) = (mean(x), mean(y));
    let spread: f64 = x.iter().map(|x| (x - mean_x) * (x - mean_x)).sum();
    if x.len() < 2 || spread <= 0.0 {
        return None;
    }
    let slope = x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    let intercept = mean_y - slope * mean_x;
    let squares: f64 = x.iter().zip(y).map(|(x, y)| (y - intercept - slope * x).powi(2)).sum();
    let freedom = x.len() - 2;
    let residual = (squares / freedom as f64).sqrt();
    let half = student_quantile(freedom, 0.95).map_or(f64::NAN, |t| t * residual / spread.sqrt());
    let slope = Interval { mid: slope, low: slope - half, high: slope + half };
    Some(Line { intercept, slope, mean_x, spread, points: x.len(), residual })
}

/// How many standard errors Student's interval reaches to either side; none for 0 degrees of freedom.
pub fn student_quantile(freedom: usize, confidence: f64) -> Option<f64> {
    let share = f64::midpoint(1.0, confidence);
    StudentsT::new(0.0, 1.0, freedom as f64).ok().map(|student| student.inverse_cdf(share))
}

/// The quantile of sorted values, interpolated; NaN of nothing.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// As [`median_interval`], missing the true median in at most `miss` of all samples: a smaller share than 5 in 100 where
/// several comparisons are made at once (Bonferroni). None where there are too few values for it.
pub fn median_interval_missing(values: &[f64], miss: f64) -> Option<Interval> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    let place = median_place(n, miss)?;
    Some(Interval { mid: median(values), low: sorted[place], high: sorted[n - 1 - place] })
}

/// How many of `n` sorted values lie outside on each side of the interval of [`median_interval_missing`].
fn median_place(n: usize, miss: f64) -> Option<usize> {
    let (mut chance, mut sum, mut place) = (0.5_f64.powi(i32::try_from(n).ok()?), 0.0, 0);
    while 2 * place < n && sum + chance <= miss / 2.0 {
        sum += chance;
        chance *= (n - place) as f64 / (place + 1) as f64;
        place += 1;
    }
    place.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{below, normal, stream};

    #[test]
    fn student_intervals_match_the_table() {
        let interval = student_mean(&[1.0, 2.0, 3.0]).unwrap();
        assert!((interval.high - interval.mid - 4.302_65 / 3.0_f64.sqrt()).abs() < 1e-4, "{interval:?}");
        assert_eq!(student_mean(&[1.0]), None);
    }

    #[test]
    fn a_ratio_of_means_is_covered_as_often_as_it_says_and_knows_that_pairs_belong_together() {
        let mut rng = stream(4, "ratio");
        for n in [3, 8, 30] {
            let missed = (0..400)
                .filter(|_| {
                    let divisors: Vec<f64> =
                        normal(&mut rng, 1, n).iter().map(|x| (0.3 * f64::from(*x)).exp()).collect();
                    let noise = normal(&mut rng, 1, n);
                    let values: Vec<f64> =
                        divisors.iter().zip(&noise).map(|(x, e)| 3.0 * x + 0.3 * f64::from(*e)).collect();
                    let interval = student_ratio(&values, &divisors).unwrap();
                    interval.low > 3.0 || interval.high < 3.0
                })
                .count();
            assert!(missed <= 33, "{missed} of 400 at {n}: 5 % and three standard deviations are 33");
        }
        let pairs = student_ratio(&[2.0, 20.0, 200.0], &[1.0, 10.0, 100.0]).unwrap();
        assert!((pairs.low - 2.0).abs() < 1e-12 && (pairs.high - 2.0).abs() < 1e-12, "{pairs:?}");
    }

    #[test]
    fn wilson_s_interval_misses_a_share_as_often_as_it_says() {
        let mut rng = stream(6, "shares");
        for (share, count) in [(0.1, 200), (0.5, 40), (0.35, 2000), (0.9, 100)] {
            let missed = (0..400)
                .filter(|_| {
                    let right =
                        (0..count).filter(|_| below(&mut rng, 1000) < (1000.0 * share) as usize).count();
                    let ends = wilson(right as f64 / count as f64, count);
                    ends.low > share || ends.high < share
                })
                .count();
            assert!(missed <= 33, "{missed} of 400 at {share} of {count}");
        }
    }

    #[test]
    fn an_interval_of_the_median_covers_it_and_stands_where_the_tables_say() {
        let place = |n: usize| {
            let values: Vec<f64> = (1..=n).map(|value| value as f64).collect();
            median_interval(&values).map(|interval| (interval.low, interval.high))
        };
        // Conover 1999, table of the binomial: the k-th smallest and largest.
        assert_eq!([5, 6, 8].map(place), [None, Some((1.0, 6.0)), Some((1.0, 8.0))]);
        assert_eq!(
            [9, 15, 20, 25].map(place),
            [(2, 8), (4, 12), (6, 15), (8, 18)].map(|(a, b)| Some((a.into(), b.into())))
        );
        let mut rng = stream(2, "coverage");
        let covered = (0..400)
            .filter(|_| {
                // Skewed: the mean of these is far from the median, which is 1.
                let sample: Vec<f64> =
                    normal(&mut rng, 1, 7).iter().map(|x| (2.0 * f64::from(*x)).exp()).collect();
                let interval = median_interval(&sample).unwrap();
                interval.low <= 1.0 && 1.0 <= interval.high
            })
            .count();
        assert!(covered >= 384, "{covered} of 400, of which 98.4 in 100 are expected");
    }

    #[test]
    fn a_share_has_wilson_s_interval() {
        // Newcombe 1998, table I: 81 of 263 has 0.2553 to 0.3662, 0 of 20 has 0 to 0.1611.
        for (hits, count, low, high) in [(81.0, 263, 0.2553, 0.3662), (0.0, 20, 0.0, 0.1611)] {
            let found = wilson(hits / count as f64, count);
            assert!((found.low - low).abs() < 5e-5 && (found.high - high).abs() < 5e-5, "{found:?}");
        }
    }

    #[test]
    fn a_power_law_has_its_exponent_as_slope() {
        let n = [64.0_f64, 128.0, 256.0, 512.0];
        let x: Vec<f64> = n.iter().map(|n| n.ln()).collect();
        let y: Vec<f64> = n.iter().map(|n| (3.0 * n.powf(0.7)).ln()).collect();
        let line = line(&x, &y).unwrap();
        assert!((line.slope.mid - 0.7).abs() < 1e-12 && (line.intercept - 3.0_f64.ln()).abs() < 1e-12);
        assert!(line.slope.high - line.slope.low < 1e-10);
        assert_eq!(super::line(&[1.0, 1.0], &[0.0, 1.0]), None);
    }

    #[test]
    fn a_prediction_covers_a_new_point_about_as_often_as_it_says() {
        let mut rng = stream(3, "prediction");
        let x: Vec<f64> = (0..6).map(f64::from).collect();
        let covered = (0..400)
            .filter(|_| {
                let noise: Vec<f64> = normal(&mut rng, 1, 7).iter().map(|e| f64::from(*e)).collect();
                let y: Vec<f64> = x.iter().zip(&noise).map(|(x, e)| 2.0 * x + e).collect();
                let found = line(&x, &y).unwrap().predict(8.0);
                (found.low..=found.high).contains(&(16.0 + noise[6]))
            })
            .count();
        assert!((362..=396).contains(&covered), "{covered} of 400");
        assert!(line(&[0.0, 1.0], &[0.0, 1.0]).unwrap().predict(2.0).low.is_nan());
    }

    #[test]
    fn an_interval_of_the_median_misses_it_as_often_as_it_is_told() {
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        assert_eq!(median_interval_missing(&values, 0.05), median_interval(&values));
        let tight = median_interval_missing(&values, 0.01).unwrap();
        assert_eq!((tight.low, tight.high), (3.0, 13.0)); // 2 (1 + 15 + 105) / 2^15 = 0.0074
        assert_eq!(median_interval_missing(&values[..7], 0.01), None);
        assert_eq!(median_interval_missing(&values[..6], 0.05), median_interval(&values[..6]));
    }

    #[test]
    fn a_bootstrap_of_medians_covers_even_where_they_are_few() {
        for count in [6, 7, 9, 10, 15, 20] {
            let mut rng = stream(6, &format!("medians {count}"));
            let covered = (0..400)
                .filter(|_| {
                    let values: Vec<f64> =
                        normal(&mut rng, 1, count).iter().map(|x| f64::from(*x).exp()).collect();
                    let of =
                        |places: &[usize]| median(&places.iter().map(|at| values[*at]).collect::<Vec<_>>());
                    let (low, high) = bootstrap_of_medians(count, &mut rng, of).unwrap();
                    low <= 1.0 && 1.0 <= high
                })
                .count();
            // 95 in 100, less three standard deviations.
            assert!(covered >= 367, "{covered} of 400 at {count}");
        }
        assert_eq!(bootstrap_of_medians(5, &mut stream(6, "few"), |_| 0.0), None);
    }

    #[test]
    fn median_of_even_and_odd_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
