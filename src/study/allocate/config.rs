//! What `luna allocate` takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::budget::Budgets;
use crate::error::{Error, Result};
use crate::name::List;
use crate::study::input::{InputArgs, Unnamed};
use crate::sweep::RunFolder;

/// What weighs the errors of heads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Sensitivity {
    /// Every head replaced alone, and restored alone where all are replaced: two passes a head
    #[default]
    Shapley,
    /// Every head replaced alone: one pass a head
    Head,
    /// All heads of a layer replaced together: one pass a layer
    Layer,
}

impl Sensitivity {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Shapley => "shapley",
            Self::Head => "head",
            Self::Layer => "layer",
        }
    }
}

/// What `luna allocate` takes.
#[derive(Args, Clone, Debug)]
pub struct AllocateConfig {
    /// Trained model: a folder with config.json and safetensors, a run folder of training, byte-transformer (embedded, with a
    /// text), or a hub id in the Hugging Face cache [default: byte-transformer]
    #[arg(long, value_name = "DIR|ID")]
    pub model: Option<String>,
    /// Revision of a hub id
    #[arg(long, value_name = "NAME", requires = "model")]
    pub revision: Option<String>,
    /// Never download; use what the cache holds
    #[arg(long, requires = "model")]
    pub offline: bool,
    /// Text to choose on, and to judge on where no --judge-text is named [default: of an embedded model its own]
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Token ids to choose and to judge on, as JSON list or separated by white space; fed as they stand
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "judge_text"])]
    pub tokens: Option<PathBuf>,
    /// Text to judge on [default: other windows of --text]
    #[arg(long, value_name = "FILE")]
    pub judge_text: Option<PathBuf>,
    /// Sequence length n in tokens [default: 512, or the model's positions if fewer]
    #[arg(long, value_name = "N")]
    pub seq_len: Option<usize>,
    /// Windows to choose on
    #[arg(long, value_name = "W", default_value_t = 2)]
    pub windows: usize,
    /// Windows to judge on
    #[arg(long, value_name = "W", default_value_t = 8)]
    pub judge_windows: usize,
    /// Tokens of each text to leave out before its first window
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub skip_tokens: usize,
    /// Budgets in one unit, each an allocation: l=64 (mean l of a head; softmax counts n), flops=1e9 (of one window's
    /// attention), cache=4096 (bytes of keys and values that a token reads), or shares of what softmax takes: l=10%
    #[arg(long, value_name = "UNIT=B,...", default_value = "l=32,64,128")]
    pub budget: Budgets,
    /// Mechanisms to choose from (see luna list mechanism); softmax is a head's exact attention
    #[arg(long, value_name = "SPECS", default_value = "softmax,sink-window")]
    pub mechanism: String,
    /// Projected lengths to choose from, for each mechanism that takes l and has none typed (those up to n)
    #[arg(long, value_name = "L,...", default_value = "4,8,16,32,64,128,256,512,1024")]
    pub l: List<usize>,
    /// What weighs the errors of heads: what each does to the model's predictions
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub sensitivity: Sensitivity,
    /// Where the run is recorded.
    #[arg(skip)]
    pub folder: RunFolder,
}

impl AllocateConfig {
    /// What is read although no model was named.
    pub fn unnamed(&self) -> Option<Unnamed> {
        self.input(self.text.as_ref(), 1).unnamed(Unnamed::Model)
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.l.contains(&0) {
            return Err(Error::value("--l", 0, "1 or more"));
        }
        let counts = [
            ("--windows", Some(self.windows)),
            ("--judge-windows", Some(self.judge_windows)),
            ("--seq-len", self.seq_len),
        ];
        for (flag, count) in counts {
            if count == Some(0) {
                return Err(Error::value(flag, 0, "1 or more"));
            }
        }
        Ok(())
    }

    /// The input that reads so many windows of a text.
    pub(super) fn input(&self, text: Option<&PathBuf>, windows: usize) -> InputArgs {
        InputArgs {
            model: self.model.clone(),
            revision: self.revision.clone(),
            offline: self.offline,
            text: text.cloned(),
            tokens: self.tokens.clone(),
            seq_len: self.seq_len.and_then(|n| List::new([n])),
            windows: Some(windows),
            skip_tokens: self.skip_tokens,
            ..InputArgs::default()
        }
    }
}
