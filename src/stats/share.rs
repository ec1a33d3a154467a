//! Shares of trials.

use super::sample::Interval;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{below, stream};

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
    fn a_share_has_wilson_s_interval() {
        // Newcombe 1998, table I: 81 of 263 has 0.2553 to 0.3662, 0 of 20 has 0 to 0.1611.
        for (hits, count, low, high) in [(81.0, 263, 0.2553, 0.3662), (0.0, 20, 0.0, 0.1611)] {
            let found = wilson(hits / count as f64, count);
            assert!((found.low - low).abs() < 5e-5 && (found.high - high).abs() < 5e-5, "{found:?}");
        }
    }
}
