//! Performer (Choromanski et al. 2021): FAVOR+, softmax by positive orthogonal random features.
//!
//! With `x' = x sqrt(scale)`, so that `q' . k'` is the logit, and features w drawn once per head:
//! `phi(x) = exp(w x' - |x'|^2 / 2 - max) + eps`, and `out = phi(q) phi(k)^T v / (phi(q) phi(k)^T 1)`. The stabiliser
//! `max` is of `w x'`: per query over the features, for keys over features and positions; eps is 1e-4. Both are as in
//! performer-pytorch (`softmax_kernel`; the paper's own code has 1e-6); the paper's factor `l^-1/2` cancels in the quotient and is left out.
//!
//! eps draws every row towards the mean of the values, and no number of features averages that away: the maximum grows
//! with the features, and a typical feature below it may be less than eps. Of standard normal queries and keys of width 16
//! the relative Frobenius error is 0.66 with 512 features and 0.70 with 8192 at eps = 1e-4, 0.77 and 0.56 at 1e-6. The
//! variance itself grows as `e^(|q' + k'|^2)` (the paper's lemma 2).
//!
//! Features are blocks of orthogonal directions with the lengths of Gaussian vectors (the paper's section 2.4;
//! `ortho_scaling=0`). Under the causal mask the maximum over all keys would look ahead: the maximum of the prefix takes
//! its place, and the sums so far are scaled down when it rises, so that row t is what the whole would be of its prefix.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::fused;
use crate::attention::kernel::fused::Fused;
use crate::attention::reference::work::Work;
use crate::attention::{Input, Kind, Mask, Mechanism, Origin, Under};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product_into};
use crate::linalg::softmax::exp_all;
use crate::name::{Param, Params};
use crate::rng::{Rng, normal};

/// Its entry in the list.
pub(in crate::attention) const KIND: Kind = Kind {
    name: "performer",
    about: "softmax by l positive orthogonal random features (FAVOR+)",
    equation: "phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1), phi(x) = exp(w x - |x|^2 / 2 - max) + eps",
    paper: "Choromanski et al. 2021",
    takes: &[
        Param { name: "l", default: Some("64"), about: "random features" },
        Param {
            name: "features",
            default: Some("random"),
            about: "random (another seed draws others), fitted",
        },
        Param { name: "eps", default: Some("1e-4"), about: "added to each feature; from 1e-15 to 1" },
    ],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: &[],
    by_default: true,
    fit: None,
    build,
};

/// The largest number of features that are drawn.
const MAX_FEATURES: usize = 1 << 20;

/// Where the features come from.
enum Features {
    Random(Box<Rng>),
    Given(Array2<f32>),
}

struct Performer {
    l: usize,
    features: Features,
    /// Added to each feature, so that no query is left without weight.
    eps: f32,
}

fn build(params: &Params<'_>, origin: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    let l = params.at_least("l", 1)?;
    if l > MAX_FEATURES {
        return Err(params.refuse("l", &l, "1 to 2^20"));
    }
    let features: String = params.get("features")?;
    let (l, features) = match features.as_str() {
        "random" => match origin.found("features") {
            Some(w) => (w.nrows(), Features::Given(w)),
            None => (l, Features::Random(Box::new(origin.stream("performer features")))),
        },
        "fitted" => {
            let given = origin.learned("performer", "features")?;
            (given.nrows(), Features::Given(given))
        }
        _ => return Err(params.refuse("features", &features, "random or fitted")),
    };
    let eps: f64 = params.get("eps")?;
    if !(1e-15..=1.0).contains(&eps) {
        return Err(params.refuse("eps", &eps, "1e-15 to 1"));
    }
    Ok(Box::new(Performer { l, features, eps: eps as f32 }))
}

/// `w x'` and `-|x'|^2 / 2` of rows: the two parts of an exponent.
struct Exponents {
    dash: Array2<f32>,
    norm: Array1<f32>,
}

