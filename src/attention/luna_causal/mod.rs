//! Causal Luna (Ma et al. 2021, section 3.3) on given heads: pack by running means, unpack by softmax over the l rows.
//!
//! ```text
//! W_t      = w(k_t p^T / sqrt(d_h))                          in R^l, w = softplus or elu + 1
//! logits_t = q_t / sqrt(d_h) . [ (1/t) sum_{j<=t} k_j^T W_j ]   in R^l
//! out_t    = softmax(logits_t) . [ (1/t) sum_{j<=t} W_j^T v_j ]
//! ```
//! There is no softmax over time and nothing divides by the sum of the weights, only by t: rows of the matrix do not
//! sum to 1. This is the core of the authors' `LunarCausalAttention` (fairseq-apollo, `luna_attention.py`) without its
//! projections; there the keys of W have a projection of their own, so that `w` is an argument of every form here.
//!
//! Three forms that give the same numbers: [`sequential()`] (a token at a time, the reference), [`chunked()`] (a block of
//! tokens at a time, by matrix products), and [`State`] (one token now, the next one when it is known). None of them
//! holds an array of n x m or n x `d_h` x l; the authors' parallel kernel holds the latter.

mod chunked;
mod sequential;
mod state;
mod weight;

use ndarray::{Array2, ArrayView2, s};

pub use chunked::chunked;
pub use sequential::{sequential, unpacking};
pub use state::State;
pub use weight::Weight;

use super::{Input, Kind, Mask, Mechanism, Origin, Under, Work};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product};
use crate::name::{Param, Params};
use crate::rng::{Rng, normal};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "luna-causal",
    about: "nested attention for left-to-right models: pack by running means of weighted keys and values",
    equation: "out_t = A_t mean_{j<=t} W_j^T v_j, A_t = softmax(q_t mean_{j<=t} k_j^T W_j / sqrt(d_h)), \
               W_j = w(k_j p^T / sqrt(d_h))",
    paper: "Ma et al. 2021",
    takes: &[
        Param { name: "l", default: Some("16"), about: "rows of p, used at every length" },
        Param {
            name: "weight",
            default: Some("softplus"),
            about: "what weighs the rows of p: softplus (log2(1 + 2^x)), elu (elu + 1)",
        },
        Param { name: "p", default: Some("random"), about: "random (standard normal), fitted" },
    ],
    full: Under::Refused("luna"),
    causal: Under::Honoured,
    stochastic: false,
    build,
};

/// The largest number of rows of p that are drawn.
const MOST: usize = 1 << 20;

/// Where p comes from.
enum Pack {
    Random(Box<Rng>),
    Given(Array2<f32>),
}

struct LunaCausal {
    l: usize,
    weight: Weight,
    pack: Pack,
}

fn build(params: &Params<'_>, origin: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    let l = params.at_least("l", 1)?;
    if l > MOST {
        return Err(params.refuse("l", &l, "1 to 2^20"));
    }
    let weight = Weight::of(params)?;
    let p: String = params.get("p")?;
    let (l, pack) = match p.as_str() {
        "random" => (l, Pack::Random(Box::new(origin.stream("luna-causal p")))),
        "fitted" => {
            let p = origin.learned("luna-causal", "p")?;
            (p.nrows(), Pack::Given(p))
        }
        _ => return Err(params.refuse("p", &p, "random or fitted")),
    };
    Ok(Box::new(LunaCausal { l, weight, pack }))
}

impl LunaCausal {
    /// p, shape (l, `d_h`): not cut at short lengths, or a prefix would be answered otherwise than the whole.
    fn p(&self, d_h: usize) -> Result<Array2<f32>> {
        match &self.pack {
            Pack::Random(rng) => Ok(normal(&mut Rng::clone(rng), self.l, d_h)),
            Pack::Given(p) if p.ncols() == d_h => Ok(p.clone()),
            Pack::Given(p) => Err(Error::Shape {
                what: "fitted p of attention 'luna-causal'".into(),
                found: p.shape().to_vec(),
                expected: format!("(l, {d_h}), the width of the queries"),
            }),
        }
    }

    /// The weights of keys, shape (m, l).
    fn weights(&self, k: ArrayView2<'_, f32>, scale: f32, work: &mut Work) -> Result<Array2<f32>> {
        let logits = work.scaled(k, self.p(k.ncols())?.t(), scale);
        work.count(Cost::exps(logits.len()));
        Ok(logits.mapv_into(|x| self.weight.apply(x)))
    }
}

