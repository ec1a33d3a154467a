//! From tokens to behind the last layer, and back: what classifiers, language models and the encoders of translators
//! share.

use ndarray::Array2;

use super::core::{repeated, repeated_back};
use super::dropout::Dropout;
use super::embedding;
use super::layer::{Around, Kept, Layer, Stream};
use super::norm::{self, LayerNorm};
use super::parameters::{Layout, Matrix, Numbers};
use super::rows::Rows;
use crate::Result;
use crate::model::encoder::{EncoderConfig, Mechanism};

/// Embeddings, layers, last norms.
#[derive(Clone, Debug)]
pub(super) struct Trunk {
    config: EncoderConfig,
    pub(super) tokens: Matrix,
    positions: Option<Matrix>,
    /// P below the lowest layer, or one for every layer.
    p: Vec<Matrix>,
    norm: Option<LayerNorm>,
    p_norm: Option<LayerNorm>,
    layers: Vec<Layer>,
    last: Option<LayerNorm>,
    p_last: Option<LayerNorm>,
}

/// Dropped from the embeddings of X, and behind all layers from those of P.
const SITE: usize = 0;
const P_SITE: usize = usize::MAX >> 33;

/// What the gradients need.
pub(super) struct Risen {
    norm: Option<norm::Kept>,
    p_norm: Option<norm::Kept>,
    layers: Vec<Kept>,
    last: Option<norm::Kept>,
    p_last: Option<norm::Kept>,
}

impl Trunk {
    /// By the names of a configuration's tensors behind a prefix. The norm of the last P is there for those who read it.
    pub(super) fn find(layout: &Layout, prefix: &str, config: &EncoderConfig, reads_p: bool) -> Result<Self> {
        let named = |name: &str| format!("{prefix}{name}");
        let norm = |name: &str, wanted: bool| {
            wanted.then(|| LayerNorm::find(layout, &named(name), super::EPS)).transpose()
        };
        let luna = matches!(config.mechanism, Mechanism::Luna { .. } | Mechanism::LunaCausal { .. });
        let p = match (luna, config.p_chain) {
            (false, _) => Vec::new(),
            (true, true) => vec![layout.matrix(&named("projected_embeddings"))?],
            (true, false) => (0..config.layers)
                .map(|layer| layout.matrix(&named(&format!("layers.{layer}.projected_embeddings"))))
                .collect::<Result<_>>()?,
        };
        let of_p = luna && config.p_chain && config.embedding_norm;
        let positions = named("embed_positions.weight");
        Ok(Self {
            tokens: layout.matrix(&named("embed_tokens.weight"))?,
            positions: (config.positions > 0).then(|| layout.matrix(&positions)).transpose()?,
            p,
            norm: norm("layernorm_embedding", config.embedding_norm)?,
            p_norm: norm("layernorm_porjected_embedding", of_p)?,
            layers: (0..config.layers)
                .map(|at| Layer::find(layout, prefix, config, at))
                .collect::<Result<_>>()?,
            last: norm("layer_norm", config.pre_norm)?,
            p_last: norm("proj_layer_norm", config.pre_norm && reads_p && luna)?,
            config: *config,
        })
    }

    /// Rows of P in each sequence: min(l, length).
    pub(super) fn p_rows(&self, rows: &Rows) -> Rows {
        match self.config.mechanism {
            Mechanism::Luna { l, .. } => rows.at_most(l),
            _ => rows.at_most(0),
        }
    }

    /// The P that layer `at` reads first, for every sequence.
    fn first_p(&self, numbers: Numbers<'_>, at: usize, p_rows: &Rows, dropout: Dropout) -> PAndNorm {
        let Some(p) = self.p.get(at) else { return (None, None) };
        let mut p = p.of(numbers).to_owned();
        let mut kept = None;
        if let Some(norm) = &self.p_norm {
            let (normed, of_norm) = norm.forward(numbers, p);
            (p, kept) = (normed, Some(of_norm));
        }
        dropout.apply(&mut p, P_SITE - at);
        let own = matches!(self.config.mechanism, Mechanism::Luna { .. });
        (Some(if own { repeated(&p, p_rows) } else { p }), kept)
    }

