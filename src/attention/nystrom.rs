//! Nystromformer (Xiong et al. 2021): softmax through landmarks, `softmax(q K^T) pinv(softmax(Q K^T)) softmax(Q k^T) v`.
//!
//! Q and K are landmarks: means of l segments of the queries and of the keys, each scaled by `sqrt(scale)`, so that
//! logits have the usual scale. Where l does not divide the length, segments differ by one row (the authors' code pads
//! or refuses); where l is at least the length, every row is its own landmark and the result is exact up to how far the
//! iterations got, which is not far for an ill-conditioned matrix (the authors' code computes plain softmax there).
//!
//! The pseudo-inverse A+ is iterated as in the paper (eq. 11), `Z <- Z/4 (13 I - A Z (15 I - A Z (7 I - A Z)))`, from
//! `A^T / (largest column sum of A)`; the largest row sum, which should stand there too, is 1. The authors' code takes the
//! largest column sum over all heads of a batch, so that a head's output depends on its neighbours; here it is the
//! head's own. The convolution that their models add to the output is not part of the attention matrix.

use ndarray::{Array2, ArrayView2, Axis};

use super::reference::pool::segment_means;
use super::reference::work::Work;
use super::{Input, Kind, Mechanism, Origin, Under};
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::name::{Param, Params};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "nystrom",
    about: "softmax through l landmark queries and keys",
    equation: "softmax(q K^T) pinv(softmax(Q K^T)) softmax(Q k^T) v, Q and K means of l segments of q and k",
    paper: "Xiong et al. 2021",
    takes: &[
        Param { name: "l", default: Some("64"), about: "landmarks; at most as many as rows are used" },
        Param { name: "iterations", default: Some("6"), about: "of the pseudo-inverse" },
    ],
    full: Under::Honoured,
    causal: Under::Refused(""),
    stochastic: false,
    terms: &[],
    by_default: false,
    fit: None,
    build,
};

struct Nystrom {
    l: usize,
    iterations: usize,
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    Ok(Box::new(Nystrom { l: params.at_least("l", 1)?, iterations: params.within("iterations", 0, 1000)? }))
}

impl Nystrom {
    /// The three factors: (n, l), the pseudo-inverse (l, l), (l, m); the two l differ where n or m is less than l.
    fn factors(&self, input: &Input<'_>, work: &mut Work) -> [Array2<f32>; 3] {
        let Input { q, k, scale, .. } = *input;
        // Means are additions, which are not counted; the two scales sqrt(scale) come together in each product.
        let [landmark_q, landmark_k] = [q, k].map(|x| segment_means(x, self.l));
        let mut attend = |q: ArrayView2<'_, f32>, k: ArrayView2<'_, f32>| {
            let logits = work.scaled(q, k.t(), scale);
            work.softmax(logits)
        };
        let to = attend(q, landmark_k.view());
        let between = attend(landmark_q.view(), landmark_k.view());
        let from = attend(landmark_q.view(), k);
        [to, self.pseudo_inverse(between.view(), work), from]
    }

    /// The Moore-Penrose inverse of a row-stochastic matrix (r, c), by iteration: shape (c, r).
    fn pseudo_inverse(&self, a: ArrayView2<'_, f32>, work: &mut Work) -> Array2<f32> {
        let largest = a.sum_axis(Axis(0)).fold(0.0_f32, |largest, x| largest.max(*x));
        work.count(Cost::divs(1));
        let mut z = a.t().mapv(|x| x / largest);
        for _ in 0..self.iterations {
            let az = work.product(a, z.view());
            let inner = identity(7.0, &az);
            let inner = identity(15.0, &work.product(az.view(), inner.view()));
            let inner = identity(13.0, &work.product(az.view(), inner.view()));
            z = work.scaled(z.view(), inner.view(), 0.25);
        }
        z
    }
}

/// `times I - x`.
fn identity(times: f32, x: &Array2<f32>) -> Array2<f32> {
    let mut difference = -x;
    difference.diag_mut().map_inplace(|x| *x += times);
    difference
}

