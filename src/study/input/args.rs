//! The options that choose an input.

use std::path::PathBuf;

use clap::Args;

use super::Layers;
use crate::error::Result;
use crate::name::{Indices, List};
use crate::task::dump::{Axes, Stored};
use crate::task::stride::Stride;

/// The options that choose an input. Without any, the study decides what is read ([`Unnamed`]).
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Trained model: a folder with config.json and safetensors, a run folder of training, byte-transformer or
    /// byte-luna (embedded, with a text), or a hub id in the Hugging Face cache [default: byte-transformer]
    #[arg(long, value_name = "DIR|ID", conflicts_with = "synthetic")]
    pub model: Option<String>,
    /// Revision of a hub id
    #[arg(long, value_name = "NAME", requires = "model", conflicts_with = "synthetic")]
    pub revision: Option<String>,
    /// Never download; use what the cache holds
    #[arg(long, requires = "model", conflicts_with = "synthetic")]
    pub offline: bool,
    /// Text for the model, through its own tokenizer.json (or as bytes, where its tokens are bytes) [default: of an
    /// embedded model its own]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tokens", "synthetic"])]
    pub text: Option<PathBuf>,
    /// Token ids for the model, as JSON list or separated by white space; fed as they stand
    #[arg(long, value_name = "FILE", conflicts_with = "synthetic")]
    pub tokens: Option<PathBuf>,
    /// Images for a vision model, as .npy of normalised pixels, c x h x w or images x c x h x w; each is a window
    #[arg(long, value_name = "FILE", requires = "model", conflicts_with_all = TEXTS)]
    pub pixels: Option<PathBuf>,
    /// Synthetic heads instead of a model, such as `gaussian:logit_sd=1,d_h=64` or `local:w=17`, as a comma list
    /// (see `luna list`)
    #[arg(long, value_name = "SPECS")]
    pub synthetic: Option<String>,
    /// Queries, keys and values from elsewhere instead of a model: .npz or .safetensors with arrays q, k and (where outputs
    /// are compared) v of shape (n, d), (h, n, d), (layers, h, n, d) or (layers, batch, h, n, d); k and v may have fewer
    /// heads, each for a group of query heads; or a folder that capture of the Python package wrote
    #[arg(long, value_name = "FILE|DIR", conflicts_with_all = NOT_BESIDE_QKV)]
    pub qkv: Option<Stored>,
    /// Factor on the products of the queries and keys of --qkv [default: what the file says, or 1 / sqrt(d)]
    #[arg(long, value_name = "X", requires = "qkv")]
    pub qkv_scale: Option<f64>,
    /// Mask of the heads of --qkv: full, causal, window:back=B,ahead=A (or one of these), or causal,window:back=B [default:
    /// what the file says, or full]
    #[arg(long, value_name = "MASK", requires = "qkv")]
    pub qkv_mask: Option<String>,
    /// Softcap c of the logits of --qkv: a logit x becomes c tanh(x / c) [default: what the file says, or none]
    #[arg(long, value_name = "C", requires = "qkv")]
    pub qkv_softcap: Option<f64>,
    /// What the dimensions of --qkv and --attention before the last two are: layer, batch (whose samples stand in the place
    /// of windows) and head, in the order of the array [default: head, layer,head or layer,batch,head]
    #[arg(long, value_name = "NAME,...", conflicts_with_all = ["model", "synthetic"])]
    pub axes: Option<Axes>,
    /// Sequence lengths n in tokens [default: 512, or the model's positions if fewer]
    #[arg(long, value_name = "N,...")]
    pub seq_len: Option<List<usize>>,
    /// Windows of the text, or draws of random synthetic heads [default: 8, or as many as the text has]
    #[arg(long, value_name = "W")]
    pub windows: Option<usize>,
    /// Where the windows of the text begin: spread (each at a random place, by --seed, of its part of the whole text),
    /// contiguous (each where the one before it ends), or a number of tokens from the beginning of one to that of the next;
    /// a single window begins at the first token
    #[arg(long, value_name = "spread|contiguous|TOKENS", default_value_t, conflicts_with = "synthetic")]
    pub stride: Stride,
    /// Tokens of the text to leave out before the first window
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub skip_tokens: usize,
    /// Layers to study, such as 0-3,7, or by their mask: full, or sliding (those with a window) [default: all]
    #[arg(long, value_name = "full|sliding|INDICES")]
    pub layers: Option<Layers>,
    /// Heads to study in each layer [default: all]
    #[arg(long, value_name = "INDICES")]
    pub heads: Option<Indices>,
    /// Mask --synthetic heads causally (models and dumps have their own mask)
    #[arg(long, conflicts_with = "model")]
    pub causal: bool,
}

