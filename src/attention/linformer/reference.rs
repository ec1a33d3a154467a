//! Linformer (Wang et al. 2020): keys and values projected along the length, from m rows to l.
//!
//! `softmax(q (E k)^T / sqrt(d_h)) F v` (eq. 7), with E and F of shape (l, m). The paper's proofs draw E from
//! N(0, 1/l); its models learn it, for one maximum length. The authors' code multiplies the layer's input by E before
//! the projections of keys and values, which is the same up to biases, and uses the first m columns of E at shorter
//! lengths: so does this. Rows of the matrix sum to what rows of F sum to, which is not 1 in general.

use std::sync::OnceLock;

use ndarray::{Array2, ArrayView2, CowArray, Ix2, s};

use crate::attention::kernel::fused::Fused;
use crate::attention::reference::pool::{segment_means, segments};
use crate::attention::reference::work::Work;
use crate::attention::{Input, Kind, Mechanism, Origin, Under, softmax};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::linalg::engine::thin_svd;
use crate::linalg::gemm::{Threads, product};
use crate::name::{Param, Params};
use crate::rng::{Rng, normal};

/// Its entry in the list.
pub(in crate::attention) const KIND: Kind = Kind {
    name: "linformer",
    about: "keys and values projected from m rows to l by E and F",
    equation: "softmax(q (E k)^T / sqrt(d_h)) F v",
    paper: "Wang et al. 2020",
    takes: &[
        Param { name: "l", default: Some("64"), about: "rows of E and F" },
        Param {
            name: "e",
            default: Some("random"),
            about: "random (N(0, 1/l)), segment (means of l segments), svd (right singular vectors of softmax: an \
                    oracle), fitted",
        },
        Param { name: "shared", default: Some("true"), about: "F = E; else F is drawn or fitted apart" },
        Param {
            name: "max",
            default: Some("512"),
            about: "the longest context, for which random E is drawn",
        },
    ],
    full: Under::Honoured,
    causal: Under::Refused(""),
    stochastic: false,
    terms: &[],
    by_default: true,
    fit: Some(&super::fit::FIT),
    build,
};

/// The largest number of entries that a drawn E may have: 1 GiB of them.
const MAX_ENTRIES: usize = 1 << 28;

/// E and F, shape (l, max).
enum Projection {
    /// Drawn when they are first needed.
    Drawn {
        max: usize,
        rngs: (Box<Rng>, Option<Box<Rng>>),
        pair: OnceLock<Pair>,
    },
    Fitted(Pair),
    Segment,
    /// `E = F = V_l^T` of the exact matrix.
    Svd,
}

struct Pair {
    e: Array2<f32>,
    /// Not there where F = E.
    f: Option<Array2<f32>>,
}

struct Linformer {
    l: usize,
    shared: bool,
    projection: Projection,
}

fn build(params: &Params<'_>, origin: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    let l = params.at_least("l", 1_usize)?;
    let max = params.at_least("max", 1_usize)?;
    let shared: bool = params.get("shared")?;
    let e: String = params.get("e")?;
    if !shared && matches!(e.as_str(), "segment" | "svd") {
        return Err(params.refuse("shared", &shared, &format!("true (e={e} has one E for keys and values)")));
    }
    let given = |e: Array2<f32>, f: Option<Array2<f32>>| {
        if let Some(f) = f.as_ref().filter(|f| f.dim() != e.dim()) {
            return Err(Error::Shape {
                what: "fitted F of attention 'linformer'".into(),
                found: f.shape().to_vec(),
                expected: format!("{:?}, the shape of E", e.shape()),
            });
        }
        Ok((e.nrows(), Projection::Fitted(Pair { e, f })))
    };
    let (l, projection) = match e.as_str() {
        "random" if l.checked_mul(max).is_none_or(|entries| entries > MAX_ENTRIES) => {
            let (name, value) = if l > max { ("l", l) } else { ("max", max) };
            return Err(params.refuse(name, &value, "l times max of 2^28 or less"));
        }
        "random" => {
            if let Some(e) = origin.found("e") {
                given(e, if shared { None } else { Some(origin.learned("linformer", "f")?) })?
            } else {
                let rng = |array: &str| Box::new(origin.stream(&format!("linformer {array} {l}")));
                let rngs = (rng("e"), (!shared).then(|| rng("f")));
                (l, Projection::Drawn { max, rngs, pair: OnceLock::new() })
            }
        }
        "segment" => (l, Projection::Segment),
        "svd" => (l, Projection::Svd),
        "fitted" => {
            let f = if shared { None } else { Some(origin.learned("linformer", "f")?) };
            given(origin.learned("linformer", "e")?, f)?
        }
        _ => return Err(params.refuse("e", &e, "random, segment, svd or fitted")),
    };
    Ok(Box::new(Linformer { l, shared, projection }))
}

