//! The rank correlation.

use super::sample::{Interval, mean};

/// The fewest pairs whose interval is known to cover.
const FEWEST: usize = 10;

/// Spearman's rank correlation of pairs, ties by their mean rank, with the 95 % interval of Bonett and Wright 2000: Fisher's
/// transform with the variance `(1 + r^2 / 2) / (n - 3)`; none below ten pairs or where all values of a side are equal.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<Interval> {
    /// The 97.5 % quantile of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    let n = x.len().min(y.len());
    if n < FEWEST {
        return None;
    }
    let mid = correlation(&ranks(&x[..n]), &ranks(&y[..n]))?;
    // The transform of 1 is infinite: a perfect correlation has no interval but itself.
    let half = Z * ((1.0 + mid * mid / 2.0) / (n as f64 - 3.0)).sqrt();
    Some(Interval { mid, low: (mid.atanh() - half).tanh(), high: (mid.atanh() + half).tanh() })
}

fn correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    let (mean_x, mean_y) = (mean(x), mean(y));
    let sum = |a: &[f64], mean_a: f64, b: &[f64], mean_b: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum()
    };
    let under = (sum(x, mean_x, x, mean_x) * sum(y, mean_y, y, mean_y)).sqrt();
    (under > 0.0).then(|| (sum(x, mean_x, y, mean_y) / under).clamp(-1.0, 1.0))
}

/// The place of each value among all, from 1; equal values share the mean of their places.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let shared = before as f64 + f64::midpoint(1.0, tied.len() as f64);
        for at in tied {
            ranks[*at] = shared;
        }
        before += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{normal, stream};

    #[test]
    fn ranks_and_their_correlation_by_hand() {
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 0.0]), [3.5, 2.0, 3.5, 1.0]);
        let x: Vec<f64> = (0..12).map(f64::from).collect();
        let of = |y: &[f64]| spearman(&x, y).map(|found| found.mid);
        assert_eq!(of(&x.iter().map(|x| x.exp()).collect::<Vec<_>>()), Some(1.0));
        assert_eq!(of(&x.iter().map(|x| -x).collect::<Vec<_>>()), Some(-1.0));
        assert_eq!((of(&[3.0; 12]), spearman(&x[..9], &x[..9])), (None, None));
        // scipy.stats.spearmanr.
        let found = of(&[2.0, 1.0, 4.0, 3.0, 3.0, 9.0, 7.0, 8.0, 5.0, 12.0, 0.0, 6.0]).unwrap();
        assert!((found - 0.402_802_7).abs() < 1e-6, "{found}");
    }

    /// Of normal pairs with correlation r, Spearman's is `6 / pi asin(r / 2)` (Pearson 1907).
    #[test]
    fn the_interval_misses_as_often_as_it_says() {
        let mut rng = stream(8, "spearman");
        for (r, count) in [(0.0, 12), (0.0, 144), (0.5, 16), (-0.8, 48), (0.9, 144)] {
            let truth = 6.0 / std::f64::consts::PI * f64::asin(r / 2.0);
            let missed = (0..400)
                .filter(|_| {
                    let pairs = normal(&mut rng, 2, count).mapv(f64::from);
                    let y = &pairs.row(0) * r + &pairs.row(1) * (1.0 - r * r).sqrt();
                    let found = spearman(&pairs.row(0).to_vec(), &y.to_vec()).unwrap();
                    found.low > truth || found.high < truth
                })
                .count();
            assert!(
                missed <= 33,
                "{missed} of 400 at {r} of {count}: 5 % and three standard deviations are 33"
            );
        }
    }
}
