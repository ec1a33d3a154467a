//! Tables of tensor names: which tensor of a family's file is which of ours.

use crate::model::config::ModelConfig;

/// The part that a tensor plays in a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[rustfmt::skip]
pub(in crate::model) enum Role {
    Token, Position, Segment, EmbedGain, EmbedShift,
    AttnGain, AttnShift, Q, QBias, K, KBias, V, VBias, Qkv, QkvBias, QkvByHead, QkvByHeadBias, O, OBias,
    FfnGain, FfnShift, Gate, GateBias, Up, UpBias, Down, DownBias,
    FinalGain, FinalShift,
    HeadDense, HeadDenseBias, HeadGain, HeadShift, HeadOut, HeadOutBias,
}

/// A length in a tensor's shape.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) enum Dim {
    /// Tokens of the vocabulary.
    Vocab,
    /// Rows of the position table.
    Positions,
    /// Token types ("segments").
    Segments,
    /// d, the model's width.
    D,
    /// h `d_h`, the width of all queries.
    Q,
    /// The width of all keys, or of all values: (key and value heads) `d_h`.
    K,
    /// Queries, keys and values side by side: all heads of each (`Role::Qkv`), or head by head (`Role::QkvByHead`).
    Qkv,
    /// The width inside the feed-forward network.
    Ffn,
}

impl Dim {
    pub(in crate::model) fn length(self, config: &ModelConfig) -> usize {
        let (q, k) = (config.heads * config.d_h, config.kv_heads * config.d_h);
        match self {
            Self::Vocab => config.vocab,
            Self::Positions => config.position_rows(),
            Self::Segments => config.segments,
            Self::D => config.d,
            Self::Q => q,
            Self::K => k,
            Self::Qkv => q + 2 * k,
            Self::Ffn => config.ffn,
        }
    }
}

/// When a tensor must be there.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) enum Need {
    /// Always.
    Always,
    /// It is used when it is there.
    Optional,
    /// Depending on the configuration; otherwise it must not be there.
    When(fn(&ModelConfig) -> bool),
    /// When the file has this other one (a head comes whole or not at all).
    With(Role),
}

/// One line of a name table: the role, the family's name (`{}` for the layer), the shape as stored, when it must be there.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Tensor {
    pub(in crate::model) role: Role,
    pub(in crate::model) name: &'static str,
    pub(in crate::model) shape: &'static [Dim],
    pub(in crate::model) need: Need,
}

pub(super) const fn tensor(role: Role, name: &'static str, shape: &'static [Dim]) -> Tensor {
    Tensor { role, name, shape, need: Need::Always }
}

impl Tensor {
    pub(super) const fn need(mut self, need: Need) -> Self {
        self.need = need;
        self
    }
}