impl Pair {
    /// The first m columns of E and F.
    fn first(&self, m: usize) -> [ArrayView2<'_, f32>; 2] {
        [&self.e, self.f.as_ref().unwrap_or(&self.e)].map(|x| x.slice(s![.., ..m]))
    }
}

impl Linformer {
    /// Refuses contexts that are longer than E.
    fn check(&self, m: usize) -> Result<()> {
        let Some(max) = self.longest().filter(|max| m > *max) else { return Ok(()) };
        let instead = match &self.projection {
            Projection::Drawn { .. } => format!("; give max={m} or more"),
            _ => "; shorten the window or fit on longer ones".into(),
        };
        let accepted = format!("E has parameter 'max' = {max} columns{instead}");
        Err(Error::Tokens { what: "context of attention 'linformer'".into(), found: m, accepted })
    }

    /// E and F, shape (l, m); none where rows are pooled.
    fn dense(&self, input: &Input<'_>) -> Result<Option<[CowArray<'_, f32, Ix2>; 2]>> {
        let m = input.k.nrows();
        self.check(m)?;
        Ok(match &self.projection {
            Projection::Drawn { max, rngs: (e, f), pair } => {
                let draw = |rng: &Rng| drawn(&mut rng.clone(), self.l, *max);
                let pair = pair.get_or_init(|| Pair { e: draw(e), f: f.as_ref().map(|f| draw(f)) });
                Some(pair.first(m).map(CowArray::from))
            }
            Projection::Fitted(pair) => Some(pair.first(m).map(CowArray::from)),
            Projection::Segment => None,
            Projection::Svd => {
                let e = leading(input, self.l)?;
                Some([e.clone(), e].map(CowArray::from))
            }
        })
    }

    /// Weights of each query over the projected keys, shape (n, l).
    fn weights(&self, input: &Input<'_>, e: Option<ArrayView2<'_, f32>>, work: &mut Work) -> Array2<f32> {
        let keys = match e {
            Some(e) => work.product(e, input.k),
            None => segment_means(input.k, self.l),
        };
        let logits = work.scaled(input.q, keys.t(), input.scale);
        work.softmax(logits)
    }
}

/// The l leading right singular vectors of the exact matrix as rows, shape (min(l, n, m), m).
fn leading(input: &Input<'_>, l: usize) -> Result<Array2<f32>> {
    let exact = softmax::matrix_f64(input.q, input.k, f64::from(input.scale), input.mask);
    let (_, _, vt) = thin_svd(exact.view())?;
    Ok(vt.slice(s![..l.min(vt.nrows()), ..]).mapv(|x| x as f32))
}

impl Mechanism for Linformer {
    /// Pooling over segments is additions, which are not counted; nor is finding the singular vectors of an oracle.
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let dense = self.dense(input)?;
        let [e, f] = [0, 1].map(|which| dense.as_ref().map(|both| both[which].view()));
        let weights = self.weights(input, e, work);
        let values = match f {
            Some(f) => work.product(f, v),
            None => segment_means(v, self.l),
        };
        Ok(work.product(weights.view(), values.view()))
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let dense = self.dense(input)?;
        let weights = self.weights(input, dense.as_ref().map(|[e, _]| e.view()), &mut Work::default());
        let f = dense.map_or_else(|| means(input.k.nrows(), self.l).into(), |[_, f]| f);
        Ok(product(weights.view(), f.view(), Threads::One))
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let Shape { n, m, d_h, d_v, .. } = *shape;
        let (l, project) = match &self.projection {
            Projection::Drawn { .. } | Projection::Fitted(_) => (self.l, Cost::product(self.l, m, d_h + d_v)),
            Projection::Segment => (self.l.min(m), Cost::default()),
            Projection::Svd => {
                let l = self.l.min(n).min(m);
                (l, Cost::product(l, m, d_h + d_v))
            }
        };
        project + Cost::product(n, d_h, l) + Cost::softmax(n, n * l) + Cost::product(n, l, d_v)
    }

    /// The projected keys and values.
    fn cache_reads(&self, shape: &Shape) -> Option<u64> {
        Some(shape.n as u64 * self.l.min(shape.m) as u64 * (shape.d_h + shape.d_v) as u64)
    }

    fn rank(&self, shape: &Shape) -> Option<usize> {
        Some(self.l.min(shape.m))
    }

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }

    fn longest(&self) -> Option<usize> {
        match &self.projection {
            Projection::Drawn { max, .. } => Some(*max),
            Projection::Fitted(pair) => Some(pair.e.ncols()),
            Projection::Segment | Projection::Svd => None,
        }
    }

    /// E that pools segments, or that a decomposition finds, is no product with a matrix.
    fn fused(&self) -> Option<Fused> {
        let matrix = matches!(self.projection, Projection::Drawn { .. } | Projection::Fitted(_));
        matrix.then(|| Fused::new(KIND.name, super::fused::Linformer { l: self.l, shared: self.shared }))
    }
}

