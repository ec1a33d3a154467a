//! No speed without agreement: before a form is timed, the code that will be timed runs on a small input and is held
//! against a reference implementation.
//!
//! | unit | pass | what runs | held against |
//! |---|---|---|---|
//! | core | forward | the fused kernel, or n x n matrices | [`crate::attention::Attention`], head by head |
//! | core | train | forward with saved activations, and backward | the same for the output; differences of its f64 implementation for every gradient |
//! | layer, encoder | forward | the layers of [`crate::network`] | [`layers`], in f64 |
//! | layer, encoder | train | the layers of [`crate::train`] | the same for the output; its differences for the gradients of the input and of every tensor but P (which the timed pass does not give back) |
//!
//! Widths of heads, l, the mask and the mechanism with all its parameters are those that are timed; the input is
//! shorter, and heads, layers, sequences and the feed-forward network are fewer and narrower, so that a check takes a
//! fraction of a second. Whether all threads share a head or each has its own depends on the number of heads, so that at
//! least as many heads run here as there are threads, if as many are timed (and no more than 8 in layers).

mod differences;
mod layers;

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array2, Array3, ArrayD, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::whole::{Learning, Whole};
use crate::attention::{Arrays, ExactHead, Fused, Gradients, Heads, Maxima};
use crate::error::Result;
use crate::model::Named;
use crate::network::{Encoder, EncoderConfig, Stream};
use crate::rng::{normal, stream};
use crate::sweep::bits;
use crate::train::{Layers, Layout, Rows};
use differences::{Group, larger, sum};
use layers::Tensors;

/// How near an output must be to the reference, relative to its largest number.
const NEAR: f64 = 1e-4;
/// How near a directional derivative that gradients give must be to the reference's, relative to the length of the gradient.
const NEAR_DERIVATIVE: f64 = 1e-4;
/// Rows of a layer's sequences: several blocks of every kernel, the last one short.
pub(super) const ROWS: usize = 130;

/// How far the timed code was from the reference implementation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Agreement {
    /// The largest difference of an output over the largest number of the reference's.
    #[serde(with = "bits")]
    pub(super) output: f64,
    /// The largest difference of a directional derivative over the length of its gradient; none of a forward pass.
    #[serde(with = "bits")]
    pub(super) gradients: Option<f64>,
}

impl Agreement {
    /// What differs too much, if anything does; NaN is no agreement.
    pub(super) fn refusal(&self) -> Option<String> {
        let text = |what: &str, off: f64| {
            format!("{what} from the reference implementation by {off:.1e}: not timed")
        };
        let differs = |off: f64, near: f64| off.is_nan() || off > near;
        if differs(self.output, NEAR) {
            return Some(text("output differs", self.output));
        }
        let off = self.gradients.filter(|off| differs(*off, NEAR_DERIVATIVE))?;
        Some(text("gradients differ", off))
    }
}

/// The largest difference over the largest number of the truth.
pub(super) fn off<'a>(
    found: impl IntoIterator<Item = &'a f32>,
    truth: impl IntoIterator<Item = &'a f64>,
) -> f64 {
    let (mut far, mut largest) = (0.0, 0.0);
    for (a, b) in found.into_iter().zip(truth) {
        far = larger(far, (f64::from(*a) - b).abs());
        largest = larger(largest, b.abs());
    }
    far / largest
}

/// The same elements in f64.
fn wide(x: ArrayView2<'_, f32>) -> Array2<f64> {
    x.mapv(f64::from)
}

