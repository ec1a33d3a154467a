//! The model families: for each, one table of tensor names and one reader of its `config.json`.

mod bert;
mod distilbert;
mod gpt2;
mod gpt_neox;
mod known;
mod llama;
mod luna;

use super::config::{Config, Keys};
use crate::{Error, Result, name};
pub use known::Effect;
pub(super) use known::{Known, unused};

/// A family of models that share tensor names and arithmetic.
#[derive(Debug)]
pub struct Family {
    /// The `model_type` in `config.json`.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// What stands before every name when the model was saved with a head on top (`bert.`); accepted and not needed.
    pub(super) prefix: &'static str,
    /// Our tensors and what the family calls them.
    pub(super) tensors: &'static [&'static [Tensor]],
    /// Patterns (`*` for anything) of tensors that may be in the file and have no part in attention.
    pub(super) ignored: &'static [&'static str],
    /// Whether weights are stored (in, out) rather than (out, in).
    pub(super) input_first: bool,
    /// What each key of `config.json` does.
    pub(super) known: Known,
    /// Reads the family's keys of `config.json`.
    pub(super) config: fn(&'static Family, &Keys<'_>) -> Result<Config>,
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Every family, by `model_type`.
pub static ALL: &[&Family] = &[
    &bert::BERT,
    &bert::ROBERTA,
    &distilbert::DISTILBERT,
    &gpt2::GPT2,
    &gpt_neox::GPT_NEOX,
    &llama::LLAMA,
    &llama::MISTRAL,
    &llama::QWEN2,
    &self::luna::LUNA,
];

impl Family {
    /// The family of a `model_type`; an unknown one answers with the list.
    pub fn find(model_type: &str) -> Result<&'static Self> {
        let known = || ALL.iter().map(|family| family.name);
        ALL.iter().find(|family| family.name == model_type).copied().ok_or_else(|| Error::UnknownName {
            kind: "model_type",
            name: model_type.to_string(),
            suggestion: name::suggest(model_type, known()),
            known: known().map(String::from).collect(),
        })
    }

    /// A name of the file as the table has it: without the prefix, and with today's words for gain and shift.
    pub(super) fn canonical(&self, name: &str) -> String {
        let name = name.strip_prefix(self.prefix).unwrap_or(name);
        let modern = |old, new| name.strip_suffix(old).map(|stem| format!("{stem}{new}"));
        modern(".gamma", ".weight").or_else(|| modern(".beta", ".bias")).unwrap_or_else(|| name.to_string())
    }

    /// The family's name of a tensor: the first, if it has several.
    pub(super) fn tensor_name(&self, role: Role) -> Option<&'static str> {
        let mut tensors = self.tensors.iter().copied().flatten();
        tensors.find(|tensor| tensor.role == role).map(|tensor| tensor.name)
    }

    /// Whether its tables have a head over the vocabulary with layers of its own (a masked-token head).
    pub(super) fn has_masked_head(&self) -> bool {
        self.tensors.iter().copied().flatten().any(|tensor| tensor.role == Role::HeadDense)
    }

    /// Whether a tensor (by its canonical name) may be in the file without being used.
    pub(super) fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().chain(IGNORED).any(|pattern| matches(pattern, name))
    }
}

/// What may be in any family's file: masks and tables that follow from the configuration, and heads of tasks.
const IGNORED: &[&str] =
    &["*position_ids", "*.inv_freq", "classifier.*", "qa_outputs.*", "score.*", "num_batches_tracked"];

/// What a tensor is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[rustfmt::skip]
pub(super) enum Role {
    Token, Position, Segment, EmbedGain, EmbedShift,
    AttnGain, AttnShift, Q, QBias, K, KBias, V, VBias, Qkv, QkvBias, QkvByHead, QkvByHeadBias, O, OBias,
    FfnGain, FfnShift, Gate, GateBias, Up, UpBias, Down, DownBias,
    FinalGain, FinalShift,
    HeadDense, HeadDenseBias, HeadGain, HeadShift, HeadOut, HeadOutBias,
}

/// A length in a tensor's shape.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dim {
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
    pub(super) fn length(self, config: &Config) -> usize {
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
pub(super) enum Need {
    /// Always.
    Always,
    /// It is used when it is there.
    Optional,
    /// When the configuration says so; otherwise it must not be there.
    When(fn(&Config) -> bool),
    /// When the file has this other one (a head comes whole or not at all).
    With(Role),
}

/// One line of a name table: our role, their name (`{}` for the layer), the shape as stored, when it must be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor {
    pub(super) role: Role,
    pub(super) name: &'static str,
    pub(super) shape: &'static [Dim],
    pub(super) need: Need,
}

const fn tensor(role: Role, name: &'static str, shape: &'static [Dim]) -> Tensor {
    Tensor { role, name, shape, need: Need::Always }
}

impl Tensor {
    const fn need(mut self, need: Need) -> Self {
        self.need = need;
        self
    }
}

/// Whether a name fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| matches(rest, &name[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_old_names() {
        assert!(matches("*.attn.bias", "h.11.attn.bias"));
        assert!(!matches("*.attn.bias", "h.11.attn.c_attn.bias"));
        assert!(matches("classifier.*", "classifier.dense.weight"));
        assert!(!matches("classifier.*", "pre_classifier.weight"));
        let bert = Family::find("bert").unwrap();
        assert_eq!(bert.canonical("bert.embeddings.LayerNorm.gamma"), "embeddings.LayerNorm.weight");
        assert_eq!(
            bert.canonical("encoder.layer.0.output.LayerNorm.beta"),
            "encoder.layer.0.output.LayerNorm.bias"
        );
    }

    #[test]
    fn names_differ_and_each_family_says_what_it_is() {
        for (i, family) in ALL.iter().enumerate() {
            assert!(!family.about.is_empty() && !family.about.ends_with('.'), "{}", family.name);
            assert!(ALL[..i].iter().all(|other| other.name != family.name), "{}", family.name);
            let mut names: Vec<_> = family.tensors.concat().iter().map(|tensor| tensor.name).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}", family.name);
        }
    }
}
