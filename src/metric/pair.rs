//! One pass over two matrices, for every metric that compares an attention matrix with its approximation.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched loop is compiled without its instructions

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};
use pulp::{Arch, Simd, WithSimd};

use super::rows::{LANES, ln, total};
use crate::linalg::norm;
use crate::rng::Rng;

/// Lower bound of the entries of the approximation in the divergence: where an entry is 0 or negative and attention is
/// not, the divergence would be infinite.
pub const KL_FLOOR: f32 = 1e-30;
/// Relative error bound of spectral norms.
pub const SPECTRAL_BOUND: f64 = 1e-3;

/// An attention matrix with its norms.
#[derive(Clone, Debug)]
pub struct Reference {
    a: Array2<f32>,
    fro: f64,
    spectral: f64,
    /// The sum of `a ln a`.
    information: f64,
    /// The keys that each query sees.
    seen: Vec<Range<usize>>,
    /// The weights of each row, the largest first.
    ranked: Vec<Vec<f32>>,
}

/// Errors of a matrix B against the attention matrix A (n, m) that it approximates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairProfile {
    /// `||A - B||_F / ||A||_F`.
    pub rel_fro: f64,
    /// `||A - B||_2 / ||A||_2`; the numerator has a relative error of at most [`SPECTRAL_BOUND`].
    pub rel_spectral: f64,
    /// The largest `|a - b|`.
    pub max_abs: f64,
    /// Mean over rows of `sum |a - b| / 2`: the total variation of two distributions.
    pub tv: f64,
    /// Mean over rows of `sum a ln(a / max(b, 1e-30))`, in nats.
    pub kl: f64,
    /// The largest `|sum of a row of B - 1|`.
    pub row_sum_drift: f64,
    /// Entries of B that are not 0, of those that the mask of A shows.
    pub density: f64,
    /// Mean over rows of the share of A's weight in those entries.
    pub recall: f64,
    /// Mean over rows of the weight beyond as many largest entries as B has there: no distribution over so many keys has a
    /// smaller total variation.
    pub least_tv: f64,
}

impl Reference {
    /// Of an attention matrix (n, m) in which query i sees the keys `sees(i)`, and its spectral norm.
    pub fn new(a: Array2<f32>, spectral: f64, sees: impl Fn(usize) -> Range<usize>) -> Self {
        let a = a.as_standard_layout().into_owned();
        let seen: Vec<_> = (0..a.nrows()).map(sees).collect();
        let ranked = a.rows().into_iter().zip(&seen).map(|(row, seen)| {
            let mut row = row.slice(s![seen.clone()]).to_vec();
            row.sort_unstable_by(|a, b| b.total_cmp(a));
            row
        });
        let ranked = ranked.collect();
        // Against zeros the pass gives the sums of the matrix itself.
        let mut itself = a.clone();
        let mut zeros = Array2::zeros(a.dim());
        let fro = Arch::new().dispatch(Pass { a: &a, b: &mut zeros }).squares.sqrt();
        let information = Arch::new().dispatch(Pass { a: &a, b: &mut itself }).cross;
        Self { a, fro, spectral, information, seen, ranked }
    }