impl Mechanism for Nystrom {
    /// From the right, which never forms an (n, l) product with the pseudo-inverse; the authors' code does.
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let [to, inverse, from] = self.factors(input, work);
        let values = work.product(from.view(), v);
        let values = work.product(inverse.view(), values.view());
        Ok(work.product(to.view(), values.view()))
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let mut work = Work::default();
        let [to, inverse, from] = self.factors(input, &mut work);
        let right = work.product(inverse.view(), from.view());
        Ok(work.product(to.view(), right.view()))
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let Shape { n, m, d_h, d_v, .. } = *shape;
        let (rows, columns) = (self.l.min(n), self.l.min(m));
        let attend = |n: usize, m: usize| Cost::product(n, d_h, m) + Cost::softmax(n, n * m);
        let factors = attend(n, columns) + attend(rows, columns) + attend(rows, m);
        let iteration = Cost::product(rows, 2 * columns, rows) + Cost::product(rows, 2 * rows, rows);
        let values =
            Cost::product(rows, m, d_v) + Cost::product(columns, rows, d_v) + Cost::product(n, columns, d_v);
        factors + iteration * self.iterations + Cost::divs(1) + values
    }

    /// The landmarks of the keys, and a row of values for each.
    fn cache_reads(&self, shape: &Shape) -> Option<u64> {
        Some(shape.n as u64 * self.l.min(shape.n).min(shape.m) as u64 * (shape.d_h + shape.d_v) as u64)
    }

    fn rank(&self, shape: &Shape) -> Option<usize> {
        Some(self.l.min(shape.n).min(shape.m))
    }

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Attention, Mask, softmax};
    use crate::rng::{normal, stream};
    use ndarray::array;

    #[test]
    fn the_iteration_finds_moore_and_penrose_s_inverse() {
        let nystrom = Nystrom { l: 1, iterations: 12 };
        // well-conditioned, tall, wide, and of rank 1: A Z A = A and Z A Z = Z, both products symmetric
        for a in [
            array![[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.1, 0.6]],
            array![[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]],
            array![[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]],
            array![[0.5, 0.5], [0.5, 0.5]],
        ] {
            let z = nystrom.pseudo_inverse(a.view(), &mut Work::default());
            let (az, za) = (a.dot(&z), z.dot(&a));
            for (found, expected) in
                [(az.dot(&a), a), (za.dot(&z), z), (az.t().to_owned(), az), (za.t().to_owned(), za)]
            {
                assert!((&found - &expected).iter().all(|x| x.abs() < 1e-5), "{found} {expected}");
            }
        }
    }

    #[test]
    fn landmarks_for_every_row_are_softmax_once_iterated() {
        let mut rng = stream(1, "nystrom");
        let [q, k] = [12, 12].map(|rows| normal(&mut rng, rows, 8) * 2.0);
        let input = Input::new(q.view(), k.view(), Mask::Full);
        let exact = softmax::matrix(q.view(), k.view(), input.scale, Mask::Full);
        let origin = Origin { seed: 0, label: "test", learned: None };
        let error = |spec: &str| {
            let found = Attention::build(&spec.parse().unwrap(), &origin).unwrap().matrix(&input).unwrap();
            (found - &exact).fold(0.0_f32, |far, x| far.max(x.abs()))
        };
        let (few, many) = (error("nystrom:l=40"), error("nystrom:l=40,iterations=20"));
        assert!(many < 1e-3 && many < few, "{few} after 6, {many} after 20");
    }

    #[test]
    fn one_hot_landmarks_stay_finite() {
        // Every landmark looks at one key: the landmark matrix has rank 1 and its entries are 0 and 1.
        let mut rng = stream(2, "nystrom");
        let (q, mut k) = (normal(&mut rng, 33, 4).mapv(f32::abs) * 1e4, normal(&mut rng, 64, 4));
        k.row_mut(0).fill(300.0);
        let origin = Origin { seed: 0, label: "test", learned: None };
        let attention = Attention::build(&"nystrom:l=9".parse().unwrap(), &origin).unwrap();
        let found = attention.matrix(&Input::new(q.view(), k.view(), Mask::Full)).unwrap();
        assert!(found.iter().all(|x| x.is_finite()));
    }
}
