//! Student's intervals of means and ratios.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::sample::{Interval, mean, sd};

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

/// How many standard errors Student's interval reaches to either side; none for 0 degrees of freedom.
pub fn student_quantile(freedom: usize, confidence: f64) -> Option<f64> {
    let share = f64::midpoint(1.0, confidence);
    StudentsT::new(0.0, 1.0, freedom as f64).ok().map(|student| student.inverse_cdf(share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{normal, stream};

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
}