/// The largest difference of the directional derivatives of q, k, v and everything that is learned, of the bare attention.
pub(super) fn difference_of_heads(
    fused: &Fused,
    heads: &Heads<'_>,
    arrays: &Arrays<'_>,
    d_out: &Array3<f32>,
    gradients: &Gradients,
    seed: u64,
) -> Result<f64> {
    let mut far = 0.0;
    let of = |x: &Array3<f32>, at: usize| wide(x.index_axis(Axis(0), at));
    let count = heads.q.dim().0;
    let mut rng = stream(seed, "scale-sweep slopes");
    let parts = fused.parts(heads.k.dim().1, heads.q.dim().2);
    let per_head = |name: &str| parts.iter().any(|part| part.name == name && part.per_head);
    let exact = |at: usize| -> Vec<(&'static str, Array2<f64>)> {
        arrays.of_head(at).map(|(name, x)| (name, wide(x.view()))).collect()
    };
    // Queries, keys, values and the arrays of every head's own: a head after the other.
    for at in 0..count {
        let ExactHead { q, k, v, scale, mask } = ExactHead::of(heads, at);
        let own: Vec<&'static str> =
            gradients.learned.keys().copied().filter(|name| per_head(name)).collect();
        let arrays = exact(at);
        let mut inputs = vec![q, k, v];
        let mut of_each = vec![of(&gradients.q, at), of(&gradients.k, at), of(&gradients.v, at)];
        for name in &own {
            inputs.extend(arrays.iter().filter(|(other, _)| other == name).map(|(_, x)| x.clone()));
            of_each.push(of(&gradients.learned[name], at));
        }
        let d_out = of(d_out, at);
        let mut maxima = Maxima::default();
        let out = |x: &[Array2<f64>], maxima: &mut Maxima| {
            let head = ExactHead { q: x[0].clone(), k: x[1].clone(), v: x[2].clone(), scale, mask };
            fused.exact(&head, &moved_arrays(&arrays, &own, &x[3..]), maxima)
        };
        out(&inputs, &mut maxima);
        let groups = groups(of_each);
        let mut objective = |x: &[Array2<f64>]| {
            maxima.again();
            Ok(sum(&out(x, &mut maxima), &d_out))
        };
        far = larger(far, differences::difference(&inputs, &groups, &mut rng, &mut objective)?);
    }
    // The arrays that all heads share: their sum over the heads.
    let shared: Vec<&'static str> =
        gradients.learned.keys().copied().filter(|name| !per_head(name)).collect();
    if !shared.is_empty() {
        let arrays = exact(0);
        let all: Vec<(ExactHead, Array2<f64>)> =
            (0..count).map(|at| (ExactHead::of(heads, at), of(d_out, at))).collect();
        let mut objective = |x: &[Array2<f64>]| {
            let arrays = moved_arrays(&arrays, &shared, x);
            let one = |(head, d): &(ExactHead, Array2<f64>)| {
                sum(&fused.exact(head, &arrays, &mut Maxima::default()), d)
            };
            Ok(all.iter().map(one).sum())
        };
        let inputs: Vec<Array2<f64>> = shared
            .iter()
            .flat_map(|name| arrays.iter().filter(move |(other, _)| other == name).map(|(_, x)| x.clone()))
            .collect();
        let groups = groups(shared.iter().map(|name| of(&gradients.learned[name], 0)).collect());
        far = larger(far, differences::difference(&inputs, &groups, &mut rng, &mut objective)?);
    }
    Ok(far)
}