impl Exponents {
    fn of(x: ArrayView2<'_, f32>, w: ArrayView2<'_, f32>, scale: f32, work: &mut Work) -> Self {
        work.count(Cost::product(x.nrows(), x.ncols(), 1));
        let norm = x.rows().into_iter().map(|row| -0.5 * scale * row.dot(&row)).collect();
        Self { dash: work.scaled(x, w.t(), scale.sqrt()), norm }
    }

    /// The largest `w x'` of row i.
    fn max(&self, i: usize) -> f32 {
        self.dash.row(i).fold(f32::NEG_INFINITY, |max, x| max.max(*x))
    }

    /// The features of row i under a stabiliser, without eps.
    fn row(&self, i: usize, max: f32, work: &mut Work) -> Array1<f32> {
        work.count(Cost::exps(self.dash.ncols()));
        let mut features: Vec<f32> = self.dash.row(i).iter().map(|x| x + self.norm[i] - max).collect();
        exp_all(&mut features);
        features.into()
    }

    /// The features of every row, each under its own stabiliser.
    fn features(&self, eps: f32, max: impl Fn(usize) -> f32, work: &mut Work) -> Array2<f32> {
        let mut phi = Array2::zeros(self.dash.dim());
        for (i, mut row) in phi.rows_mut().into_iter().enumerate() {
            row.assign(&(self.row(i, max(i), work) + eps));
        }
        phi
    }
}

impl Performer {
    /// The features' directions and lengths, shape (l, `d_h`).
    fn w(&self, d_h: usize) -> Result<Array2<f32>> {
        match &self.features {
            Features::Random(rng) => Ok(orthogonal(&mut Rng::clone(rng), self.l, d_h)),
            Features::Given(w) if w.ncols() == d_h => Ok(w.clone()),
            Features::Given(w) => Err(Error::Shape {
                what: "fitted features of attention 'performer'".into(),
                found: w.shape().to_vec(),
                expected: format!("(l, {d_h}), the width of the queries"),
            }),
        }
    }

    /// Exponents of queries and of the keys that any query sees.
    fn exponents(&self, input: &Input<'_>, work: &mut Work) -> Result<[Exponents; 2]> {
        let w = self.w(input.q.ncols())?;
        let seen = input.mask.visible(input.q.nrows() - 1, input.k.nrows());
        let keys = input.k.slice(s![..seen, ..]);
        Ok([input.q, keys].map(|x| Exponents::of(x, w.view(), input.scale, work)))
    }
}

impl Mechanism for Performer {
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let [q, k] = self.exponents(input, work)?;
        let phi_q = q.features(self.eps, |i| q.max(i), work);
        if input.mask == Mask::Causal {
            return Ok(causal(phi_q.view(), &k, v, self.eps, work));
        }
        let max = largest(&k.dash);
        let phi_k = k.features(self.eps, |_| max, work);
        let values = work.product(phi_k.t(), v);
        let keys = phi_k.sum_axis(Axis(0)).insert_axis(Axis(1));
        let mut out = work.product(phi_q.view(), values.view());
        let weights = work.product(phi_q.view(), keys.view());
        work.count(Cost::divs(out.nrows()));
        out /= &weights;
        Ok(out)
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let mut work = Work::default();
        let [q, k] = self.exponents(input, &mut work)?;
        let phi_q = q.features(self.eps, |i| q.max(i), &mut work);
        let mut a = Array2::zeros((input.q.nrows(), input.k.nrows()));
        if input.mask == Mask::Full {
            let max = largest(&k.dash);
            let phi_k = k.features(self.eps, |_| max, &mut work);
            product_into(a.view_mut(), 0.0, phi_q.view(), phi_k.t(), 1.0, Threads::One);
        } else {
            // Each row by its own prefix: features of the keys so far under their maximum, anew whenever that rises.
            let mut phi_k = Array2::zeros(k.dash.dim());
            let mut max = f32::NEG_INFINITY;
            for (i, mut row) in a.rows_mut().into_iter().enumerate() {
                let seen = input.mask.visible(i, input.k.nrows());
                let new = max.max(k.max(seen - 1));
                let stale = if new > max { 0 } else { seen - 1 };
                max = new;
                for j in stale..seen {
                    phi_k.row_mut(j).assign(&(k.row(j, max, &mut work) + self.eps));
                }
                row.slice_mut(s![..seen]).assign(&phi_k.slice(s![..seen, ..]).dot(&phi_q.row(i)));
            }
        }
        for mut row in a.rows_mut() {
            let sum = row.sum();
            row /= sum;
        }
        Ok(a)
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let Shape { n, m, d_h, d_v, causal, .. } = *shape;
        let (l, seen) = (self.l, if causal { n.min(m) } else { m });
        let features = Cost::product(n + seen, d_h, l + 1) + Cost::exps((n + seen) * l);
        let sums = Cost::product(seen, l, d_v) + Cost::product(n, l, d_v + 1) + Cost::divs(n);
        // The causal form keeps eps and the plain sum of values apart from the features.
        let apart = if causal { Cost::product(n, 1, d_v) } else { Cost::default() };
        features + sums + apart
    }

    /// For each feature the sum of values and of weights.
    fn cache_reads(&self, shape: &Shape) -> Option<u64> {
        Some(shape.n as u64 * self.l as u64 * (shape.d_v + 1) as u64)
    }

    fn rank(&self, shape: &Shape) -> Option<usize> {
        (!shape.causal).then_some(self.l)
    }

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::new(KIND.name, fused::Performer { l: self.l, eps: self.eps }))
    }
}

