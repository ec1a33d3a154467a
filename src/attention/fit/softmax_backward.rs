//! The gradient through a softmax over rows.

use ndarray::{ArrayView2, ArrayViewMut2};

/// Numbers that are worked on side by side, as in [`crate::linalg::softmax`].
const LANES: usize = 16;

/// Replaces the gradient with respect to the rows of `a = softmax(s)` by the gradient with respect to `s`:
/// `a * (g - sum(a * g))`, row by row.
///
/// # Panics
/// If the shapes differ, or the numbers of a row do not lie together.
pub(in crate::attention) fn softmax_rows_backward(gradient: ArrayViewMut2<'_, f32>, a: ArrayView2<'_, f32>) {
    assert_eq!(gradient.dim(), a.dim(), "shapes of a softmax and its gradient");
    pulp::Arch::new().dispatch(Backward { gradient, a });
}

/// A type and not a closure, as in [`crate::linalg::softmax`]: closures are not inlined into vector code.
struct Backward<'a> {
    gradient: ArrayViewMut2<'a, f32>,
    a: ArrayView2<'a, f32>,
}

impl pulp::WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: pulp::Simd>(mut self, _: S) {
        for (mut g, a) in self.gradient.rows_mut().into_iter().zip(self.a.rows()) {
            let together = "the numbers of a row lie together";
            let (g, a) = (g.as_slice_mut().expect(together), a.as_slice().expect(together));
            let mean = dot(g, a);
            for (g, a) in g.iter_mut().zip(a) {
                *g = a * (*g - mean);
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::inline_always)] // as above
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.into_iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::softmax::softmax_rows;
    use crate::rng::{normal, stream};
    use ndarray::{Array2, s};

    #[test]
    fn it_is_the_derivative_of_the_softmax() {
        let mut rng = stream(0, "backward");
        for columns in [1, 5, 16, 37] {
            let (logits, g) = (normal(&mut rng, 3, columns), normal(&mut rng, 3, columns));
            let mut a = logits.clone();
            softmax_rows(a.view_mut());
            // Wider arrays, of which only the first columns are used.
            let mut found = Array2::from_elem((3, columns + 3), f32::NAN);
            found.slice_mut(s![.., ..columns]).assign(&g);
            softmax_rows_backward(found.slice_mut(s![.., ..columns]), a.view());
            for ((i, j), at) in logits.indexed_iter() {
                let loss = |x: f64| {
                    let mut row = logits.row(i).mapv(f64::from);
                    row[j] = x;
                    let e = row.mapv(f64::exp);
                    (&e * &g.row(i).mapv(f64::from)).sum() / e.sum()
                };
                let at = f64::from(*at);
                let slope = (loss(at + 1e-5) - loss(at - 1e-5)) / 2e-5;
                assert!((f64::from(found[[i, j]]) - slope).abs() < 1e-6, "{columns}: ({i}, {j})");
            }
        }
    }
}
