//! Medians, with intervals that hold for every distribution.

use super::sample::{Interval, quantile};

/// The median; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// The median with an interval between two of the values that covers the true median in at least 95 % of samples, whatever
/// the distribution (the sign test inverted; David and Nagaraja 2003, section 7.1); none below six values, of which not even
/// the smallest and the largest do.
///
/// A bootstrap of so few values covers less than it claims: 76 % at three, 87 % at seven.
pub fn median_interval(values: &[f64]) -> Option<Interval> {
    median_interval_missing(values, 0.05)
}

/// As [`median_interval`], missing the true median in at most a share of `miss` of all samples: below 5 % where several
/// comparisons are made at once (Bonferroni). None where there are too few values for it.
pub fn median_interval_missing(values: &[f64], miss: f64) -> Option<Interval> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    let place = median_place(n, miss)?;
    Some(Interval { mid: quantile(&sorted, 0.5), low: sorted[place], high: sorted[n - 1 - place] })
}

/// How many of `n` sorted values lie outside the interval of [`median_interval_missing`] on each side: a fair coin shows at
/// most so many heads of n with a probability of `miss / 2` or less.
pub(super) fn median_place(n: usize, miss: f64) -> Option<usize> {
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
    use crate::rng::{normal, stream};

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
    fn an_interval_of_the_median_misses_it_as_often_as_it_is_told() {
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        assert_eq!(median_interval_missing(&values, 0.05), median_interval(&values));
        let tight = median_interval_missing(&values, 0.01).unwrap();
        assert_eq!((tight.low, tight.high), (3.0, 13.0)); // 2 (1 + 15 + 105) / 2^15 = 0.0074
        assert_eq!(median_interval_missing(&values[..7], 0.01), None);
        assert_eq!(median_interval_missing(&values[..6], 0.05), median_interval(&values[..6]));
    }

    #[test]
    fn median_of_even_and_odd_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