    /// The matrix.
    pub fn matrix(&self) -> ArrayView2<'_, f32> {
        self.a.view()
    }

    /// Compares an approximation of the same shape; `rng` draws the start vector of the spectral norm.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn compare(&self, b: ArrayView2<'_, f32>, rng: &mut Rng) -> PairProfile {
        assert_eq!(self.a.dim(), b.dim(), "two matrices of one shape");
        if self.a.is_empty() {
            return PairProfile::default();
        }
        let [density, recall, least_tv] = self.kept(b);
        let mut difference = b.as_standard_layout().into_owned();
        let sums = Arch::new().dispatch(Pass { a: &self.a, b: &mut difference });
        let rows = self.a.nrows() as f64;
        // NaN stays NaN: it must not pass as a perfect match.
        let share = |part: f64, whole: f64| if part == 0.0 { 0.0 } else { part / whole };
        let spectral = norm::spectral(difference.view(), SPECTRAL_BOUND, rng).value;
        PairProfile {
            rel_fro: share(sums.squares.sqrt(), self.fro),
            rel_spectral: share(spectral, self.spectral),
            max_abs: f64::from(sums.largest),
            tv: 0.5 * sums.absolute / rows,
            kl: (self.information - sums.cross) / rows,
            row_sum_drift: sums.drift,
            density,
            recall,
            least_tv,
        }
    }

    /// Density, recall and least total variation of the entries of B that are not 0.
    fn kept(&self, b: ArrayView2<'_, f32>) -> [f64; 3] {
        let (mut entries, mut rows, mut recall, mut beyond) = (0, 0, 0.0, 0.0);
        for ((a, b), (seen, ranked)) in
            self.a.rows().into_iter().zip(b.rows()).zip(self.seen.iter().zip(&self.ranked))
        {
            let (mut count, mut held) = (0, 0.0);
            for (a, b) in a.slice(s![seen.clone()]).iter().zip(b.slice(s![seen.clone()])) {
                if *b != 0.0 {
                    count += 1;
                    held += f64::from(*a);
                }
            }
            let whole: f64 = ranked.iter().map(|a| f64::from(*a)).sum();
            entries += count;
            beyond += ranked[count..].iter().rev().map(|a| f64::from(*a)).sum::<f64>();
            if whole > 0.0 {
                (rows, recall) = (rows + 1, recall + held / whole);
            }
        }
        let pairs: usize = self.seen.iter().map(Range::len).sum();
        [
            entries as f64 / pairs.max(1) as f64,
            recall / f64::from(rows.max(1)),
            beyond / self.a.nrows() as f64,
        ]
    }
}

/// Sums over the whole matrix.
#[derive(Default)]
struct Sums {
    squares: f64,
    absolute: f64,
    largest: f32,
    /// Of `a ln max(b, floor)`.
    cross: f64,
    drift: f64,
}

/// Computes the sums and replaces `b` by `a - b`.
struct Pass<'a> {
    a: &'a Array2<f32>,
    b: &'a mut Array2<f32>,
}

impl WithSimd for Pass<'_> {
    type Output = Sums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Sums {
        let m = self.a.ncols();
        let mut sums = Sums::default();
        let (a, b) = (self.a.as_slice().unwrap_or(&[]), self.b.as_slice_mut().unwrap_or(&mut []));
        for (a, b) in a.chunks_exact(m).zip(b.chunks_exact_mut(m)) {
            let mut row = 0.0_f64;
            // Short parts are summed in f32: the sums of rows stay accurate to about 1e-7.
            for (a, b) in a.chunks(LANES * 32).zip(b.chunks_mut(LANES * 32)) {
                let mut lanes = [[0.0_f32; LANES]; 5];
                let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks_mut::<LANES>());
                for (a, b) in a.iter().zip(b) {
                    for at in 0..LANES {
                        add(&mut lanes, at, a[at], &mut b[at]);
                    }
                }
                for (at, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
                    add(&mut lanes, at, *a, b);
                }
                row += total(lanes[0]);
                sums.squares += total(lanes[1]);
                sums.absolute += total(lanes[2]);
                sums.largest = lanes[3].iter().copied().fold(sums.largest, f32::max);
                sums.cross += total(lanes[4]);
            }
            sums.drift = sums.drift.max((row - 1.0).abs());
        }
        sums
    }
}

