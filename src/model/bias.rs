//! Numbers that models add to their logits by the distance from a query to a key: `ALiBi`, and T5's buckets.

use ndarray::{Array1, ArrayView1};

/// `slope (j - i)` for each distance j - i from `-(n - 1)` to `n - 1` (Press 2022).
pub(super) fn sloped(slope: f64, n: usize) -> Array1<f32> {
    distances(n).map(|distance| (slope * distance as f64) as f32).collect()
}

/// The learned number of the bucket of each distance from `-(n - 1)` to `n - 1`.
pub(super) fn bucketed(
    learned: ArrayView1<'_, f32>,
    buckets: usize,
    furthest: usize,
    n: usize,
) -> Array1<f32> {
    distances(n).map(|distance| learned[bucket(distance, buckets, furthest)]).collect()
}

fn distances(n: usize) -> impl Iterator<Item = isize> {
    let n = n as isize;
    1 - n..n
}

/// The bucket of a distance (Raffel 2020): half of them for keys after the query; of each half the first half holds one
/// distance each, the others grow by a constant factor, and the last holds all from `furthest` on.
///
/// The logarithms are in f32, as in Hugging Face's code: at the edge of a bucket that decides.
fn bucket(distance: isize, buckets: usize, furthest: usize) -> usize {
    let half = buckets / 2;
    let (first, far) = (if distance > 0 { half } else { 0 }, distance.unsigned_abs());
    let exact = half / 2;
    if far < exact {
        return first + far;
    }
    let grown = (far as f32 / exact as f32).ln() / (furthest as f64 / exact as f64).ln() as f32;
    first + (exact + (grown * (half - exact) as f32) as usize).min(half - 1)
}

/// The slopes of heads 0 to h - 1: powers of 2 from `2^(-8 / h)` to `2^-8` where h is a power of two. Between two
/// powers of two, Bloom adds every other slope of the next power to those of the last one (Press 2022).
pub(super) fn slopes_added(heads: usize) -> Vec<f64> {
    let whole = 1_usize << heads.max(1).ilog2();
    let power = |i: usize, of: usize| 2.0_f64.powf(-8.0 * i as f64 / of as f64);
    let own = (1..=whole).map(|i| power(i, whole));
    own.chain((0..heads - whole).map(|i| power(2 * i + 1, 2 * whole))).collect()
}

/// The same as MPT has them: between two powers of two, every other slope of the next one and then the rest.
pub(super) fn slopes_of_next(heads: usize) -> Vec<f64> {
    let whole = heads.next_power_of_two();
    let all: Vec<f64> = (1..=whole).map(|i| 2.0_f64.powf(-8.0 * i as f64 / whole as f64)).collect();
    if whole == heads {
        return all;
    }
    let every_other = |from: usize| all.iter().copied().skip(from).step_by(2);
    every_other(1).chain(every_other(0)).take(heads).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_both_sides() {
        // 8 buckets up to distance 16: distances 0 and 1 alone, then two that grow.
        let of = |distance: isize| bucket(distance, 8, 16);
        assert_eq!([0, -1, -2, -5, -6, -100].map(of), [0, 1, 2, 2, 3, 3]);
        assert_eq!([1, 2, 6, 100].map(of), [5, 6, 7, 7]);
    }

    /// The slopes that Press (2022) prints for 8 heads, and what Hugging Face computes for 6.
    #[test]
    fn slopes() {
        for eight in [slopes_added(8), slopes_of_next(8)] {
            assert_eq!(eight, (1..=8).map(|i| 0.5_f64.powi(i)).collect::<Vec<_>>());
        }
        let six = [2, 4, 6, 8, 1, 3].map(|power| 0.5_f64.powi(power));
        assert_eq!(slopes_added(6), six);
        assert_eq!(slopes_of_next(6), six);
    }

    #[test]
    fn a_slope_falls_with_the_distance_back() {
        assert_eq!(sloped(0.5, 3).to_vec(), [-1.0, -0.5, 0.0, 0.5, 1.0]);
    }
}
