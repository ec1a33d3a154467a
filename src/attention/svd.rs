//! Truncated decomposition: the best that any matrix of rank l can do for softmax attention.
//!
//! `U_l S_l V_l^T` of the exact matrix, in f64: no matrix of rank l is nearer to it in the spectral or the Frobenius
//! norm (Eckart and Young 1936). It needs the exact matrix first: a floor under the errors of the others, and no way
//! to make attention cheaper. Under the causal mask it approximates the triangular matrix and is not triangular
//! itself: what it shows a query leaks from the future.

use ndarray::{Array2, ArrayView2, s};

use super::reference::work::Work;
use super::{Input, Kind, Mechanism, Origin, Term, Under, softmax};
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::linalg::engine::thin_svd;
use crate::linalg::gemm::{Threads, product};
use crate::name::{Param, Params};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "svd",
    about: "the best matrix of rank l, from the exact one: the floor under the others' errors",
    equation: "U_l S_l V_l^T v, the l leading singular triplets of softmax(q k^T / sqrt(d_h))",
    paper: "Eckart and Young 1936",
    takes: &[Param { name: "l", default: Some("64"), about: "singular triplets that are retained" }],
    full: Under::Honoured,
    causal: Under::Leaks("is the best matrix of its rank, not a causal one: its rows reach ahead"),
    stochastic: false,
    terms: Term::ALL,
    by_default: false,
    fit: None,
    build,
};

struct Svd {
    l: usize,
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    Ok(Box::new(Svd { l: params.at_least("l", 1)? }))
}

impl Svd {
    /// How many triplets there are at a shape.
    fn kept(&self, n: usize, m: usize) -> usize {
        self.l.min(n).min(m)
    }

    /// `U_l S_l` (n, r) and `V_l^T` (r, m).
    fn factors(&self, input: &Input<'_>) -> Result<[Array2<f32>; 2]> {
        truncated(softmax::matrix_of(input).view(), self.kept(input.q.nrows(), input.k.nrows()))
    }
}

/// `U_r S_r` (n, r) and `V_r^T` (r, m) of the best matrix of rank r, at most min(n, m).
pub(super) fn truncated(a: ArrayView2<'_, f64>, r: usize) -> Result<[Array2<f32>; 2]> {
    let (mut u, s, vt) = thin_svd(a)?;
    for (mut column, s) in u.columns_mut().into_iter().zip(s) {
        column *= s;
    }
    Ok([u.slice(s![.., ..r]), vt.slice(s![..r, ..])].map(|x| x.mapv(|x| x as f32)))
}

impl Mechanism for Svd {
    /// Counted are the exact matrix and the products with the factors; the decomposition is not.
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let [left, right] = self.factors(input)?;
        work.count(exact(&input.shape(v.ncols())));
        let values = work.product(right.view(), v);
        Ok(work.product(left.view(), values.view()))
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let [left, right] = self.factors(input)?;
        Ok(product(left.view(), right.view(), Threads::One))
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let kept = self.kept(shape.n, shape.m);
        exact(shape) + Cost::product(kept, shape.m + shape.n, shape.d_v)
    }

    fn rank(&self, shape: &Shape) -> Option<usize> {
        Some(self.kept(shape.n, shape.m))
    }

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }
}

/// The exact matrix, which has to be there before it is decomposed.
pub(super) fn exact(shape: &Shape) -> Cost {
    let pairs = shape.pairs();
    Cost::product(pairs, shape.d_h, 1) + Cost::softmax(shape.n, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Attention, Mask};
    use crate::linalg::engine::{Engine, singular_values};
    use crate::rng::{normal, stream};

    #[test]
    fn its_error_is_the_tail_of_the_spectrum() {
        let mut rng = stream(1, "svd");
        let [q, k] = [33, 40].map(|rows| normal(&mut rng, rows, 8) * 1.5);
        let origin = Origin { seed: 0, label: "test", learned: None };
        for mask in [Mask::Full, Mask::Causal] {
            let exact = softmax::matrix_f64(q.view(), k.view(), 8.0_f64.sqrt().recip(), mask);
            let spectrum = singular_values(exact.view(), Engine::Faer).unwrap();
            for l in [1, 9, 32, 100] {
                let attention = Attention::build(&format!("svd:l={l}").parse().unwrap(), &origin).unwrap();
                let found = attention.matrix(&Input::new(q.view(), k.view(), mask)).unwrap();
                let error = (found.mapv(f64::from) - &exact).mapv(|x| x * x).sum().sqrt();
                let tail = spectrum.iter().skip(l).map(|s| s * s).sum::<f64>().sqrt();
                assert!((error - tail).abs() < 1e-6, "{mask:?} l={l}: {error} and not {tail}");
            }
        }
    }
}
