//! The bootstrap: intervals of statistics that have no formula for one.

use statrs::distribution::{ContinuousCDF, Normal};

use super::median::median_place;
use super::sample::Interval;
use super::student::{student_mean, student_quantile};
use crate::rng::{Rng, below};

/// Resamples of an interval.
const RESAMPLES: usize = 2_000;

/// The minimum number of things to resample.
///
/// No resample of a mean leaves the range of the values: percentiles of resamples of four normal values miss their mean in
/// 19 % of samples; from eight on the intervals below miss it in about 5 % (`experiments/calibration`).
pub const FEWEST: usize = 8;

/// A bootstrap interval of `statistic`, a function of the indices of `count` things: of all of them once, then of as many
/// drawn with replacement; none below [`FEWEST`] things.
///
/// Its ends are percentiles of the resampled statistics, expanded to the width that Student's interval of a mean has
/// (Hesterberg 2015, section 5.3: plain percentiles are too narrow by a factor of the square root of n / (n - 1), and
/// use the normal distribution's quantile). They are observed values, without interpolation, so that a statistic may be
/// infinite. Pairs that are drawn together make it a paired bootstrap (Koehn 2004).
pub fn bootstrap(count: usize, rng: &mut Rng, statistic: impl Fn(&[usize]) -> f64) -> Option<Interval> {
    if count < FEWEST {
        return None;
    }
    let mid = statistic(&(0..count).collect::<Vec<usize>>());
    let found = resampled(count, rng, statistic);
    let outside = expanded(count)? * (RESAMPLES - 1) as f64;
    Some(Interval {
        mid,
        low: found[outside.floor() as usize],
        high: found[RESAMPLES - 1 - outside.floor() as usize],
    })
}

/// The statistic of [`RESAMPLES`] draws of `count` places with replacement, ascending.
fn resampled(count: usize, rng: &mut Rng, statistic: impl Fn(&[usize]) -> f64) -> Vec<f64> {
    let mut places: Vec<usize> = vec![0; count];
    let mut found: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            places.fill_with(|| below(rng, count));
            statistic(&places)
        })
        .collect();
    found.sort_unstable_by(f64::total_cmp);
    found
}

/// The 95 % interval of a statistic of medians over `count` repetitions that are drawn together, a function of their indices;
/// none below six.
///
/// A percentile bootstrap of so few medians is too narrow (87 % at seven): at each end so many resamples are left out that
/// the interval of one median is that of [`median_interval`](super::median_interval). Ends are observed values, not
/// interpolated: a statistic may be infinite.
pub fn bootstrap_of_medians(
    count: usize,
    rng: &mut Rng,
    statistic: impl Fn(&[usize]) -> f64,
) -> Option<(f64, f64)> {
    let place = median_place(count, 0.05)?;
    // How often the median of a resample is at most the k-th smallest value: that at least half of it is.
    let at_most = |k: usize| {
        let (n, p) = (count as f64, k as f64 / count as f64);
        let mut chance = (1.0 - p).powi(i32::try_from(count).unwrap_or(i32::MAX));
        let mut sum = 0.0;
        for hits in 0..=count {
            let weight = match (2 * hits).cmp(&count) {
                std::cmp::Ordering::Less => 0.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 1.0,
            };
            sum += weight * chance;
            chance *= (n - hits as f64) / (hits as f64 + 1.0) * p / (1.0 - p);
        }
        sum
    };
    let share = f64::midpoint(at_most(place), at_most(place + 1)).min(0.025);
    let found = resampled(count, rng, statistic);
    let out = (share * RESAMPLES as f64) as usize;
    Some((found[out], found[RESAMPLES - 1 - out]))
}

/// The share of resamples beyond either end: 2.5 % for many things, less for few.
fn expanded(count: usize) -> Option<f64> {
    let n = count as f64;
    let normal = Normal::new(0.0, 1.0).ok()?;
    Some(normal.cdf(-(n / (n - 1.0)).sqrt() * student_quantile(count - 1, 0.95)?))
}

/// A bootstrap interval of the mean, or Student's of fewer than [`FEWEST`] values; none below two.
pub fn bootstrap_mean(values: &[f64], rng: &mut Rng) -> Option<Interval> {
    if values.len() < FEWEST {
        return student_mean(values);
    }
    bootstrap(values.len(), rng, |drawn| drawn.iter().map(|at| values[*at]).sum::<f64>() / drawn.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::median::median;
    use super::*;
    use crate::rng::{normal, stream};

    /// How many of 200 samples of `count` numbers have an interval that misses the truth.
    fn missed(count: usize, interval: impl Fn(&[f64], &mut Rng) -> Option<Interval>, truth: f64) -> usize {
        let mut rng = stream(1, "coverage");
        (0..200)
            .filter(|_| {
                let sample: Vec<f64> = normal(&mut rng, 1, count).iter().map(|x| f64::from(*x)).collect();
                let found = interval(&sample, &mut rng).unwrap();
                found.low > truth || truth > found.high
            })
            .count()
    }

    #[test]
    fn intervals_of_a_mean_miss_it_as_often_as_they_say_however_few_values() {
        for count in [2, 3, 5, 8, 12, 30] {
            let missed = missed(count, bootstrap_mean, 0.0);
            assert!(missed <= 19, "{missed} of 200 at {count}: 5 % and three standard deviations are 19");
        }
    }

    #[test]
    fn too_few_things_are_not_resampled_and_an_infinite_statistic_is_an_end() {
        assert_eq!(bootstrap(FEWEST - 1, &mut stream(0, ""), |_| 0.0), None);
        // Infinite as soon as the first of ten is not drawn, which is so in a third of the resamples.
        let found =
            bootstrap(10, &mut stream(0, ""), |drawn| if drawn.contains(&0) { 1.0 } else { f64::INFINITY });
        assert_eq!(found, Some(Interval { mid: 1.0, low: 1.0, high: f64::INFINITY }));
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
}
