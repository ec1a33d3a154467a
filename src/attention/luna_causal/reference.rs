//! The declaration and the reference implementation.

use ndarray::{Array2, ArrayView2, s};

use super::decay::Decay;
use super::fused;
use super::packing::Packing;
use super::sequential::{sequential, unpacking};
use super::weight::Weight;
use crate::attention::kernel::fused::Fused;
use crate::attention::reference::work::Work;
use crate::attention::{Input, Kind, Mask, Mechanism, Origin, Under};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product};
use crate::name::{Param, Params};
use crate::rng::{Rng, normal};

/// Its entry in the list.
pub(in crate::attention) const KIND: Kind = Kind {
    name: "luna-causal",
    about: "nested attention for left-to-right models: pack by running means of weighted keys and values",
    equation: "out_t = A_t mean_{j<=t} W_j^T v_j, A_t = softmax(q_t mean_{j<=t} k_j^T W_j / sqrt(d_h)), \
               W_j = w(k_j p^T / sqrt(d_h))",
    paper: "Ma et al. 2021",
    takes: &[
        Param { name: "l", default: Some("16"), about: "rows of p, used at every length" },
        Packing::WEIGHT,
        Param {
            name: "decay",
            default: Some("1"),
            about: "of the average over the tokens so far, at each token: 1 (their mean: the authors' form), or less: a \
                    variant of ours",
        },
        Param { name: "p", default: Some("random"), about: "random (standard normal), fitted" },
    ],
    full: Under::Refused("luna"),
    causal: Under::Honoured,
    stochastic: false,
    terms: &[],
    by_default: true,
    fit: None,
    build,
};

/// The largest number of rows of p that are drawn.
const MAX_ROWS: usize = 1 << 20;

/// Where p comes from.
enum Pack {
    Random(Box<Rng>),
    Given(Array2<f32>),
}

struct LunaCausal {
    l: usize,
    weight: Weight,
    decay: Decay,
    pack: Pack,
}

fn build(params: &Params<'_>, origin: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    let l = params.at_least("l", 1)?;
    if l > MAX_ROWS {
        return Err(params.refuse("l", &l, "1 to 2^20"));
    }
    let weight = Weight::of(params)?;
    let typed: String = params.get("decay")?;
    if typed == "learned" {
        let accepted =
            "a number above 0 and at most 1: luna train learns decays, and a run of it has its own";
        return Err(params.refuse("decay", &typed, accepted));
    }
    let decay: f64 = params.get("decay")?;
    if !(decay > 0.0 && decay <= 1.0) {
        return Err(params.refuse("decay", &decay, "a number above 0 and at most 1"));
    }
    let decay = Decay::of(decay);
    let p: String = params.get("p")?;
    let (l, pack) = match p.as_str() {
        "random" => match origin.found("p") {
            Some(p) => (p.nrows(), Pack::Given(p)),
            None => (l, Pack::Random(Box::new(origin.stream("luna-causal p")))),
        },
        "fitted" => {
            let p = origin.learned("luna-causal", "p")?;
            (p.nrows(), Pack::Given(p))
        }
        _ => return Err(params.refuse("p", &p, "random or fitted")),
    };
    Ok(Box::new(LunaCausal { l, weight, decay, pack }))
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
        Ok(sequential(q.view(), k, w.view(), v, self.decay, work))
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let Input { q, k, scale, .. } = *input;
        let w = self.weights(k, scale, &mut Work::default())?;
        let unpack = unpacking((q.to_owned() * scale).view(), k, w.view(), self.decay);
        let mut a = product(unpack.view(), w.t(), Threads::One);
        for (i, row) in a.rows_mut().into_iter().enumerate() {
            self.decay.average(row, Mask::Causal.visible(i, k.nrows()));
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

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::new(KIND.name, fused::LunaCausal { l: self.l, weight: self.weight, decay: self.decay }))
    }
}