fn largest(x: &Array2<f32>) -> f32 {
    x.fold(f32::NEG_INFINITY, |max, x| max.max(*x))
}

/// Running sums under the running maximum: queries after the last key see every key.
///
/// `sum_j (exp(..) + eps) v_j` is the sum of `exp(..) v_j`, which shrinks by `e^(old - new)` when the maximum rises,
/// and `eps sum_j v_j`, which does not. Shrinking is not counted: of n keys in no order, about ln n raise the maximum.
fn causal(
    phi_q: ArrayView2<'_, f32>,
    k: &Exponents,
    v: ArrayView2<'_, f32>,
    eps: f32,
    work: &mut Work,
) -> Array2<f32> {
    let (l, d_v) = (phi_q.ncols(), v.ncols());
    let (mut values, mut keys) = (Array2::zeros((l, d_v)), Array2::zeros((l, 1)));
    let mut plain = Array1::<f32>::zeros(d_v);
    let mut max = f32::NEG_INFINITY;
    let mut out = Array2::zeros((phi_q.nrows(), d_v));
    for (i, (query, mut row)) in phi_q.rows().into_iter().zip(out.rows_mut()).enumerate() {
        if i < k.norm.len() {
            let new = max.max(k.max(i));
            if new > max {
                let shrunk = (max - new).exp();
                values *= shrunk;
                keys *= shrunk;
                max = new;
            }
            let key = k.row(i, max, work).insert_axis(Axis(1));
            let value = v.slice(s![i..=i, ..]);
            work.count(Cost::product(l, 1, d_v));
            product_into(values.view_mut(), 1.0, key.view(), value, 1.0, Threads::One);
            keys += &key;
            plain += &v.row(i);
        }
        let seen = (i + 1).min(k.norm.len());
        let flat = eps * query.sum();
        let query = query.insert_axis(Axis(0));
        let weight = work.product(query, keys.view())[[0, 0]] + flat * seen as f32;
        work.count(Cost::product(1, 1, d_v) + Cost::divs(1));
        let sum = work.product(query, values.view()).row(0).to_owned() + &plain * flat;
        row.assign(&(sum / weight));
    }
    out
}

