//! The declaration and the reference implementation.

use ndarray::{Array2, ArrayView2, Axis, s};

use super::features::{EPS, angle};
use super::fused;
use crate::attention::kernel::fused::Fused;
use crate::attention::kernel::mapped::Mapped;
use crate::attention::reference::work::Work;
use crate::attention::{Input, Kind, Mask, Mechanism, Origin, Under};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product_into};
use crate::name::{Param, Params};

/// Its entry in the list.
pub(in crate::attention) const KIND: Kind = Kind {
    name: "cosformer",
    about: "linear attention of ReLU features, reweighted by the cosine of the distance",
    equation: "sum_j relu(q_i) relu(k_j)^T cos(pi (i - j) / 2 M) v_j / (the sum of these weights)",
    paper: "Qin et al. 2022",
    takes: &[Param {
        name: "max",
        default: Some("4096"),
        about: "M of the causal form, its longest sequence; else M is max(n, m)",
    }],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: false,
    terms: &[],
    by_default: false,
    fit: None,
    build: |params: &Params<'_>, _: &Origin<'_>| {
        Ok(Box::new(Cosformer(fused::Cosformer { max: params.at_least("max", 1)? })))
    },
};

struct Cosformer(fused::Cosformer);

impl Cosformer {
    /// Features of queries and of the keys that any query sees.
    fn features(&self, input: &Input<'_>) -> Result<[Array2<f32>; 2]> {
        let (n, m) = (input.q.nrows(), input.k.nrows());
        let max = self.0.period(input.mask, n, m);
        if n.max(m) > max {
            let accepted = format!("its causal form is for {max} at most (parameter 'max')");
            return Err(Error::Tokens { what: "attention 'cosformer'".into(), found: n.max(m), accepted });
        }
        let seen = input.mask.visible(n - 1, m);
        Ok([input.q, input.k.slice_move(s![..seen, ..])].map(|x| {
            let width = x.ncols();
            Array2::from_shape_fn((x.nrows(), 2 * width), |(i, c)| {
                x[[i, c % width]].max(0.0) * angle(i, max)[c / width] as f32
            })
        }))
    }
}

impl Mechanism for Cosformer {
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let [q, k] = self.features(input)?;
        let mut out = Array2::zeros((q.nrows(), v.ncols()));
        let (mut values, mut keys) =
            (Array2::zeros((k.ncols(), v.ncols())), Array2::<f32>::zeros((k.ncols(), 1)));
        // All keys for the first query, or one key more for each query.
        for (i, mut row) in out.rows_mut().into_iter().enumerate() {
            let added = match input.mask {
                Mask::Full if i == 0 => 0..k.nrows(),
                Mask::Causal if i < k.nrows() => i..i + 1,
                _ => 0..0,
            };
            if !added.is_empty() {
                let (k, v) = (k.slice(s![added.clone(), ..]), v.slice(s![added, ..]));
                work.count(Cost::product(k.nrows(), k.ncols(), v.ncols()));
                product_into(values.view_mut(), 1.0, k.t(), v, 1.0, Threads::One);
                keys += &k.sum_axis(Axis(0)).insert_axis(Axis(1));
            }
            let query = q.slice(s![i..=i, ..]);
            let weight = work.product(query, keys.view())[[0, 0]] + EPS;
            work.count(Cost::divs(1));
            row.assign(&(work.product(query, values.view()).row(0).to_owned() / weight));
        }
        Ok(out)
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let [q, k] = self.features(input)?;
        let mut a = Array2::zeros((q.nrows(), input.k.nrows()));
        product_into(a.slice_mut(s![.., ..k.nrows()]), 0.0, q.view(), k.t(), 1.0, Threads::One);
        for (i, mut row) in a.rows_mut().into_iter().enumerate() {
            row.slice_mut(s![input.mask.visible(i, input.k.nrows())..]).fill(0.0);
            let sum = row.sum();
            row /= sum + EPS;
        }
        Ok(a)
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let Shape { n, m, d_h, d_v, causal, .. } = *shape;
        let seen = if causal { n.min(m) } else { m };
        Cost::product(seen, 2 * d_h, d_v) + Cost::product(n, 2 * d_h, d_v + 1) + Cost::divs(n)
    }

    /// For each feature the sum of values and of weights.
    fn cache_reads(&self, shape: &Shape) -> Option<u64> {
        Some(shape.n as u64 * (2 * shape.d_h) as u64 * (shape.d_v + 1) as u64)
    }

    fn rank(&self, shape: &Shape) -> Option<usize> {
        (!shape.causal).then_some(2 * shape.d_h)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::new(KIND.name, Mapped(fused::Cosformer { max: self.0.max })))
    }
}