/// A projection (l, max) of the Johnson-Lindenstrauss kind: N(0, 1/l), drawn column by column, so that another max
/// changes no column that both have.
fn drawn(rng: &mut Rng, l: usize, max: usize) -> Array2<f32> {
    normal(rng, max, l).reversed_axes() / (l as f32).sqrt()
}

/// The matrix that takes m rows to the means of their segments, shape (min(l, m), m).
fn means(m: usize, l: usize) -> Array2<f32> {
    let segments = segments(m, l);
    let mut e = Array2::zeros((segments.len(), m));
    for (mut row, segment) in e.rows_mut().into_iter().zip(segments) {
        let share = 1.0 / segment.len() as f32;
        row.slice_mut(s![segment]).fill(share);
    }
    e
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Attention, Learned, Mask};
    use crate::rng::stream;

    fn attention(spec: &str, learned: &Learned) -> Result<Attention> {
        let origin = Origin { seed: 1, label: "layer 0 head 0", learned: Some(learned) };
        Attention::build(&spec.parse().unwrap(), &origin)
    }

    #[test]
    fn every_projection_has_the_matrix_and_the_cost_of_its_run() {
        let learned = Learned(
            [("e", 5), ("f", 6)].map(|(piece, seed)| (piece, normal(&mut stream(seed, "e"), 9, 70))).into(),
        );
        for (n, m) in [(1, 1), (7, 5), (5, 7), (33, 64)] {
            let mut rng = stream(2, "linformer");
            let [q, k, v] = [(n, 8), (m, 8), (m, 3)].map(|(rows, columns)| normal(&mut rng, rows, columns));
            for e in ["random", "random,shared=false", "segment", "svd", "fitted", "fitted,shared=false"] {
                let attention = attention(&format!("linformer:l=9,e={e}"), &learned).unwrap();
                let input = Input::new(q.view(), k.view(), Mask::Full);
                let (out, cost) = attention.counted(&input, v.view()).unwrap();
                assert_eq!(cost, attention.cost(&input.shape(3)), "{e} {n} x {m}");
                let off = attention.matrix(&input).unwrap().dot(&v) - out;
                assert!(off.iter().all(|x| x.abs() < 1e-5), "{e} {n} x {m}");
            }
        }
    }

    #[test]
    fn columns_do_not_depend_on_max_and_lengths_beyond_it_are_refused() {
        let mut rng = stream(3, "linformer");
        let [q, k] = [4, 11].map(|rows| normal(&mut rng, rows, 8));
        let input = Input::new(q.view(), k.view(), Mask::Full);
        let nothing = Learned::default();
        let at =
            |max: usize| attention(&format!("linformer:l=4,max={max}"), &nothing).unwrap().matrix(&input);
        assert_eq!(at(11).unwrap(), at(512).unwrap());
        assert_eq!(
            at(10).unwrap_err().to_string(),
            "context of attention 'linformer': 11 tokens; E has parameter 'max' = 10 columns; give max=11 or more"
        );
        assert!(attention("linformer:max=99999999999999999", &nothing).is_err());
        assert!(attention("linformer:e=svd,shared=false", &nothing).is_err());
    }

    #[test]
    fn drawn_entries_have_variance_1_over_l() {
        let e = drawn(&mut stream(4, "e"), 64, 512);
        assert_eq!(e.dim(), (64, 512));
        assert!((e.std(0.0) * 8.0 - 1.0).abs() < 0.016, "4 standard errors");
    }
}