#[inline(always)]
fn add(lanes: &mut [[f32; LANES]; 5], at: usize, a: f32, b: &mut f32) {
    let floored = if *b > KL_FLOOR { *b } else { KL_FLOOR };
    let difference = a - *b;
    let size = difference.abs();
    lanes[0][at] += *b;
    lanes[1][at] += difference * difference;
    lanes[2][at] += size;
    lanes[3][at] = if size > lanes[3][at] { size } else { lanes[3][at] };
    lanes[4][at] += a * ln(floored);
    *b = difference;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::softmax::softmax_rows;
    use crate::rng::{normal, stream};
    use ndarray::array;

    fn compare(a: &Array2<f32>, b: &Array2<f32>) -> PairProfile {
        let spectral = norm::spectral(a.view(), 1e-6, &mut stream(0, "a")).value;
        let m = a.ncols();
        Reference::new(a.clone(), spectral, |_| 0..m).compare(b.view(), &mut stream(0, "b"))
    }

    #[test]
    fn a_small_pair_by_hand() {
        let found = compare(&array![[1.0, 0.0], [0.5, 0.5]], &array![[0.5, 0.5], [0.5, 0.5]]);
        let squares = (0.5_f64 / 1.5).sqrt();
        assert!((found.rel_fro - squares).abs() < 1e-7);
        assert!((found.max_abs - 0.5).abs() < 1e-7 && (found.tv - 0.25).abs() < 1e-7);
        assert!((found.kl - 0.5 * 2.0_f64.ln()).abs() < 1e-6, "{found:?}");
        assert!(found.row_sum_drift < 1e-6);
        assert_eq!((found.density, found.recall, found.least_tv), (1.0, 1.0, 0.0));
    }

    #[test]
    fn what_is_kept_by_hand() {
        // Of 5 visible entries 3 are kept, 0.25 and 0.5 of the weight of the last row among them.
        let a = array![[1.0, 0.0, 0.0], [0.25, 0.25, 0.5]];
        let b = array![[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]];
        let reference = Reference::new(a, 1.0, |i| if i == 0 { 0..2 } else { 0..3 });
        let found = reference.compare(b.view(), &mut stream(0, "b"));
        assert!((found.density - 0.6).abs() < 1e-12 && (found.recall - 0.75).abs() < 1e-7, "{found:?}");
        // The largest two would have dropped 0.25 of the second row.
        assert!((found.least_tv - 0.125).abs() < 1e-7 && (found.tv - 0.25).abs() < 1e-7, "{found:?}");
    }

    #[test]
    fn nothing_differs_from_itself() {
        let mut a = normal(&mut stream(1, "pair"), 33, 70);
        softmax_rows(a.view_mut());
        let found = compare(&a, &a);
        assert_eq!((found.rel_fro, found.rel_spectral, found.max_abs, found.tv), (0.0, 0.0, 0.0, 0.0));
        assert!(found.kl.abs() < 1e-6 && found.row_sum_drift < 1e-5, "{found:?}");
    }

    /// Against sums written out in f64.
    #[test]
    fn figures_equal_their_definitions() {
        let (mut a, mut b) =
            (normal(&mut stream(2, "pair"), 19, 531), normal(&mut stream(3, "pair"), 19, 531));
        softmax_rows(a.view_mut());
        softmax_rows(b.view_mut());
        b *= 1.25;
        b[[0, 0]] = -0.5;
        let found = compare(&a, &b);
        let pairs = || a.iter().zip(&b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let tv = pairs().map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0 / 19.0;
        let kl = pairs().map(|(a, b)| a * (a / b.max(1e-30)).ln()).sum::<f64>() / 19.0;
        let fro =
            pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>() / pairs().map(|(a, _)| a * a).sum::<f64>();
        let drift =
            b.rows().into_iter().map(|row| (row.mapv(f64::from).sum() - 1.0).abs()).fold(0.0, f64::max);
        assert!((found.tv - tv).abs() < 1e-6 * tv && (found.kl - kl).abs() < 1e-5, "{found:?} {tv} {kl}");
        assert!((found.rel_fro - fro.sqrt()).abs() < 1e-6 * fro.sqrt());
        assert!((found.row_sum_drift - drift).abs() < 1e-6);
    }
}
