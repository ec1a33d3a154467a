//! Layers in f64 by the papers' equations: projections, attention, norms behind blocks, feed-forward network.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayD, ArrayView2, Axis, Ix1, Ix2, concatenate, s};
use statrs::function::erf::erf;

use crate::attention::luna_causal::Decay;
use crate::attention::{ExactHead, Fused, Mask, Maxima, fused, luna_causal};
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product};
use crate::network::{EncoderConfig, Mechanism};

/// What is added to the variance of a norm.
const EPS: f64 = 1e-5;

fn dot(a: &Array2<f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    product(a.view(), b, Threads::All)
}

/// The tensors of a stack, vectors as one row.
#[derive(Clone)]
pub(super) struct Tensors {
    pub(super) names: Vec<String>,
    pub(super) arrays: Vec<Array2<f64>>,
}

impl Tensors {
    pub(super) fn of(tensors: &BTreeMap<String, ArrayD<f32>>) -> Result<Self> {
        let wide = |(name, x): (&String, &ArrayD<f32>)| {
            let x = x.mapv(f64::from);
            let rows = match x.ndim() {
                1 => x.into_dimensionality::<Ix1>().map(|x| x.insert_axis(Axis(0))),
                _ => x.into_dimensionality::<Ix2>(),
            };
            rows.map_err(|error| Error::malformed(name, error, "a vector or a matrix"))
        };
        Ok(Self {
            names: tensors.keys().cloned().collect(),
            arrays: tensors.iter().map(wide).collect::<Result<_>>()?,
        })
    }

    fn get(&self, name: &str) -> &Array2<f64> {
        let at = self.names.iter().position(|other| other == name);
        &self.arrays[at.unwrap_or_else(|| panic!("tensor '{name}' is not one of {:?}", self.names))]
    }
}

/// What the stack makes of x, sequences of n rows one behind the other, and of P where its layers change it (that of the
/// last sequence).
pub(super) fn forward(
    config: &EncoderConfig,
    tensors: &Tensors,
    x: &Array2<f64>,
    n: usize,
    maxima: &mut Maxima,
) -> (Array2<f64>, Option<Array2<f64>>) {
    let mut out = x.clone();
    let mut last = None;
    for (x, mut to) in x.axis_chunks_iter(Axis(0), n).zip(out.axis_chunks_iter_mut(Axis(0), n)) {
        let mut x = x.to_owned();
        let mut p = match config.mechanism {
            Mechanism::Luna { l, .. } => {
                Some(tensors.get("projected_embeddings").slice(s![..l.min(n), ..]).to_owned())
            }
            Mechanism::LunaCausal { .. } => Some(tensors.get("projected_embeddings").clone()),
            _ => None,
        };
        for at in 0..config.layers {
            let layer = Layer { config, tensors, name: format!("layers.{at}.") };
            x = layer.forward(&x, &mut p, maxima);
        }
        to.assign(&x);
        last = p.filter(|_| matches!(config.mechanism, Mechanism::Luna { .. }));
    }
    (out, last)
}

struct Layer<'a> {
    config: &'a EncoderConfig,
    tensors: &'a Tensors,
    name: String,
}

