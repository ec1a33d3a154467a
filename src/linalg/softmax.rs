//! Softmax over rows, with an exponential that compilers turn into vector code.
//!
//! Only additions, multiplications and bit moves are used (no fused multiply-add), in a fixed number of lanes: the
//! same logits give the same bits on every machine, whichever vector units it has.

use std::ops::Range;

use ndarray::{ArrayViewMut1, ArrayViewMut2, s};

/// Values computed together: one AVX-512 register, two AVX ones.
const LANES: usize = 16;
/// Chunks of `LANES` values that are summed in f32 before the sum is added in f64.
const CHUNKS_OF_A_SUM: usize = 64;

/// Replaces each row of logits by its softmax: non-negative, summing to 1.
///
/// Logits of any finite size are fine; `-inf` becomes exactly 0, and a row of nothing but `-inf` becomes zeros. A row
/// that holds NaN becomes NaN.
pub fn softmax_rows(a: ArrayViewMut2<'_, f32>) {
    pulp::Arch::new().dispatch(Rows { a, first: None });
}

/// As [`softmax_rows`] under the causal mask: row i keeps columns 0 to i, the others become exactly 0.
pub fn softmax_rows_causal(a: ArrayViewMut2<'_, f32>) {
    softmax_rows_causal_from(a, 0);
}

/// As [`softmax_rows_causal`] for a block of rows whose first row is row `first` of the whole matrix: row i of the
/// block keeps columns 0 to `first + i`.
pub fn softmax_rows_causal_from(a: ArrayViewMut2<'_, f32>, first: usize) {
    pulp::Arch::new().dispatch(Rows { a, first: Some(first) });
}

/// As [`softmax_rows`] over the columns that `seen` gives for each row of `a`; the others become exactly 0.
///
/// A `sink` is one more logit of every row whose weight is dropped: rows sum to less than 1.
pub fn softmax_rows_within(
    a: ArrayViewMut2<'_, f32>,
    seen: impl Fn(usize) -> Range<usize>,
    sink: Option<f32>,
) {
    pulp::Arch::new().dispatch(RowsWithin { a, seen, sink });
}

/// Replaces each value by its exponential: exactly 0 below -87.3, so that no subnormal number slows later products.
pub fn exp_all(a: &mut [f32]) {
    pulp::Arch::new().dispatch(Exponentials(a));
}

/// The values of [`exp_all`]; a type for the reason given at [`Rows`].
struct Exponentials<'a>(&'a mut [f32]);

impl pulp::WithSimd for Exponentials<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for x in self.0 {
            *x = exp(*x);
        }
    }
}

/// The rows of a softmax. A type and not a closure: closures are not inlined into the function that has the machine's
/// vector instructions switched on, and would run without them.
struct Rows<'a> {
    a: ArrayViewMut2<'a, f32>,
    /// The first row's number, under the causal mask.
    first: Option<usize>,
}

impl pulp::WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: pulp::Simd>(mut self, _: S) {
        let columns = self.a.ncols();
        for (i, mut row) in self.a.rows_mut().into_iter().enumerate() {
            let visible = self.first.map_or(columns, |first| (first + i + 1).min(columns));
            row.slice_mut(s![visible..]).fill(0.0);
            softmax(row.slice_mut(s![..visible]), None);
        }
    }
}

/// The rows of a softmax over some of their columns; a type for the reason given at [`Rows`].
struct RowsWithin<'a, F> {
    a: ArrayViewMut2<'a, f32>,
    seen: F,
    sink: Option<f32>,
}

impl<F: Fn(usize) -> Range<usize>> pulp::WithSimd for RowsWithin<'_, F> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: pulp::Simd>(mut self, _: S) {
        for (i, mut row) in self.a.rows_mut().into_iter().enumerate() {
            let seen = (self.seen)(i);
            row.slice_mut(s![..seen.start]).fill(0.0);
            row.slice_mut(s![seen.end..]).fill(0.0);
            softmax(row.slice_mut(s![seen]), self.sink);
        }
    }
}

/// e^x, within 2e-7 of relative error from -87 to 88; exactly 0 below -87.3 (where f32 stops being normal), infinity
/// above 88.4, NaN for NaN.
#[inline(always)]
#[allow(clippy::inline_always)] // compiled with its caller's vector instructions; otherwise it is a call for each value
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to a whole number and leaves that number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts; the first has 9 bits, so that its whole multiples are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    // (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2, interpolated at Chebyshev's nodes: error 1e-8 of e^r.
    let tail = 1.392_618_4e-3_f32;
    let tail = tail * r + 8.363_179e-3;
    let tail = tail * r + 4.166_655_5e-2;
    let tail = tail * r + 0.166_665_77;
    let tail = tail * r + 0.5;
    let near = 1.0 + (r + r * r * tail);
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    let value = near * power;
    let value = if x < -87.3 { 0.0 } else { value };
    if x > 88.4 { f32::INFINITY } else { value }
}

#[inline(always)]
#[allow(clippy::inline_always)] // as for `exp`
fn softmax(mut row: ArrayViewMut1<'_, f32>, sink: Option<f32>) {
    if let Some(row) = row.as_slice_mut() {
        softmax_slice(row, sink);
    } else {
        let mut copy = row.to_vec();
        softmax_slice(&mut copy, sink);
        row.assign(&ArrayViewMut1::from(&mut copy));
    }
}