/// The arrays with those of these names replaced.
fn moved_arrays(
    arrays: &[(&'static str, Array2<f64>)],
    names: &[&'static str],
    moved: &[Array2<f64>],
) -> Vec<(&'static str, Array2<f64>)> {
    let one = |(name, x): &(&'static str, Array2<f64>)| {
        let at = names.iter().position(|other| other == name);
        (*name, at.map_or(x, |at| &moved[at]).clone())
    };
    arrays.iter().map(one).collect()
}

/// Every input by itself.
fn groups(gradients: Vec<Array2<f64>>) -> Vec<Group> {
    let one = |(at, gradient)| Group { inputs: vec![at], gradients: vec![gradient] };
    gradients.into_iter().enumerate().map(one).collect()
}

/// Makes of drawn tensors some that hide nothing: vectors (biases, gains) away from the zeros and ones where they begin, and
/// P as long as the rows that it packs, or every packed row would be the same mean and no gradient would go through it.
fn moved(name: &str, (shape, x): (&[usize], &mut [f32]), seed: u64) {
    if let [d] = *shape {
        let drawn = normal(&mut stream(seed, &format!("scale-sweep gate {name}")), 1, d);
        x.iter_mut().zip(&drawn).for_each(|(x, drawn)| *x += 0.1 * drawn);
    } else if name == "projected_embeddings" {
        let length = 2.0 * (shape[1] as f32).sqrt();
        for x in x {
            *x *= length;
        }
    }
}

/// Layers forward.
pub(super) fn forward(config: &EncoderConfig, x: Array2<f32>, b: usize, seed: u64) -> Result<Agreement> {
    let mut drawn: BTreeMap<String, ArrayD<f32>> = config.drawn(seed);
    for (name, tensor) in &mut drawn {
        let shape = tensor.shape().to_vec();
        moved(name, (&shape, tensor.as_slice_mut().unwrap_or_default()), seed);
    }
    let tensors = Tensors::of(&drawn)?;
    let encoder = Encoder::load(&Named::new(Path::new("drawn weights"), drawn), config)?;
    outputs(config, encoder, &tensors, x, b)
}

/// What an encoder makes of x, beside the reference implementation with these tensors.
fn outputs(
    config: &EncoderConfig,
    encoder: Encoder,
    tensors: &Tensors,
    x: Array2<f32>,
    b: usize,
) -> Result<Agreement> {
    let (rows, p) = layers::forward(config, tensors, &wide(x.view()), ROWS, &mut Maxima::default());
    let x = x.into_shape_with_order((b, ROWS, config.d)).expect("sequences of as many rows");
    let stream = Stream::new(x, encoder.p());
    let found = Whole::of(encoder, stream).pass()?;
    let mut output = off(&found.x, &rows);
    if let (Some(found), Some(p)) = (&found.p, p) {
        output = larger(output, off(found.index_axis(Axis(0), b - 1), &p));
    }
    Ok(Agreement { output, gradients: None })
}

/// Layers forward and backward.
pub(super) fn learning(config: &EncoderConfig, x: Array2<f32>, b: usize, seed: u64) -> Result<Agreement> {
    let layers = Layers::new(config)?;
    let layout = layers.layout().clone();
    let mut numbers = layers.draw(seed);
    for entry in layout.entries() {
        moved(&entry.name, (&entry.shape, &mut numbers[entry.at.clone()]), seed);
    }
    let tensors = Tensors::of(&layout.tensors(&numbers))?;
    let rows = Rows::of(std::iter::repeat_n(ROWS, b));
    let base = wide(x.view());
    let mut learning = Learning::of(layers, numbers, rows, x);
    let dx = learning.pass(None)?;
    let (found, gradients) = learning.found();
    let (out, _) = layers::forward(config, &tensors, &base, ROWS, &mut Maxima::default());
    let output = found.map_or(f64::NAN, |found| off(found, &out));
    let far = difference_of_layers(config, &layout, &tensors, &base, (gradients, &dx), seed)?;
    Ok(Agreement { output, gradients: Some(far) })
}

/// The largest difference of the directional derivatives of x and of everything that is learned but P, of layers whose output's gradient is
/// x: `gradients` of all numbers, and that of x.
fn difference_of_layers(
    config: &EncoderConfig,
    layout: &Layout,
    tensors: &Tensors,
    x: &Array2<f64>,
    (gradients, dx): (&[f32], &Array2<f32>),
    seed: u64,
) -> Result<f64> {
    // One group for each projection, norm or piece of all layers, its weights with its biases.
    let of_tensors = Tensors::of(&layout.tensors(gradients))?.arrays;
    let learned = |name: &str| layout.entries().iter().any(|entry| entry.learned && entry.name == name);
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for (at, name) in tensors.names.iter().enumerate() {
        if learned(name) && name != "projected_embeddings" {
            let part = name.split('.').skip(2).collect::<Vec<_>>().join(".");
            let part = part.trim_end_matches(".weight").trim_end_matches(".bias");
            let group = groups.entry(part.into());
            let group = group.or_insert(Group { inputs: Vec::new(), gradients: Vec::new() });
            group.inputs.push(at);
            group.gradients.push(of_tensors[at].clone());
        }
    }
    let mut inputs = tensors.arrays.clone();
    inputs.push(x.clone());
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.push(Group { inputs: vec![inputs.len() - 1], gradients: vec![wide(dx.view())] });
    let mut maxima = Maxima::default();
    layers::forward(config, tensors, x, ROWS, &mut maxima);
    let mut objective = |inputs: &[Array2<f64>]| {
        maxima.again();
        let (moved, arrays) = inputs.split_last().expect("x stands after the tensors");
        let tensors = Tensors { arrays: arrays.to_vec(), ..tensors.clone() };
        Ok(sum(&layers::forward(config, &tensors, moved, ROWS, &mut maxima).0, x))
    };
    differences::difference(&inputs, &groups, &mut stream(seed, "scale-sweep slopes"), &mut objective)
}

#[cfg(test)]
mod tests;