/// Rows in orthogonal blocks of `d_h`, each row with the length of a Gaussian vector: shape (l, `d_h`).
pub fn orthogonal(rng: &mut Rng, l: usize, d_h: usize) -> Array2<f32> {
    let mut w = Array2::zeros((l, d_h));
    for mut block in w.axis_chunks_iter_mut(Axis(0), d_h) {
        // Gram and Schmidt on Gaussian rows: a uniformly distributed rotation. A whole block is drawn for its part, so
        // that the first rows are the same at every l.
        let mut rows = normal(rng, d_h, d_h).mapv(f64::from);
        let lengths = normal(rng, d_h, d_h).mapv(|x| f64::from(x * x)).sum_axis(Axis(1)).mapv(f64::sqrt);
        for i in 0..block.nrows() {
            let (done, mut rest) = rows.view_mut().split_at(Axis(0), i);
            let mut row = rest.row_mut(0);
            for _ in 0..2 {
                // once more takes away what rounding left
                let along = done.dot(&row);
                row -= &done.t().dot(&along);
            }
            row /= row.dot(&row).sqrt();
            block.row_mut(i).assign(&row.mapv(|x| (x * lengths[i]) as f32));
        }
    }
    w
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Attention;
    use crate::rng::stream;

    #[test]
    fn blocks_are_orthogonal_with_gaussian_lengths() {
        let w = orthogonal(&mut stream(1, "performer"), 150, 64).mapv(f64::from);
        let gram = w.dot(&w.t());
        for ((i, j), x) in gram.indexed_iter() {
            assert!(i == j || i / 64 != j / 64 || x.abs() < 1e-4, "rows {i} and {j}: {x}");
        }
        let squares = gram.diag().to_owned() / 64.0;
        assert!((squares.sum() / 150.0 - 1.0).abs() < 0.06, "chi-square: 4 standard errors");
        assert!((squares.std(0.0) - (2.0_f64 / 64.0).sqrt()).abs() < 0.05, "lengths vary");
        let fewer = orthogonal(&mut stream(1, "performer"), 70, 64).mapv(f64::from);
        assert_eq!(fewer, w.slice(s![..70, ..]));
    }

    #[test]
    fn a_causal_row_is_the_whole_of_its_prefix() {
        let mut rng = stream(2, "performer");
        let [q, mut k, v] = [8, 8, 3].map(|d| normal(&mut rng, 20, d));
        // The maximum rises late, and by much.
        k.row_mut(12).map_inplace(|x| *x *= 6.0);
        let origin = Origin { seed: 3, label: "test", learned: None };
        let attention = Attention::build(&"performer:l=24".parse().unwrap(), &origin).unwrap();
        let found = attention.forward(&Input::new(q.view(), k.view(), Mask::Causal), v.view()).unwrap();
        for t in 0..20 {
            let prefix = Input::new(q.slice(s![t..=t, ..]), k.slice(s![..=t, ..]), Mask::Full);
            let whole = attention.forward(&prefix, v.slice(s![..=t, ..])).unwrap();
            let off = (&whole.row(0) - &found.row(t)).fold(0.0_f32, |far, x| far.max(x.abs()));
            assert!(off < 1e-5, "row {t}: {off}");
        }
    }

    #[test]
    fn eps_is_a_floor_under_the_error() {
        let mut rng = stream(4, "performer");
        let [q, k] = [40, 40].map(|rows| normal(&mut rng, rows, 16));
        let error = |l: usize, eps: &str, size: f32| {
            let [q, k] = [&q, &k].map(|x| x * size);
            let input = Input::new(q.view(), k.view(), Mask::Full);
            let exact = crate::attention::softmax::matrix(q.view(), k.view(), input.scale, Mask::Full);
            let origin = Origin { seed: 5, label: "test", learned: None };
            let spec = format!("performer:l={l},eps={eps}").parse().unwrap();
            let found = Attention::build(&spec, &origin).unwrap().matrix(&input).unwrap();
            ((found - &exact).mapv(|x| x * x).sum() / exact.mapv(|x| x * x).sum()).sqrt()
        };
        // Short vectors: more features, less error, whichever eps. Unit ones: with 1e-4 no further than the bias.
        let [few, many] = [128, 8192].map(|l| error(l, "1e-4", 0.5));
        assert!(many < 0.04 && 4.0 * many < few, "{few} with 128, {many} with 8192");
        let [large, small] = ["1e-4", "1e-6"].map(|eps| error(8192, eps, 1.0));
        assert!(large > 0.65 && small < 0.6, "{large} at 1e-4, {small} at 1e-6");
        assert!(error(512, "1e-4", 1.0) < large);
    }
}
