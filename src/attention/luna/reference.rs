//! Luna (Ma et al. 2021) as a stand-in for softmax on given heads: two nested attentions, pack and unpack.
//!
//! `A_p = softmax(p k^T / sqrt(d_h))` (l x m) packs the keys and values into l rows; `softmax(q (A_p k)^T / sqrt(d_h))`
//! (n x l) unpacks them. The matrix is the product of two row-stochastic factors: row-stochastic, of rank at most l.
//! As a layer Luna has projections of its own: [`crate::model`] has the authors' module.

use ndarray::{Array2, ArrayView2, s};

use crate::attention::kernel::fused::Fused;
use crate::attention::reference::pool::{kmeans, segment_means};
use crate::attention::reference::work::Work;
use crate::attention::{Input, Kind, Mechanism, Origin, Under};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::name::{Param, Params};
use crate::rng::{Rng, normal};

/// Its entry in the list.
pub(in crate::attention) const KIND: Kind = Kind {
    name: "luna",
    about: "nested attention: pack keys and values into l rows, unpack them for each query",
    equation: "softmax(q (A_p k)^T / sqrt(d_h)) A_p v with A_p = softmax(p k^T / sqrt(d_h))",
    paper: "Ma et al. 2021",
    takes: &[
        Param { name: "l", default: Some("16"), about: "rows of p; at most n are used" },
        Param {
            name: "p",
            default: Some("random"),
            about: "random (standard normal), segment (means of the queries), kmeans (of the queries), fitted",
        },
    ],
    full: Under::Honoured,
    causal: Under::Refused("luna-causal"),
    stochastic: true,
    terms: &[],
    by_default: true,
    fit: Some(&super::fit::FIT),
    build,
};

/// Where p comes from.
enum Pack {
    Random(Rng),
    Segment,
    Kmeans(Rng),
    Given(Array2<f32>),
}

struct Luna {
    l: usize,
    pack: Pack,
}

fn build(params: &Params<'_>, origin: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    let mut l = params.at_least("l", 1)?;
    let p: String = params.get("p")?;
    let mut given = |p: Array2<f32>| {
        l = p.nrows();
        Pack::Given(p)
    };
    let pack = match (p.as_str(), origin.found("p")) {
        ("random" | "segment" | "kmeans", Some(p)) => given(p),
        ("random", None) => Pack::Random(origin.stream("luna p")),
        ("segment", None) => Pack::Segment,
        ("kmeans", None) => Pack::Kmeans(origin.stream("luna kmeans")),
        ("fitted", _) => given(origin.learned("luna", "p")?),
        _ => return Err(params.refuse("p", &p, "random, segment, kmeans or fitted")),
    };
    Ok(Box::new(Luna { l, pack }))
}

impl Luna {
    /// p, shape (min(l, n), `d_h`): as the authors' dynamic projection, no more rows than queries.
    fn p(&self, q: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        let (n, d_h) = q.dim();
        Ok(match &self.pack {
            Pack::Random(rng) => normal(&mut rng.clone(), self.l.min(n), d_h),
            Pack::Segment => segment_means(q, self.l),
            Pack::Kmeans(rng) => kmeans(q, self.l, &mut rng.clone()),
            Pack::Given(p) if p.ncols() == d_h => p.slice(s![..self.l.min(n), ..]).to_owned(),
            Pack::Given(p) => {
                let what = "fitted p of attention 'luna'".into();
                let expected = format!("(l, {d_h}), the width of the queries");
                return Err(Error::Shape { what, found: p.shape().to_vec(), expected });
            }
        })
    }

    /// Both factors: unpack (n, l) and pack (l, m).
    fn factors(&self, input: &Input<'_>, work: &mut Work) -> Result<(Array2<f32>, Array2<f32>)> {
        let Input { q, k, scale, .. } = *input;
        let logits = work.scaled(self.p(q)?.view(), k.t(), scale);
        let pack = work.softmax(logits);
        let packed_keys = work.product(pack.view(), k);
        let logits = work.scaled(q, packed_keys.t(), scale);
        Ok((work.softmax(logits), pack))
    }
}

impl Mechanism for Luna {
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let (unpack, pack) = self.factors(input, work)?;
        let packed = work.product(pack.view(), v);
        Ok(work.product(unpack.view(), packed.view()))
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let mut work = Work::default();
        let (unpack, pack) = self.factors(input, &mut work)?;
        Ok(work.product(unpack.view(), pack.view()))
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let Shape { n, m, d_h, d_v, .. } = *shape;
        let l = self.l.min(n);
        let pack = Cost::product(l, d_h, m) + Cost::softmax(l, l * m) + Cost::product(l, m, d_h + d_v);
        let unpack = Cost::product(n, d_h, l) + Cost::softmax(n, n * l) + Cost::product(n, l, d_v);
        pack + unpack
    }

    /// The packed rows, as keys and as values.
    fn cache_reads(&self, shape: &Shape) -> Option<u64> {
        Some(shape.n as u64 * self.l.min(shape.n) as u64 * (shape.d_h + shape.d_v) as u64)
    }

    fn rank(&self, shape: &Shape) -> Option<usize> {
        Some(self.l.min(shape.n))
    }

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::new(KIND.name, super::fused::Luna { l: self.l }))
    }
}