    /// From tokens to behind the last layer and its norms.
    pub(super) fn rise(
        &self,
        numbers: Numbers<'_>,
        ids: &[u32],
        around: Around<'_>,
        keep: bool,
    ) -> Result<(Stream, Risen)> {
        let Around { rows, p_rows, dropout } = around;
        let mut x = embedding::look_up(numbers, self.tokens, ids)?;
        if let Some(positions) = self.positions {
            embedding::add_positions(numbers, positions, rows, &mut x)?;
        }
        let (mut x, norm) = normed(self.norm.as_ref(), numbers, x);
        dropout.apply(&mut x, SITE);
        let (p, p_norm) = self.first_p(numbers, 0, p_rows, dropout);
        let mut stream = Stream { x, p };
        let mut layers = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            if at > 0 && !self.config.p_chain {
                (stream.p, _) = self.first_p(numbers, at, p_rows, dropout);
            }
            let of_layer;
            (stream, of_layer) = layer.forward(numbers, stream, around)?;
            if keep {
                layers.push(of_layer);
            }
        }
        let (x, last) = normed(self.last.as_ref(), numbers, stream.x);
        let (p, p_last) = stream.p.map(|p| normed(self.p_last.as_ref(), numbers, p)).unzip();
        let p_last = p_last.flatten();
        Ok((Stream { x, p }, Risen { norm, p_norm, layers, last, p_last }))
    }

    /// Adds the gradients of everything, under those of what [`rise`](Self::rise) gave.
    pub(super) fn back(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        ids: &[u32],
        mut d: Stream,
        risen: Risen,
        around: Around<'_>,
    ) -> Result<()> {
        let Risen { norm, p_norm, layers, last, p_last } = risen;
        d.x = normed_back(self.last.as_ref(), last.as_ref(), numbers, gradients, d.x);
        d.p = d.p.map(|dp| normed_back(self.p_last.as_ref(), p_last.as_ref(), numbers, gradients, dp));
        for (at, (layer, kept)) in self.layers.iter().zip(layers).enumerate().rev() {
            d = layer.backward(numbers, gradients, kept, d, around)?;
            if !self.config.p_chain
                && let Some(dp) = d.p.take()
            {
                self.learn_p(gradients, at, &dp, around);
            }
        }
        let dropout = around.dropout;
        if let (Some(table), Some(dp)) = (self.p.first(), d.p) {
            let mut dp = self.of_one_p(&dp, 0, around);
            dropout.apply(&mut dp, P_SITE);
            let dp = normed_back(self.p_norm.as_ref(), p_norm.as_ref(), numbers, gradients, dp);
            let mut sum = table.of_mut(gradients);
            sum += &dp;
        }
        let mut dx = d.x;
        dropout.apply(&mut dx, SITE);
        let dx = normed_back(self.norm.as_ref(), norm.as_ref(), numbers, gradients, dx);
        if let Some(positions) = self.positions {
            embedding::learn_positions(gradients, positions, around.rows, &dx);
        }
        embedding::learn(gradients, self.tokens, ids, &dx);
        Ok(())
    }

    /// Adds the gradient of a layer's first P to that of its table.
    fn learn_p(&self, gradients: &mut [f32], at: usize, dp: &Array2<f32>, around: Around<'_>) {
        let mut dp = self.of_one_p(dp, at, around);
        around.dropout.apply(&mut dp, P_SITE - at);
        let mut sum = self.p[at].of_mut(gradients);
        sum += &dp;
    }

    /// The gradient of a P (l, d) that every sequence read, as its own rows or as the same.
    fn of_one_p(&self, dp: &Array2<f32>, at: usize, around: Around<'_>) -> Array2<f32> {
        match self.config.mechanism {
            Mechanism::Luna { .. } => repeated_back(dp, around.p_rows, self.p[at].rows),
            _ => dp.clone(),
        }
    }
}

/// P for every sequence, and what the gradients of its norm need.
type PAndNorm = (Option<Array2<f32>>, Option<norm::Kept>);

/// Through a norm, where there is one.
pub(super) fn normed(
    norm: Option<&LayerNorm>,
    numbers: Numbers<'_>,
    x: Array2<f32>,
) -> (Array2<f32>, Option<norm::Kept>) {
    match norm {
        Some(norm) => {
            let (x, kept) = norm.forward(numbers, x);
            (x, Some(kept))
        }
        None => (x, None),
    }
}

/// The gradient of what [`normed`] was given, under that of what it gave.
pub(super) fn normed_back(
    norm: Option<&LayerNorm>,
    kept: Option<&norm::Kept>,
    numbers: Numbers<'_>,
    gradients: &mut [f32],
    dy: Array2<f32>,
) -> Array2<f32> {
    match (norm, kept) {
        (Some(norm), Some(kept)) => norm.backward(numbers, gradients, kept, dy.view()),
        _ => dy,
    }
}
