//! Where a study's heads come from: a trained model, dumped matrices, or synthetic heads.

mod dumped;
mod head;
mod mask;
mod material;
mod place;
mod probabilities;
mod reading;
mod synthetic;
mod trained;

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

pub use head::{Body, Given, Head};
pub(in crate::study) use trained::Trained;

use crate::attention::Mask;
use crate::error::{Error, Result};
use crate::name::{Indices, List};
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
    /// Synthetic heads in the place of a model, such as `gaussian:logit_sd=1,d_h=64` or `local:w=17`, as a comma list
    /// (see `luna list`)
    #[arg(long, value_name = "SPECS")]
    pub synthetic: Option<String>,
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
    /// Layers to study, such as 0-3,7 [default: all]
    #[arg(long, value_name = "INDICES")]
    pub layers: Option<Indices>,
    /// Heads to study in each layer [default: all]
    #[arg(long, value_name = "INDICES")]
    pub heads: Option<Indices>,
    /// Mask --synthetic heads causally (models and dumps bring their own mask)
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
    pub attention: Option<PathBuf>,
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
const OTHERS: [&str; 10] =
    ["model", "revision", "offline", "text", "tokens", "synthetic", "seq_len", "windows", "stride", "causal"];

/// What is read where no input is named: it needs no file, no download, and seconds on any machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unnamed {
    /// The trained model that the program carries ([`embedded::DEFAULT`](crate::model::embedded::DEFAULT)).
    Model,
    /// Synthetic heads.
    Heads {
        /// The heads, as for --synthetic.
        specs: &'static str,
        /// Their length.
        n: usize,
    },
}

/// Receives heads; an error ends the visit.
pub type Sink<'a> = dyn FnMut(Head) -> Result<()> + 'a;

/// An input that is open: it hands out its heads, window by window.
pub trait Source {
    /// Whose heads they are: a hub id, a folder's or a file's name, or "synthetic".
    fn name(&self) -> &str;

    /// The lengths that will be visited, ascending.
    fn lengths(&self) -> &[usize];

    /// How many windows there are of each length.
    fn windows(&self) -> usize;

    /// How many heads a window has.
    fn heads(&self) -> usize;

    /// The mask that its heads are made under.
    fn mask(&self) -> Mask {
        Mask::Full
    }

    /// Facts about the input for the stamp of the result.
    fn facts(&self) -> Vec<(String, Value)>;

    /// Rows of P in the model, where its attention is Luna's: its heads then come with [`Head::own`].
    fn own_l(&self) -> Option<usize> {
        None
    }

    /// What a reader must know about the input.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What a reader must know before any figure.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// What a reader must know about null models beside its heads.
    fn null_notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Refuses null models, and verdicts with them, beside what are no attention probabilities.
    fn comparable(&self) -> Result<()> {
        Ok(())
    }

    /// What intervals over its windows rest on, where the windows are of one text.
    fn dependence(&self) -> Option<String> {
        None
    }

    /// Whether layers and heads of this input mean something (in synthetic heads the label does).
    fn is_layered(&self) -> bool {
        true
    }

    /// Hands every chosen head of a window to `sink`, with its attention matrix if `matrices`.
    fn visit(&self, n: usize, window: usize, matrices: bool, sink: &mut Sink<'_>) -> Result<()>;
}

/// Refuses a Luna model, for studies that mean the softmax attention which a model computes.
pub(in crate::study) fn needs_softmax(source: &dyn Source) -> Result<()> {
    match source.own_l() {
        Some(_) => {
            Err(Error::value("--model", source.name(), "a model whose attention is softmax, for this"))
        }
        None => Ok(()),
    }
}

impl DumpArgs {
    /// Opens the dumped matrices, if some are named; layers and heads are chosen by `input`.
    pub fn open(&self, input: &InputArgs) -> Result<Option<Box<dyn Source>>> {
        let Some(path) = &self.attention else { return Ok(None) };
        Ok(Some(Box::new(dumped::Dumped::open(input, self, path)?)))
    }
}

impl InputArgs {
    /// Opens the input that the options name, or else `default`.
    pub fn open(&self, seed: u64, default: Unnamed) -> Result<Box<dyn Source>> {
        for n in self.seq_len.iter().flat_map(|lengths| lengths.iter()) {
            if *n == 0 {
                return Err(Error::value("--seq-len", 0, "1 or more"));
            }
        }
        if let Some(windows) = self.windows.filter(|windows| !(1..=1_000_000).contains(windows)) {
            return Err(Error::value("--windows", windows, "1 or more, at most 1000000"));
        }
        match (&self.synthetic, self.unnamed(default)) {
            (Some(specs), _) => Ok(Box::new(synthetic::Drawn::open(self, specs, "synthetic", seed)?)),
            (None, Some(Unnamed::Heads { specs, n })) => {
                let drawn = synthetic::Drawn::open(self, specs, "embedded", seed)?;
                Ok(Box::new(drawn.with_lengths(self.lengths_or(n))))
            }
            (None, Some(Unnamed::Model) | None) => Ok(Box::new(trained::Trained::open(self, seed)?)),
        }
    }

    /// What is read although neither a model nor synthetic heads were named; a text or token ids are for a model.
    pub fn unnamed(&self, default: Unnamed) -> Option<Unnamed> {
        match (&self.model, &self.synthetic, &self.text, &self.tokens) {
            (Some(_), ..) | (_, Some(_), ..) => None,
            (None, None, None, None) => Some(default),
            _ => Some(Unnamed::Model),
        }
    }

    /// The lengths asked for, ascending, or `default`.
    fn lengths_or(&self, default: usize) -> Vec<usize> {
        let mut lengths = self.seq_len.as_ref().map_or_else(|| vec![default], |lengths| lengths.to_vec());
        lengths.sort_unstable();
        lengths
    }

    fn select(&self, layers: usize, heads: usize) -> Result<(Vec<usize>, Vec<usize>)> {
        let select = |what, indices: &Option<Indices>, count| match indices {
            Some(indices) => indices.select(what, count).map(|mut chosen| {
                chosen.sort_unstable();
                chosen
            }),
            None => Ok((0..count).collect()),
        };
        Ok((select("--layers", &self.layers, layers)?, select("--heads", &self.heads, heads)?))
    }
}