#[inline(always)]
#[allow(clippy::inline_always)] // as for `exp`
fn softmax_slice(row: &mut [f32], sink: Option<f32>) {
    let max = sink.map_or_else(|| largest(row), |sink| largest(row).max(sink));
    if max == f32::NEG_INFINITY {
        // Everything is masked: no column gets any weight. (NaN is never the largest, and stays what it is.)
        let value = if row.iter().any(|x| x.is_nan()) { f32::NAN } else { 0.0 };
        row.fill(value);
        return;
    }
    let (total, _) = exp_less(row, max);
    let total = total + sink.map_or(0.0, |sink| f64::from(exp(sink - max)));
    let scale = (1.0 / total) as f32;
    for x in row {
        *x *= scale;
    }
}

/// Replaces each x by e^(x - max). Returns the sum of the exponentials, and the sum of all x - max. An infinite `max`
/// gives NaN.
#[inline(always)]
#[allow(clippy::inline_always)] // as for `exp`
pub(crate) fn exp_less(row: &mut [f32], max: f32) -> (f64, f64) {
    let (mut total, mut above) = (0.0_f64, 0.0_f64);
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for group in chunks.chunks_mut(CHUNKS_OF_A_SUM) {
        let (mut totals, mut sums) = ([0.0_f32; LANES], [0.0_f32; LANES]);
        for chunk in group {
            for ((total, sum), x) in totals.iter_mut().zip(&mut sums).zip(chunk) {
                *x -= max;
                *sum += *x;
                *x = exp(*x);
                *total += *x;
            }
        }
        total += totals.into_iter().map(f64::from).sum::<f64>();
        above += sums.into_iter().map(f64::from).sum::<f64>();
    }
    for x in rest {
        *x -= max;
        above += f64::from(*x);
        *x = exp(*x);
        total += f64::from(*x);
    }
    (total, above)
}

/// The largest value of a row, ignoring NaN; minus infinity for an empty row.
#[inline(always)]
#[allow(clippy::inline_always)] // as for `exp`
pub(crate) fn largest(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &x| if x > a { x } else { a })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn reference(row: &[f32], visible: usize) -> Vec<f64> {
        let max = row[..visible].iter().fold(f64::NEG_INFINITY, |a, &x| a.max(f64::from(x)));
        let exps: Vec<f64> = row[..visible].iter().map(|&x| (f64::from(x) - max).exp()).collect();
        let sum: f64 = exps.iter().sum();
        (0..row.len()).map(|j| if j < visible { exps[j] / sum } else { 0.0 }).collect()
    }

    fn logits(rows: usize, columns: usize, size: f32) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 7919 + j * 104_729) as f32 * 0.37).sin() * size)
    }

    #[test]
    fn exp_is_within_2e_7_of_the_true_one() {
        let mut x = -87.2_f32;
        while x < 88.0 {
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2e-7, "exp({x})");
            x += 1.3e-3;
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1e30), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn rows_follow_an_f64_reference() {
        for (columns, size) in [(1, 1.0), (15, 3.0), (16, 10.0), (257, 4.0), (3000, 1e4)] {
            let given = logits(5, columns, size);
            let (mut plain, mut causal) = (given.clone(), given.clone());
            softmax_rows(plain.view_mut());
            softmax_rows_causal(causal.view_mut());
            for (i, row) in given.rows().into_iter().enumerate() {
                let row = row.to_vec();
                for (visible, found) in [(columns, &plain), (columns.min(i + 1), &causal)] {
                    for (j, exact) in reference(&row, visible).into_iter().enumerate() {
                        let off = (f64::from(found[[i, j]]) - exact).abs();
                        // x - max is rounded to f32: half a unit in the last place of twice the size.
                        let rounding = 4e-7 + 1.2e-7 * f64::from(size).min(90.0);
                        assert!(
                            off <= rounding * exact + 1e-37,
                            "{columns} columns, ({i}, {j}): off by {off}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn long_rows_sum_to_one() {
        let mut a = logits(1, 100_000, 2.0);
        softmax_rows(a.view_mut());
        assert!((a.iter().map(|&x| f64::from(x)).sum::<f64>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn masked_and_broken_rows() {
        let inf = f32::INFINITY;
        let mut a = array![[-inf, -inf, -inf], [-inf, 0.0, -inf], [f32::NAN, 0.0, 1.0], [1e4, -1e4, 1e4]];
        softmax_rows(a.view_mut());
        assert_eq!(a.row(0), array![0.0, 0.0, 0.0]);
        assert_eq!(a.row(1), array![0.0, 1.0, 0.0]);
        assert!(a.row(2).iter().all(|x| x.is_nan()));
        assert_eq!(a.row(3), array![0.5, 0.0, 0.5]);
    }

    #[test]
    fn any_layout_and_any_first_row() {
        let given = logits(6, 40, 5.0);
        let mut whole = given.clone();
        softmax_rows_causal(whole.view_mut());
        let mut block = given.slice(s![4.., ..]).to_owned();
        softmax_rows_causal_from(block.view_mut(), 4);
        assert_eq!(block, whole.slice(s![4.., ..]));
        let mut columns_first = given.t().as_standard_layout().into_owned();
        softmax_rows_causal(columns_first.view_mut().reversed_axes());
        assert_eq!(columns_first.t(), whole);
    }
}
