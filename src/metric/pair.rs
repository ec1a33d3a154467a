//! One pass over two matrices, for every metric that compares an attention matrix with its approximation.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched loop is compiled without its instructions

use std::ops::{AddAssign, Range};

use ndarray::{Array2, ArrayView2, s};
use pulp::{Arch, Simd, WithSimd};

use super::rows::{LANES, ln, total};
use crate::linalg::norm;
use crate::rng::Rng;

/// The rows of a [`Reference`] and of what it is compared with.
const STANDARD: &str = "rows that are contiguous";

/// Lower bound of the entries of the approximation in the divergence: where an entry is 0 or negative and attention is
/// not, the divergence would be infinite.
pub const KL_FLOOR: f32 = 1e-30;
/// Relative error bound of spectral norms.
pub const SPECTRAL_BOUND: f64 = 1e-3;

/// An attention matrix, or some rows of one, with the sums over it that a comparison needs.
#[derive(Clone, Debug)]
pub struct Reference {
    a: Array2<f32>,
    /// The sum of `a^2`.
    squares: f64,
    /// The sum of `a ln a`.
    information: f64,
    /// What is known of each row.
    rows: Vec<Row>,
}

/// A row of attention.
#[derive(Clone, Debug)]
struct Row {
    /// The keys that its query sees.
    seen: Range<usize>,
    /// Their weight.
    whole: f64,
    /// Counts of keys, with the weight beyond so many largest ones.
    beyond: Vec<(usize, f64)>,
}

/// Errors of a matrix B against the attention matrix A (n, m) that it approximates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairProfile {
    /// `||A - B||_F / ||A||_F`.
    pub rel_fro: f64,
    /// `||A - B||_2 / ||A||_2`; the numerator has a relative error of at most [`SPECTRAL_BOUND`]. None where the matrices
    /// were compared row by row.
    pub rel_spectral: Option<f64>,
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
    /// Of rows (n, m) of an attention matrix in which query i sees the keys `sees(i)`.
    pub fn new(a: Array2<f32>, sees: impl Fn(usize) -> Range<usize>) -> Self {
        let a = a.as_standard_layout().into_owned();
        let rows = a.rows().into_iter().enumerate().map(|(i, row)| {
            let seen = sees(i);
            let whole = row.slice(s![seen.clone()]).iter().map(|a| f64::from(*a)).sum();
            Row { seen, whole, beyond: Vec::new() }
        });
        let rows = rows.collect();
        // Against zeros the pass gives the sums of the matrix itself.
        let mut itself = a.clone();
        let mut zeros = Array2::zeros(a.dim());
        let squares = Arch::new().dispatch(Pass { a: &a, b: &mut zeros }).squares;
        let information = Arch::new().dispatch(Pass { a: &a, b: &mut itself }).cross;
        Self { a, squares, information, rows }
    }

    /// The matrix.
    pub fn matrix(&self) -> ArrayView2<'_, f32> {
        self.a.view()
    }

    /// Compares an approximation of the whole matrix; `spectral` is the norm of the matrix itself, and `rng` draws the start
    /// vector of that of the difference.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn compare(&mut self, b: ArrayView2<'_, f32>, spectral: f64, rng: &mut Rng) -> PairProfile {
        if self.a.is_empty() {
            return PairProfile::default();
        }
        let (sums, difference) = self.sums(b.as_standard_layout().into_owned());
        let norm = norm::spectral(difference.view(), SPECTRAL_BOUND, rng).value;
        PairProfile { rel_spectral: Some(share(norm, spectral)), ..sums.profile() }
    }

    /// The sums of an approximation of these rows, and `A - B`.
    ///
    /// # Panics
    /// If the shapes differ, or `b` is not contiguous by rows.
    pub fn sums(&mut self, mut b: Array2<f32>) -> (PairSums, Array2<f32>) {
        assert_eq!(self.a.dim(), b.dim(), "two matrices of one shape");
        assert!(b.is_standard_layout(), "{STANDARD}");
        let kept = Arch::new().dispatch(Kept { a: &self.a, b: &b, rows: &self.rows });
        let mut sums = PairSums {
            whole: self.squares,
            information: self.information,
            rows: self.a.nrows(),
            pairs: self.rows.iter().map(|row| row.seen.len()).sum(),
            ..PairSums::default()
        };
        for (i, (count, held)) in kept.into_iter().enumerate() {
            sums.entries += count;
            sums.beyond += self.beyond(i, count);
            if self.rows[i].whole > 0.0 {
                sums.weighted += 1;
                sums.recall += held / self.rows[i].whole;
            }
        }
        sums.pass = Arch::new().dispatch(Pass { a: &self.a, b: &mut b });
        (sums, b)
    }

    /// The weight of row i beyond its `count` largest entries.
    fn beyond(&mut self, i: usize, count: usize) -> f64 {
        let row = &mut self.rows[i];
        if count >= row.seen.len() {
            return 0.0;
        }
        if let Some((_, beyond)) = row.beyond.iter().find(|(known, _)| *known == count) {
            return *beyond;
        }
        // Weights are not negative: their bits are in their order.
        let weights = self.a.row(i);
        let mut bits: Vec<u32> =
            weights.slice(s![row.seen.clone()]).iter().map(|a| a.max(0.0).to_bits()).collect();
        bits.select_nth_unstable_by(count, |a, b| b.cmp(a));
        let beyond = bits[count..].iter().map(|bits| f64::from(f32::from_bits(*bits))).sum();
        row.beyond.push((count, beyond));
        beyond
    }
}