/// The options that choose dumped matrices as an input, where a study needs nothing but matrices.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Input")]
pub struct DumpArgs {
    /// Attention matrices dumped from elsewhere: .npy, .npz, .safetensors of shape (n, m), (h, n, m), (layers, h, n, m) or
    /// (layers, batch, h, n, m), whose samples stand in the place of windows
    #[arg(long, value_name = "FILE", conflicts_with_all = OTHERS)]
    pub attention: Option<Stored>,
    /// Array of the --attention file, if it holds several
    #[arg(long, value_name = "NAME", requires = "attention", conflicts_with_all = OTHERS)]
    pub tensor: Option<String>,
    /// Mask that the --attention matrices were computed under, which null models share: auto (from their zeros), zeros
    /// (exactly these), or one or more of full, causal, window:back=B,ahead=A, padding:keys=M,queries=N,left=true and
    /// blocks:sizes=S+S+..., of which a key must pass all [default: auto]
    #[arg(long, value_name = "MASK", requires = "attention", conflicts_with_all = OTHERS)]
    pub mask: Option<String>,
}

/// The options of [`InputArgs`] that mean nothing beside dumped matrices.
#[rustfmt::skip]
const OTHERS: [&str; 12] = [
    "model", "revision", "offline", "text", "tokens", "pixels", "synthetic", "seq_len", "windows", "stride", "causal",
    "qkv",
];

/// Those that mean nothing beside queries and keys.
#[rustfmt::skip]
const NOT_BESIDE_QKV: [&str; 11] = [
    "model", "revision", "offline", "text", "tokens", "pixels", "synthetic", "seq_len", "windows", "stride", "causal",
];
/// Those that mean nothing beside images.
const TEXTS: [&str; 6] = ["text", "tokens", "synthetic", "seq_len", "stride", "skip_tokens"];

/// What is read where no input is named: it needs no file, no download, and seconds on any machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unnamed {
    /// The built-in trained model ([`embedded::DEFAULT`](crate::model::embedded::DEFAULT)).
    Model,
    /// Synthetic heads.
    Heads {
        /// The heads, as for --synthetic.
        specs: &'static str,
        /// Their length.
        n: usize,
    },
}

impl InputArgs {
    /// What is read although neither a model nor synthetic heads were named; a text or token ids are for a model.
    pub fn unnamed(&self, default: Unnamed) -> Option<Unnamed> {
        match (&self.model, &self.synthetic, &self.text, &self.tokens) {
            _ if self.qkv.is_some() => None,
            (Some(_), ..) | (_, Some(_), ..) => None,
            (None, None, None, None) => Some(default),
            _ => Some(Unnamed::Model),
        }
    }

    /// The options but --seq-len as they would be typed, word by word.
    pub(in crate::study) fn words(&self) -> Vec<String> {
        let number = |value: Option<usize>| value.map(|value| value.to_string());
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let skipped = Some(self.skip_tokens).filter(|skipped| *skipped > 0);
        let stride = Some(self.stride).filter(|stride| *stride != Stride::default());
        let valued = [
            ("--model", self.model.clone()),
            ("--revision", self.revision.clone()),
            ("--text", path(&self.text)),
            ("--tokens", path(&self.tokens)),
            ("--pixels", path(&self.pixels)),
            ("--synthetic", self.synthetic.clone()),
            ("--qkv", self.qkv.as_ref().map(ToString::to_string)),
            ("--qkv-scale", self.qkv_scale.map(|scale| scale.to_string())),
            ("--qkv-mask", self.qkv_mask.clone()),
            ("--qkv-softcap", self.qkv_softcap.map(|softcap| softcap.to_string())),
            ("--axes", self.axes.as_ref().map(ToString::to_string)),
            ("--windows", number(self.windows)),
            ("--stride", stride.map(|stride| stride.to_string())),
            ("--skip-tokens", number(skipped)),
            ("--layers", self.layers.as_ref().map(ToString::to_string)),
            ("--heads", self.heads.as_ref().map(ToString::to_string)),
        ];
        let alone = [("--offline", self.offline), ("--causal", self.causal)];
        let valued =
            valued.into_iter().filter_map(|(flag, value)| Some([flag.to_string(), value?])).flatten();
        valued
            .chain(alone.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag.to_string()))
            .collect()
    }

    /// The lengths asked for, ascending, or `default`.
    pub(super) fn lengths_or(&self, default: usize) -> Vec<usize> {
        let mut lengths = self.seq_len.as_ref().map_or_else(|| vec![default], |lengths| lengths.to_vec());
        lengths.sort_unstable();
        lengths
    }

    /// The layers and heads that are chosen of so many, ascending; `slides` says which layers have a window, where the
    /// input knows.
    pub(super) fn select(
        &self,
        layers: usize,
        heads: usize,
        slides: Option<&dyn Fn(usize) -> bool>,
    ) -> Result<(Vec<usize>, Vec<usize>)> {
        let layers = match &self.layers {
            Some(chosen) => chosen.select("--layers", layers, slides)?,
            None => (0..layers).collect(),
        };
        let mut heads = match &self.heads {
            Some(indices) => indices.select("--heads", heads)?,
            None => (0..heads).collect(),
        };
        heads.sort_unstable();
        Ok((layers, heads))
    }
}
