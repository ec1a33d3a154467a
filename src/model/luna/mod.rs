//! Luna's modules as its authors published them (Ma et al. 2021, "Luna: Linear Unified Nested Attention";
//! XuezheMax/fairseq-apollo 3644d20, `luna_attention.py` and `luna_layer.py`): attention with its projections, layers
//! that carry the packed sequence P upward, encoder, decoder, and the tensors of whole models.
//!
//! Weights are found by the authors' names ([`Named`]). Everything works on one sequence, shape (n, d); a batch is a
//! loop over its sequences. There is no dropout: these are the modules in use, not in training.
//!
//! Where the published code says more than the paper's equations, the code is followed: softmax in both pack and
//! unpack, queries scaled after their bias, no output projection on the packed sequence, only the decoder's causal
//! attention with softplus or elu.

mod attend;
mod attention;
mod causal;
mod decoder;
mod encoder;
mod factors;
mod feed_forward;
mod layer_norm;
mod named;
mod size;

pub use attention::{LunaAttention, Packed};
pub use causal::{CausalState, LunaCausalAttention};
pub use decoder::{DecoderState, LunaDecoder, LunaDecoderLayer};
pub use encoder::{LunaEncoder, LunaEncoderLayer};
pub use factors::Factors;
pub use named::Named;
pub use size::{Size, Tensor};

pub(super) use causal::CHUNK;
pub(super) use feed_forward::FeedForward;
pub(super) use layer_norm::LayerNorm;

use ndarray::Array2;

use super::Activation;
use crate::attention::luna_causal::Weight;
use crate::{Error, Result};

/// What a layer is, beside its weights.
#[derive(Clone, Copy, Debug)]
pub struct LayerConfig {
    /// d: width of the model.
    pub d: usize,
    /// Width inside the feed-forward network.
    pub ffn: usize,
    /// Heads of the unpack attention, and of the causal one.
    pub heads: usize,
    /// Heads of the pack attention.
    pub pack_heads: usize,
    /// Whether norms stand before each block, as x + block(norm(x)); otherwise norm(x + block(x)).
    pub pre_norm: bool,
    /// Activation of the feed-forward network.
    pub activation: Activation,
    /// What weighs the rows of P in the causal attention of decoders.
    pub weight: Weight,
    /// What is added to a norm's variance.
    pub eps: f64,
}

impl LayerConfig {
    /// The authors' defaults at these sizes: as many heads to pack as to unpack, norms after each block, relu,
    /// softplus, eps 1e-5.
    pub fn new(d: usize, ffn: usize, heads: usize) -> Self {
        Self {
            d,
            ffn,
            heads,
            pack_heads: heads,
            pre_norm: false,
            activation: Activation::Relu,
            weight: Weight::Softplus,
            eps: 1e-5,
        }
    }
}

/// Which rows are padding (true): they are hidden from every attention that would read them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Padding<'a> {
    /// Of the context, length m.
    pub context: Option<&'a [bool]>,
    /// Of P, length l.
    pub p: Option<&'a [bool]>,
}

impl Padding<'_> {
    /// The authors' dynamic projection: of l rows of P, a sequence of `length` tokens reads the first `length`.
    pub fn dynamic(l: usize, length: usize) -> Vec<bool> {
        (0..l).map(|row| row >= length).collect()
    }
}

/// What one head of Luna attention works on, and the weights that came of it.
pub(super) struct Look {
    /// Queries that read, shape (n, `d_h`), not scaled yet.
    pub(super) q: Array2<f32>,
    /// Keys of the positions, shape (m, `d_h`).
    pub(super) k: Array2<f32>,
    /// Values of the positions, shape (m, `d_h`).
    pub(super) v: Array2<f32>,
    /// The weights of both steps.
    pub(super) factors: Factors,
}

/// The width of one head, d / heads.
fn head_width(d: usize, heads: usize) -> Result<usize> {
    if heads > 0 && d.is_multiple_of(heads) {
        return Ok(d / heads);
    }
    Err(Error::value("heads", heads, format!("a divisor of d = {d}")))
}

/// Refuses an array that has not d columns.
fn check(what: &str, shape: &[usize], d: usize) -> Result<()> {
    if shape.last() == Some(&d) {
        return Ok(());
    }
    let expected = format!("rows of d = {d} numbers");
    Err(Error::Shape { what: what.into(), found: shape.to_vec(), expected })
}