impl Layer<'_> {
    fn get(&self, name: &str) -> &Array2<f64> {
        self.tensors.get(&format!("{}{name}", self.name))
    }

    /// `x W^T + b`.
    fn linear(&self, name: &str, x: &Array2<f64>) -> Array2<f64> {
        dot(x, self.get(&format!("{name}.weight")).t()) + self.get(&format!("{name}.bias"))
    }

    /// A projection of the attention block.
    fn project(&self, name: &str, x: &Array2<f64>) -> Array2<f64> {
        self.linear(&format!("self_attn.{name}"), x)
    }

    fn norm(&self, name: &str, x: &Array2<f64>) -> Array2<f64> {
        let d = x.ncols() as f64;
        let centred = x - &(x.sum_axis(Axis(1)) / d).insert_axis(Axis(1));
        let variance = centred.mapv(|x| x * x).sum_axis(Axis(1)).insert_axis(Axis(1)) / d;
        centred / variance.mapv(|x| (x + EPS).sqrt()) * self.get(&format!("{name}.weight"))
            + self.get(&format!("{name}.bias"))
    }

    fn forward(&self, x: &Array2<f64>, p: &mut Option<Array2<f64>>, maxima: &mut Maxima) -> Array2<f64> {
        let read = match (self.config.mechanism, &mut *p) {
            (Mechanism::Luna { tied, .. }, Some(p)) => self.luna(x, p, tied),
            (Mechanism::LunaCausal { tied, packing, .. }, Some(p)) => {
                let scale = self.scale();
                let (packs, pack_keys) = (self.project("pq_proj", p), self.project("pc_proj", x));
                let (q, [k, v]) =
                    (self.project("q_proj", x) * scale, self.pair(x, tied, ["c_proj", "k_proj", "v_proj"]));
                let mut decays = match packing.average.fixed() {
                    Some(decay) => vec![decay; self.config.heads],
                    None => self.get("self_attn.decay").iter().map(|x| Decay::of_logit(*x)).collect(),
                }
                .into_iter();
                self.heads(|of| {
                    let w = dot(&of(&pack_keys), of(&packs).t()) * scale;
                    let w = w.mapv(|x| packing.weight.exact(x));
                    let decay = decays.next().unwrap_or_default();
                    luna_causal::exact(&of(&q), &of(&k), &w, &of(&v), decay)
                })
            }
            (mechanism, _) => {
                let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|name| self.project(name, x));
                let (form, arrays) = self.form(mechanism);
                let (scale, mask) = (self.scale(), self.config.mask());
                self.heads(|of| {
                    let head = ExactHead { q: of(&q), k: of(&k), v: of(&v), scale, mask };
                    form.exact(&head, &arrays, maxima)
                })
            }
        };
        let x = self.norm("self_attn_layer_norm", &(x + &self.project("out_proj", &read)));
        let inner = self.linear("fc1", &x).mapv(|x| 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)));
        self.norm("final_layer_norm", &(&x + &self.linear("fc2", &inner)))
    }

    /// Pack and unpack; P for the next layer is written.
    fn luna(&self, x: &Array2<f64>, p: &mut Array2<f64>, tied: bool) -> Array2<f64> {
        let scale = self.scale();
        let packs = self.project("pq_proj", p);
        let [k, v] = self.pair(x, tied, ["pc_proj", "pk_proj", "pv_proj"]);
        let packed = self.heads(|of| softmax(of(&packs), of(&k), of(&v), scale));
        let q = self.project("q_proj", x);
        let [k, v] = self.pair(&packed, tied, ["c_proj", "k_proj", "v_proj"]);
        *p = self.norm("self_atten_proj_layer_norm", &(&*p + &packed));
        self.heads(|of| softmax(of(&q), of(&k), of(&v), scale))
    }

    /// Keys and values: one projection for both where they are tied.
    fn pair(&self, x: &Array2<f64>, tied: bool, [both, keys, values]: [&str; 3]) -> [Array2<f64>; 2] {
        if tied { [both, both] } else { [keys, values] }.map(|name| self.project(name, x))
    }

    fn form(&self, mechanism: Mechanism) -> (Fused, Vec<(&'static str, Array2<f64>)>) {
        let form = fused(mechanism.core(), mechanism.core_l()).expect("every layer's mechanism has one");
        let own = |name: &str| self.get(&format!("self_attn.{name}")).clone();
        let arrays = match mechanism {
            Mechanism::Linformer { .. } => vec![("e", own("compress.weight"))],
            Mechanism::Performer { .. } => vec![("features", own("features"))],
            _ => Vec::new(),
        };
        (form, arrays)
    }

    /// What each head reads, side by side; `read` is given what takes the columns of its head.
    fn heads(
        &self,
        mut read: impl FnMut(&dyn Fn(&Array2<f64>) -> Array2<f64>) -> Array2<f64>,
    ) -> Array2<f64> {
        let d_h = self.config.head_width();
        let all: Vec<Array2<f64>> = (0..self.config.heads)
            .map(|head| read(&|x: &Array2<f64>| x.slice(s![.., head * d_h..(head + 1) * d_h]).to_owned()))
            .collect();
        let views: Vec<_> = all.iter().map(|x| x.view()).collect();
        concatenate(Axis(1), &views).expect("heads of as many rows")
    }

    fn scale(&self) -> f64 {
        f64::from((1.0 / (self.config.head_width() as f64).sqrt()) as f32)
    }
}

/// Softmax attention of one head that sees all keys.
fn softmax(q: Array2<f64>, k: Array2<f64>, v: Array2<f64>, scale: f64) -> Array2<f64> {
    let form = fused("softmax", None).expect("exact attention has one");
    form.exact(&ExactHead { q, k, v, scale, mask: Mask::Full }, &[], &mut Maxima::default())
}
