//! Luna's p by gradient.
//!
//! Forward, with s the scale: `A_p = softmax(s p k^T)`, `[K V] = A_p [k v]`, `A_u = softmax(s q K^T)`, `O = A_u V`.
//! Backward, with `dX` the gradient with respect to X and `S` the softmax's own:
//! `dV = A_u^T dO`, `dS_u = A_u * (dA_u - rowsum(dA_u * A_u))` with `dA_u = dO V^T`, `dK = s dS_u^T q`,
//! `dA_p = [dK dV] [k v]^T`, `dS_p` likewise, `dp = s dS_p k`.

use ndarray::{Array2, Axis, concatenate, s};

use crate::attention::fit::objective::{Fit, Objective};
use crate::attention::fit::softmax_backward::softmax_rows_backward;
use crate::attention::fit::window::{Room, Window};
use crate::attention::reference::pool::kmeans;
use crate::error::Result;
use crate::linalg::gemm::{Threads, product_into};
use crate::linalg::softmax::softmax_rows;
use crate::name::Params;
use crate::rng::Rng;

/// Its entry in the list.
pub(super) const FIT: Fit = Fit {
    asks: "p",
    names: &["p"],
    decay: 0.0,
    start,
    objective: |pieces, room| Box::new(Luna::new(pieces[0].nrows(), room)),
};

/// Centroids of the queries of all windows: p is compared with keys as queries are. Shape (l, `d_h`), with fewer rows
/// where there are fewer queries.
fn start(params: &Params<'_>, windows: &[Window], _: Room, rng: &mut Rng) -> Result<Vec<Array2<f32>>> {
    let l = params.at_least("l", 1)?;
    let queries: Vec<_> = windows.iter().map(|window| window.q.view()).collect();
    let queries = concatenate(Axis(0), &queries).expect("one width");
    Ok(vec![kmeans(queries.view(), l, rng)])
}

/// Arrays that are written anew at every step.
struct Luna {
    /// `A_p` and its gradient, shape (l, m).
    pack: [Array2<f32>; 2],
    /// K and V side by side and their gradient, shape (l, `d_h` + `d_v`).
    packed: [Array2<f32>; 2],
    /// `A_u` and its gradient, shape (n, l).
    unpack: [Array2<f32>; 2],
    /// O, then its gradient, shape (n, `d_v`).
    out: Array2<f32>,
}

impl Luna {
    fn new(l: usize, room: Room) -> Self {
        let width = room.d_h + room.d_v;
        let pair = |rows, columns| [Array2::zeros((rows, columns)), Array2::zeros((rows, columns))];
        Self {
            pack: pair(l, room.m),
            packed: pair(l, width),
            unpack: pair(room.n, l),
            out: Array2::zeros((room.n, room.d_v)),
        }
    }
}

impl Objective for Luna {
    fn loss(
        &mut self,
        pieces: &[Array2<f32>],
        window: &Window,
        gradients: Option<&mut [Array2<f32>]>,
    ) -> f64 {
        let (q, k, kv, scale) = (window.q.view(), window.k(), window.kv(), window.scale);
        let ((n, d_h), m) = (q.dim(), kv.nrows());
        // No more rows than queries, as the mechanism itself.
        let l = pieces[0].nrows().min(n);
        let p = pieces[0].slice(s![..l, ..]);
        let [pack, d_pack] = self.pack.each_mut().map(|x| x.slice_mut(s![..l, ..m]));
        let [packed, d_packed] = self.packed.each_mut().map(|x| x.slice_mut(s![..l, ..]));
        let [unpack, d_unpack] = self.unpack.each_mut().map(|x| x.slice_mut(s![..n, ..l]));
        let out = self.out.slice_mut(s![..n, ..]);
        let (mut pack, mut d_pack, mut packed, mut d_packed) = (pack, d_pack, packed, d_packed);
        let (mut unpack, mut d_unpack, mut out) = (unpack, d_unpack, out);
        let one = Threads::One;

        product_into(pack.view_mut(), 0.0, p, k.t(), scale, one);
        softmax_rows(pack.view_mut());
        product_into(packed.view_mut(), 0.0, pack.view(), kv, 1.0, one);
        let (keys, values) = packed.view().split_at(Axis(1), d_h);
        product_into(unpack.view_mut(), 0.0, q, keys.t(), scale, one);
        softmax_rows(unpack.view_mut());
        product_into(out.view_mut(), 0.0, unpack.view(), values, 1.0, one);
        let loss = window.loss(out.view_mut());
        let Some(gradients) = gradients else { return loss };

        product_into(d_unpack.view_mut(), 0.0, out.view(), values.t(), 1.0, one);
        softmax_rows_backward(d_unpack.view_mut(), unpack.view());
        let (d_keys, d_values) = d_packed.view_mut().split_at(Axis(1), d_h);
        product_into(d_values, 0.0, unpack.t(), out.view(), 1.0, one);
        product_into(d_keys, 0.0, d_unpack.t(), q, scale, one);
        product_into(d_pack.view_mut(), 0.0, d_packed.view(), kv.t(), 1.0, one);
        softmax_rows_backward(d_pack.view_mut(), pack.view());
        product_into(gradients[0].slice_mut(s![..l, ..]), 1.0, d_pack.view(), k, scale, one);
        loss
    }
}