/// Sums over rows of an attention matrix A and an approximation B; those of further rows are added.
#[derive(Clone, Copy, Debug, Default)]
pub struct PairSums {
    pass: Sums,
    /// Of `a^2`.
    whole: f64,
    /// Of `a ln a`.
    information: f64,
    rows: usize,
    /// Entries that the mask shows.
    pairs: usize,
    /// Entries of B that are not 0, of those.
    entries: usize,
    /// Rows of any weight.
    weighted: usize,
    /// Of the share of the weight of a row that B keeps.
    recall: f64,
    /// Of the weight of a row beyond as many largest entries as B keeps.
    beyond: f64,
}

impl AddAssign for PairSums {
    fn add_assign(&mut self, other: Self) {
        self.pass += other.pass;
        self.whole += other.whole;
        self.information += other.information;
        self.rows += other.rows;
        self.pairs += other.pairs;
        self.entries += other.entries;
        self.weighted += other.weighted;
        self.recall += other.recall;
        self.beyond += other.beyond;
    }
}

impl PairSums {
    /// The errors, but for that of the spectral norm.
    pub fn profile(&self) -> PairProfile {
        let rows = self.rows.max(1) as f64;
        PairProfile {
            rel_fro: share(self.pass.squares.sqrt(), self.whole.sqrt()),
            rel_spectral: None,
            max_abs: f64::from(self.pass.largest),
            tv: 0.5 * self.pass.absolute / rows,
            kl: (self.information - self.pass.cross) / rows,
            row_sum_drift: self.pass.drift,
            density: self.entries as f64 / self.pairs.max(1) as f64,
            recall: self.recall / self.weighted.max(1) as f64,
            least_tv: self.beyond / rows,
        }
    }
}

/// A share of a whole. NaN stays NaN: it must not pass as a perfect match.
fn share(part: f64, whole: f64) -> f64 {
    if part == 0.0 { 0.0 } else { part / whole }
}

/// Of each row, how many entries of B are not 0 where A is seen, and the weight of A there.
struct Kept<'a> {
    a: &'a Array2<f32>,
    b: &'a Array2<f32>,
    rows: &'a [Row],
}

impl WithSimd for Kept<'_> {
    type Output = Vec<(usize, f64)>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let m = self.a.ncols();
        let [a, b] = [self.a, self.b].map(|x| x.as_slice().expect(STANDARD));
        let rows = a.chunks_exact(m).zip(b.chunks_exact(m)).zip(self.rows);
        let mut kept = Vec::with_capacity(self.rows.len());
        for ((a, b), row) in rows {
            let (a, b) = (&a[row.seen.clone()], &b[row.seen.clone()]);
            let (mut count, mut held) = (0, 0.0);
            for (a, b) in a.chunks(LANES * 32).zip(b.chunks(LANES * 32)) {
                let (mut counts, mut weights) = ([0_u32; LANES], [0.0_f32; LANES]);
                let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
                for (a, b) in a.iter().zip(b) {
                    for at in 0..LANES {
                        let kept = b[at] != 0.0;
                        counts[at] += u32::from(kept);
                        weights[at] += if kept { a[at] } else { 0.0 };
                    }
                }
                for (at, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
                    let kept = *b != 0.0;
                    counts[at] += u32::from(kept);
                    weights[at] += if kept { *a } else { 0.0 };
                }
                count += counts.into_iter().sum::<u32>() as usize;
                held += total(weights);
            }
            kept.push((count, held));
        }
        kept
    }
}

/// Sums of a [`Pass`].
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    squares: f64,
    absolute: f64,
    largest: f32,
    /// Of `a ln max(b, floor)`.
    cross: f64,
    drift: f64,
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.squares += other.squares;
        self.absolute += other.absolute;
        self.largest = self.largest.max(other.largest);
        self.cross += other.cross;
        self.drift = self.drift.max(other.drift);
    }
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
        let (a, b) = (self.a.as_slice().expect(STANDARD), self.b.as_slice_mut().expect(STANDARD));
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
        Reference::new(a.clone(), |_| 0..m).compare(b.view(), spectral, &mut stream(0, "b"))
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
        let mut reference = Reference::new(a, |i| if i == 0 { 0..2 } else { 0..3 });
        let found = reference.compare(b.view(), 1.0, &mut stream(0, "b"));
        assert!((found.density - 0.6).abs() < 1e-12 && (found.recall - 0.75).abs() < 1e-7, "{found:?}");
        // The largest two would have dropped 0.25 of the second row.
        assert!((found.least_tv - 0.125).abs() < 1e-7 && (found.tv - 0.25).abs() < 1e-7, "{found:?}");
    }

    #[test]
    fn nothing_differs_from_itself() {
        let mut a = normal(&mut stream(1, "pair"), 33, 70);
        softmax_rows(a.view_mut());
        let found = compare(&a, &a);
        assert_eq!((found.rel_fro, found.rel_spectral), (0.0, Some(0.0)));
        assert_eq!((found.max_abs, found.tv), (0.0, 0.0));
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