impl Mechanism for LunaCausal {
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let seen = Mask::Causal.visible(input.q.nrows() - 1, input.k.nrows());
        let (k, v) = (input.k.slice(s![..seen, ..]), v.slice(s![..seen, ..]));
        let w = self.weights(k, input.scale, work)?;
        let q = &input.q * input.scale;
        Ok(sequential::counted(q.view(), k, w.view(), v, work))
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let Input { q, k, scale, .. } = *input;
        let w = self.weights(k, scale, &mut Work::default())?;
        let unpack = sequential::unpacking((q.to_owned() * scale).view(), k, w.view());
        let mut a = product(unpack.view(), w.t(), Threads::One);
        for (i, mut row) in a.rows_mut().into_iter().enumerate() {
            let seen = Mask::Causal.visible(i, k.nrows());
            row.slice_mut(s![seen..]).fill(0.0);
            row /= seen as f32;
        }
        Ok(a)
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let Shape { n, m, d_h, d_v, .. } = *shape;
        let (l, seen) = (self.l, n.min(m));
        let weights = Cost::product(seen, d_h, l) + Cost::exps(seen * l);
        let pack = Cost::product(seen, l, d_h + d_v);
        let unpack = Cost::product(n, d_h, l) + Cost::softmax(n, n * l) + Cost::product(n, l, d_v);
        weights + pack + unpack + Cost::divs(n)
    }

    fn rank(&self, _: &Shape) -> Option<usize> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use proptest::prelude::*;

    fn furthest(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
        (a - b).fold(0.0_f32, |far, x| if x.abs() <= far { far } else { x.abs() })
    }

    /// By the equation as it stands, in f64.
    fn by_hand(q: &Array2<f32>, k: &Array2<f32>, w: &Array2<f32>, v: &Array2<f32>) -> Array2<f32> {
        let [q, k, w, v] = [q, k, w, v].map(|x| x.mapv(f64::from));
        let mut out = Array2::zeros((q.nrows(), v.ncols()));
        for t in 0..q.nrows() {
            let w = w.slice(s![..=t, ..]);
            let logits = q.row(t).dot(&k.slice(s![..=t, ..]).t().dot(&w)) / (t + 1) as f64;
            let top = logits.fold(f64::NEG_INFINITY, |top, x| top.max(*x));
            let exps = logits.mapv(|x| (x - top).exp());
            let value = exps.dot(&w.t().dot(&v.slice(s![..=t, ..]))) / exps.sum() / (t + 1) as f64;
            out.row_mut(t).assign(&value.mapv(|x| x as f32));
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_three_forms_agree(
            seed in 0..1000_u64, n in 1..70_usize, d_h in 1..9_usize, l in 1..20_usize, d_v in 1..7_usize,
        ) {
            let mut rng = stream(seed, "luna causal");
            let [q, k, v] = [d_h, d_h, d_v].map(|d| normal(&mut rng, n, d));
            for weight in [Weight::Softplus, Weight::Elu] {
                let w = normal(&mut rng, n, l).mapv(|x| weight.apply(x));
                let expected = by_hand(&q, &k, &w, &v);
                let whole = sequential(q.view(), k.view(), w.view(), v.view());
                prop_assert!(furthest(&whole, &expected) < 1e-5);
                for chunk in [1, 3, 16, n, n + 5] {
                    let found = chunked(q.view(), k.view(), w.view(), v.view(), chunk);
                    prop_assert!(furthest(&found, &expected) < 1e-5, "chunks of {chunk}");
                }
                let mut state = State::new(d_h, l, d_v);
                for t in 0..n {
                    let row = state.push(q.row(t), k.row(t), w.row(t), v.row(t));
                    prop_assert_eq!(row, whole.row(t));
                }
            }
        }
    }

    #[test]
    fn weights_are_torch_s() {
        for (x, softplus, elu) in [
            (0.0, 1.0, 1.0),
            (1.0, 3.0_f32.log2(), 2.0),
            (-3.0, 1.125_f32.log2(), 0.049_787_067),
            (28.0, 28.0, 29.0),
            (1e4, 1e4, 10_001.0),
            (-1e4, 0.0, 0.0),
        ] {
            assert!((Weight::Softplus.apply(x) - softplus).abs() <= 2e-7 * softplus, "softplus of {x}");
            assert!((Weight::Elu.apply(x) - elu).abs() <= 2e-7 * elu, "elu of {x}");
        }
    }

    #[test]
    fn a_chunk_shows_no_later_token() {
        let mut rng = stream(4, "luna causal");
        let [q, mut k, mut w, mut v] = [5, 5, 7, 3].map(|d| normal(&mut rng, 20, d));
        let before = chunked(q.view(), k.view(), w.view(), v.view(), 8);
        for x in [&mut k, &mut w, &mut v] {
            x.row_mut(13).fill(9.0);
        }
        let after = chunked(q.view(), k.view(), w.view(), v.view(), 8);
        assert_eq!(before.slice(s![..13, ..]), after.slice(s![..13, ..]));
        assert_ne!(before.slice(s![13.., ..]), after.slice(s![13.., ..]));
    }
}
