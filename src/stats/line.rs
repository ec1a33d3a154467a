//! Least-squares lines.

use super::sample::{Interval, mean};
use super::student::student_quantile;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{normal, stream};

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
}
