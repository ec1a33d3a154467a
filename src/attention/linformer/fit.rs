//! Linformer's E and F by gradient.
//!
//! Forward, with s the scale: `K = E k`, `V = F v`, `A = softmax(s q K^T)`, `O = A V`. Backward, with `dX` the gradient
//! with respect to X: `dV = A^T dO`, `dF = dV v^T`, `dS = A * (dA - rowsum(dA * A))` with `dA = dO V^T`,
//! `dK = s dS^T q`, `dE = dK k^T`. With one projection for keys and values both gradients add up on it.

use ndarray::{Array2, s};

use crate::attention::fit::objective::{Fit, Objective};
use crate::attention::fit::softmax_backward::softmax_rows_backward;
use crate::attention::fit::window::{Room, Window};
use crate::attention::reference::pool::segments;
use crate::error::Result;
use crate::linalg::gemm::{Threads, product_into};
use crate::linalg::softmax::softmax_rows;
use crate::name::Params;
use crate::rng::Rng;

/// Its entry in the list.
pub(super) const FIT: Fit = Fit {
    asks: "e",
    names: &["e", "f"],
    // E has l m entries where p has l d_h, and each belongs to a position.
    decay: 3.0,
    start,
    objective: |pieces, room| Box::new(Linformer::new(pieces[0].nrows(), room)),
};

/// Segment means over the longest window's keys, shape (l, m): E, and F unless they are one (`shared=true`).
fn start(params: &Params<'_>, _: &[Window], room: Room, _: &mut Rng) -> Result<Vec<Array2<f32>>> {
    let (l, m) = (params.at_least("l", 1_usize)?, room.m);
    let shared = params.get::<bool>("shared")?;
    let segments = segments(m, l);
    let mut e = Array2::zeros((segments.len(), m));
    for (mut row, segment) in e.rows_mut().into_iter().zip(segments) {
        let share = 1.0 / segment.len() as f32;
        row.slice_mut(s![segment]).fill(share);
    }
    Ok(if shared { vec![e] } else { vec![e.clone(), e] })
}

/// Arrays that are written anew at every step.
struct Linformer {
    /// `E k` and its gradient, shape (l, `d_h`).
    keys: [Array2<f32>; 2],
    /// `F v` and its gradient, shape (l, `d_v`).
    values: [Array2<f32>; 2],
    /// A and its gradient, shape (n, l).
    a: [Array2<f32>; 2],
    /// O, then its gradient, shape (n, `d_v`).
    out: Array2<f32>,
}

impl Linformer {
    fn new(l: usize, room: Room) -> Self {
        let pair = |rows, columns| [Array2::zeros((rows, columns)), Array2::zeros((rows, columns))];
        Self {
            keys: pair(l, room.d_h),
            values: pair(l, room.d_v),
            a: pair(room.n, l),
            out: Array2::zeros((room.n, room.d_v)),
        }
    }
}

impl Objective for Linformer {
    fn loss(
        &mut self,
        pieces: &[Array2<f32>],
        window: &Window,
        gradients: Option<&mut [Array2<f32>]>,
    ) -> f64 {
        let (q, k, v, scale) = (window.q.view(), window.k(), window.v(), window.scale);
        let (n, m) = (q.nrows(), k.nrows());
        let e = pieces[0].slice(s![.., ..m]);
        // With one projection for both, there is only E.
        let f = pieces[pieces.len() - 1].slice(s![.., ..m]);
        let [keys, d_keys] = &mut self.keys;
        let [values, d_values] = &mut self.values;
        let [a, d_a] = self.a.each_mut().map(|x| x.slice_mut(s![..n, ..]));
        let (mut a, mut d_a, mut out) = (a, d_a, self.out.slice_mut(s![..n, ..]));
        let one = Threads::One;

        product_into(keys.view_mut(), 0.0, e, k, 1.0, one);
        product_into(values.view_mut(), 0.0, f, v, 1.0, one);
        product_into(a.view_mut(), 0.0, q, keys.t(), scale, one);
        softmax_rows(a.view_mut());
        product_into(out.view_mut(), 0.0, a.view(), values.view(), 1.0, one);
        let loss = window.loss(out.view_mut());
        let Some(gradients) = gradients else { return loss };

        product_into(d_a.view_mut(), 0.0, out.view(), values.t(), 1.0, one);
        softmax_rows_backward(d_a.view_mut(), a.view());
        product_into(d_values.view_mut(), 0.0, a.t(), out.view(), 1.0, one);
        product_into(d_keys.view_mut(), 0.0, d_a.t(), q, scale, one);
        product_into(gradients[0].slice_mut(s![.., ..m]), 1.0, d_keys.view(), k.t(), 1.0, one);
        let last = gradients.len() - 1;
        product_into(gradients[last].slice_mut(s![.., ..m]), 1.0, d_values.view(), v.t(), 1.0, one);
        loss
    }
}
