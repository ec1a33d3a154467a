//! Rows that stand for many rows: segment means and k-means centroids.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, s};

use crate::linalg::gemm::{Threads, product};
use crate::rng::{Rng, below};

/// Rounds after which k-means ends, settled or not.
const ROUNDS: usize = 20;

/// `n` rows in min(l, n) segments of nearly equal length: the first `n mod l` are one row longer.
pub(in crate::attention) fn segments(n: usize, l: usize) -> Vec<Range<usize>> {
    let l = l.min(n);
    let (length, longer) = (n / l, n % l);
    let start = |segment: usize| segment * length + segment.min(longer);
    (0..l).map(|segment| start(segment)..start(segment + 1)).collect()
}

/// The mean of each segment of rows: shape (n, d) to (min(l, n), d).
pub(in crate::attention) fn segment_means(x: ArrayView2<'_, f32>, l: usize) -> Array2<f32> {
    let segments = segments(x.nrows(), l);
    let mut means = Array2::zeros((segments.len(), x.ncols()));
    for (mut mean, segment) in means.rows_mut().into_iter().zip(segments) {
        let length = segment.len() as f32;
        mean.assign(&x.slice(s![segment, ..]).sum_axis(Axis(0)));
        mean /= length;
    }
    means
}

/// Centroids of rows by Lloyd's algorithm from k-means++ seeds: shape (n, d) to (min(l, n), d).
pub(in crate::attention) fn kmeans(x: ArrayView2<'_, f32>, l: usize, rng: &mut Rng) -> Array2<f32> {
    let (n, l) = (x.nrows(), l.min(x.nrows()));
    let mut centroids = seeds(x, l, rng);
    let mut owner = vec![usize::MAX; n];
    for _ in 0..ROUNDS {
        // |x - c|^2 without |x|^2, which no comparison of one row needs.
        let mut distance = product(x, centroids.t(), Threads::One) * -2.0;
        distance += &(&centroids * &centroids).sum_axis(Axis(1));
        let mut moved = false;
        for (owner, row) in owner.iter_mut().zip(distance.rows()) {
            let nearest = (0..l).min_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0);
            moved |= std::mem::replace(owner, nearest) != nearest;
        }
        if !moved {
            break;
        }
        let mut sums = Array2::<f32>::zeros(centroids.dim());
        let mut counts = vec![0.0_f32; l];
        for (owner, row) in owner.iter().zip(x.rows()) {
            sums.row_mut(*owner).scaled_add(1.0, &row);
            counts[*owner] += 1.0;
        }
        // A centroid that owns nothing stays where it was.
        for (centroid, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            centroids.row_mut(centroid).assign(&(&sums.row(centroid) / *count));
        }
    }
    centroids
}

/// k-means++ (Arthur and Vassilvitskii 2007): each next seed is a row, drawn by its squared distance from the seeds.
fn seeds(x: ArrayView2<'_, f32>, l: usize, rng: &mut Rng) -> Array2<f32> {
    let n = x.nrows();
    let mut seeds = Array2::zeros((l, x.ncols()));
    let mut chosen = below(rng, n);
    let mut nearest = vec![f64::INFINITY; n];
    for mut seed in seeds.rows_mut() {
        seed.assign(&x.row(chosen));
        for (nearest, row) in nearest.iter_mut().zip(x.rows()) {
            let distance: f64 = row.iter().zip(&seed).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            *nearest = nearest.min(distance);
        }
        let total: f64 = nearest.iter().sum();
        let share = below(rng, 1 << 30) as f64 / f64::from(1 << 30);
        let mut left = share * total;
        chosen = nearest
            .iter()
            .position(|distance| {
                left -= distance;
                left < 0.0
            })
            .unwrap_or_else(|| below(rng, n));
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{normal, stream};
    use ndarray::array;

    #[test]
    fn segments_cover_every_row_once() {
        for (n, l) in [(1, 1), (7, 5), (64, 33), (5, 9), (512, 64)] {
            let segments = segments(n, l);
            assert_eq!(segments.len(), l.min(n));
            assert!(segments.iter().cloned().flatten().eq(0..n), "{n} {l}");
        }
        let x = array![[1.0, 0.0], [3.0, 0.0], [5.0, 6.0]];
        assert_eq!(segment_means(x.view(), 2), array![[2.0, 0.0], [5.0, 6.0]]);
    }

    #[test]
    fn kmeans_finds_clusters_that_are_far_apart() {
        let mut rng = stream(1, "kmeans");
        let mut x = normal(&mut rng, 60, 3);
        for (i, mut row) in x.rows_mut().into_iter().enumerate() {
            row += 100.0 * (i % 3) as f32;
        }
        let mut found: Vec<f32> = kmeans(x.view(), 3, &mut rng).column(0).to_vec();
        found.sort_unstable_by(f32::total_cmp);
        for (found, centre) in found.iter().zip([0.0, 100.0, 200.0]) {
            assert!((found - centre).abs() < 1.5, "{found}");
        }
    }

    #[test]
    fn as_many_centroids_as_rows_are_the_rows() {
        let x = normal(&mut stream(2, "kmeans"), 5, 2);
        let found = kmeans(x.view(), 9, &mut stream(3, "kmeans"));
        assert!(x.rows().into_iter().all(|row| found.rows().into_iter().any(|other| row == other)));
    }
}
