//! Tables of tensor names: which tensor of a family's file is which of ours.

use crate::model::config::{ModelConfig, Position};

/// The part that a tensor plays in a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[rustfmt::skip]
pub(in crate::model) enum Role {
    Token, Position, Segment, EmbedGain, EmbedShift, EmbedProject, EmbedProjectBias, ProjectIn, ProjectOut,
    Patch, PatchBias, Class, Distillation, RelativeBias, Frequencies,
    AttnGain, AttnShift, Q, QBias, K, KBias, V, VBias, Qkv, QkvBias, QkvByHead, QkvByHeadBias, QGain, KGain, Sinks,
    O, OBias, AttnOutGain, AttnOutShift, AttnScale,
    FfnGain, FfnShift, Gate, GateBias, Up, UpBias, GateUp, GateUpBias, Down, DownBias, Router, RouterBias,
    FfnOutGain, FfnOutShift, FfnScale,
    FinalGain, FinalShift,
    HeadDense, HeadDenseBias, HeadGain, HeadShift, HeadOut, HeadOutBias,
    /// No tensor: the bias of what has none.
    NoBias,
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
    /// Twice that: a gate and what it opens.
    TwoFfn,
    /// The width of the token table.
    Embedding,
    /// `d_h`, the width of one head.
    Head,
    /// Half of it: pairs of elements that are rotated.
    HalfHead,
    /// h, the query heads.
    Heads,
    /// The buckets of a relative bias.
    Buckets,
    /// Experts of a layer.
    Experts,
    /// Colour channels of an image.
    Channels,
    /// Pixels along a side of a patch.
    Patch,
    /// So many.
    Of(usize),
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
            Self::TwoFfn => 2 * config.ffn,
            Self::Embedding => config.embedding,
            Self::Head => config.d_h,
            Self::HalfHead => config.d_h / 2,
            Self::Heads => config.heads,
            Self::Buckets => match config.position {
                Position::Buckets { buckets, .. } => buckets,
                _ => 0,
            },
            Self::Experts => config.experts.map_or(0, |experts| experts.count),
            Self::Channels => config.image.map_or(0, |image| image.channels),
            Self::Patch => config.image.map_or(0, |image| image.patch),
            Self::Of(length) => length,
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
    /// In every layer but the first, which must not have it (`ModernBERT`).
    AfterFirst,
    /// When the file has this other one (a head comes whole or not at all); without that it is not used.
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
