//! `LayerNorm` and `RMSNorm` over rows.

use ndarray::{ArrayView1, ArrayViewMut2};

use super::config::Norm;
use crate::linalg::rows::each_row;

/// Sums have this many lanes, in f64: exact to f32, and fast.
const LANES: usize = 8;

/// Normalises each row of a (n, d) array in place: times `gain`, plus `shift`, each of length d.
pub(super) fn normalise(
    kind: Norm,
    x: ArrayViewMut2<'_, f32>,
    gain: ArrayView1<'_, f32>,
    shift: Option<ArrayView1<'_, f32>>,
    eps: f64,
) {
    let gain = gain.to_vec();
    let shift = shift.map_or_else(|| vec![0.0; gain.len()], |shift| shift.to_vec());
    each_row(x, |row| {
        pulp::Arch::new().dispatch(OneRow { numbers: row, kind, gain: &gain, shift: &shift, eps });
    });
}

/// One row to normalise. A type and not a closure, for the reason given in `linalg::softmax`.
struct OneRow<'a> {
    numbers: &'a mut [f32],
    kind: Norm,
    gain: &'a [f32],
    shift: &'a [f32],
    eps: f64,
}

impl pulp::WithSimd for OneRow<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let n = self.numbers.len() as f64;
        let mean = if self.kind == Norm::Layer { sum(self.numbers, 0.0, false) / n } else { 0.0 };
        let variance = sum(self.numbers, mean, true) / n;
        let (mean, scale) = (mean as f32, (1.0 / (variance + self.eps).sqrt()) as f32);
        for ((x, gain), shift) in self.numbers.iter_mut().zip(self.gain).zip(self.shift) {
            *x = (*x - mean) * scale * gain + shift;
        }
    }
}

/// The sum of x - `mean`, or of its squares.
#[inline(always)]
#[allow(clippy::inline_always)] // inlined into the vector instructions of its caller
fn sum(row: &[f32], mean: f64, squares: bool) -> f64 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0.0_f64; LANES];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            let x = f64::from(x) - mean;
            *lane += if squares { x * x } else { x };
        }
    }
    let mut total = lanes.iter().sum::<f64>();
    for &x in rest {
        let x = f64::from(x) - mean;
        total += if squares { x * x } else { x };
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand() {
        let (gain, shift) = (array![2.0, 2.0, 1.0, 1.0], array![0.0, 1.0, 0.0, 1.0]);
        let mut x = array![[1.0, 3.0, 1.0, 3.0]];
        normalise(Norm::Layer, x.view_mut(), gain.view(), Some(shift.view()), 0.0);
        assert_eq!(x, array![[-2.0, 3.0, -1.0, 2.0]]);
        let mut x = array![[3.0, -3.0, 3.0, 3.0]];
        normalise(Norm::Rms, x.view_mut(), gain.view(), None, 7.0);
        assert_eq!(x, array![[1.5, -1.5, 0.75, 0.75]]);
    }
}
