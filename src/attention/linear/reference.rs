//! Linear attention (Katharopoulos et al. 2020): `phi(q) phi(k)^T` in place of `exp(q k^T)`, with phi = elu + 1.
//!
//! `y_i = phi(q_i) sum_j phi(k_j) v_j^T / (phi(q_i) . sum_j phi(k_j) + eps)` (eq. 5; under the causal mask eq. 9, the
//! sums over j <= i). Queries and keys are not scaled, as in the paper. eps is 1e-6, as in the authors' code: rows sum
//! to 1 up to it. A query whose features all vanish (every entry far below 0) gets zeros.

use ndarray::{Array2, ArrayView2, Axis, s};

use super::fused;
use super::phi::{EPS, phi};
use crate::attention::kernel::fused::Fused;
use crate::attention::kernel::mapped::Mapped;
use crate::attention::reference::work::Work;
use crate::attention::{Input, Kind, Mask, Mechanism, Origin, Under};
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::linalg::gemm::{Threads, product_into};
use crate::name::Params;

/// Its entry in the list.
pub(in crate::attention) const KIND: Kind = Kind {
    name: "linear",
    about: "a kernel with d_h features in place of the exponential",
    equation: "phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1), phi = elu + 1",
    paper: "Katharopoulos et al. 2020",
    takes: &[],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: &[],
    by_default: true,
    fit: None,
    build: |_: &Params<'_>, _: &Origin<'_>| Ok(Box::new(Linear)),
};

struct Linear;

/// The features of each entry: an exponential each, although only entries below 0 need one.
fn features(x: ArrayView2<'_, f32>, work: &mut Work) -> Array2<f32> {
    work.count(Cost::exps(x.len()));
    x.mapv(phi)
}

impl Mechanism for Linear {
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let (n, m) = (input.q.nrows(), input.k.nrows());
        let seen = input.mask.visible(n - 1, m);
        let (q, k) = (features(input.q, work), features(input.k.slice(s![..seen, ..]), work));
        let v = v.slice(s![..seen, ..]);
        if input.mask == Mask::Causal {
            return Ok(causal(q.view(), k.view(), v, work));
        }
        let values = work.product(k.t(), v);
        let keys = k.sum_axis(Axis(0)).insert_axis(Axis(1));
        let mut out = work.product(q.view(), values.view());
        let weights = work.product(q.view(), keys.view());
        work.count(Cost::divs(n));
        out /= &(weights + EPS);
        Ok(out)
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let mut work = Work::default();
        let (q, k) = (features(input.q, &mut work), features(input.k, &mut work));
        let mut a = work.product(q.view(), k.t());
        for (i, mut row) in a.rows_mut().into_iter().enumerate() {
            row.slice_mut(s![input.mask.visible(i, k.nrows())..]).fill(0.0);
            let sum = row.sum();
            row /= sum + EPS;
        }
        Ok(a)
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let Shape { n, m, d_h, d_v, causal, .. } = *shape;
        let seen = if causal { n.min(m) } else { m };
        let features = Cost::exps((n + seen) * d_h);
        features + Cost::product(seen, d_h, d_v) + Cost::product(n, d_h, d_v + 1) + Cost::divs(n)
    }

    /// For each feature the sum of values and of weights.
    fn cache_reads(&self, shape: &Shape) -> Option<u64> {
        Some(shape.n as u64 * shape.d_h as u64 * (shape.d_v + 1) as u64)
    }

    fn rank(&self, shape: &Shape) -> Option<usize> {
        (!shape.causal).then_some(shape.d_h)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::new(KIND.name, Mapped(fused::Linear)))
    }
}

/// Running sums over features: queries after the last key see every key.
fn causal(
    q: ArrayView2<'_, f32>,
    k: ArrayView2<'_, f32>,
    v: ArrayView2<'_, f32>,
    work: &mut Work,
) -> Array2<f32> {
    let mut values = Array2::zeros((k.ncols(), v.ncols()));
    let mut keys = Array2::zeros((k.ncols(), 1));
    let mut out = Array2::zeros((q.nrows(), v.ncols()));
    for (i, (query, mut row)) in q.rows().into_iter().zip(out.rows_mut()).enumerate() {
        if i < k.nrows() {
            let [key, value] = [k, v].map(|x| x.slice_move(s![i..=i, ..]));
            work.count(Cost::product(key.ncols(), 1, value.ncols()));
            product_into(values.view_mut(), 1.0, key.t(), value, 1.0, Threads::One);
            keys += &key.t();
        }
        let query = query.insert_axis(Axis(0));
        let weight = work.product(query, keys.view())[[0, 0]] + EPS;
        work.count(Cost::divs(1));
        row.assign(&(work.product(query, values.view()).row(0).to_owned() / weight));
    }
    out
}
