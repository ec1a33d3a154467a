//! What `luna approx-error` takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::attention::fit;
use crate::error::{Error, Result};
use crate::name::List;
use crate::study::Aggregate;
use crate::study::input::{InputArgs, Unnamed};
use crate::sweep::RunFolder;

/// Untrained heads of three temperatures at the length and width of the paper's models: the theorem is of any head, and
/// theirs can be given values that average out and values that do not.
pub(super) const HEADS: Unnamed =
    Unnamed::Heads { specs: "gaussian:logit_sd=0.25,gaussian:logit_sd=1,gaussian:logit_sd=4", n: 512 };

/// What can be checked beside the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Check {
    /// The construction in the proof of Linformer's theorem 1, by the relative and the additive form
    #[value(name = "linformer-theorem-1")]
    LinformerTheorem1,
}

/// Whether heads are compared row by row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// Above n = 2048, where every mechanism can
    #[default]
    Auto,
    /// At every length
    #[value(alias = "true")]
    Yes,
    /// At none
    #[value(alias = "false")]
    No,
}

/// What `luna approx-error` takes.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where the heads come from.
    #[command(flatten)]
    pub input: InputArgs,
    /// Mechanisms, such as `luna:p=segment,linformer:l=64` (see `luna list attention`); `trained` is a Luna model's own
    /// [default: a handful that fits the mask]
    #[arg(long, value_name = "SPECS", alias = "attention")]
    pub mechanism: Option<String>,
    /// Projected lengths: every named mechanism that takes l, and has none typed, is measured at each (those up to n)
    #[arg(long, value_name = "L,...", default_value = "16,32,64,128,256")]
    pub l: List<usize>,
    /// Print the smallest l at which each mechanism's output error stays below these
    #[arg(long, value_name = "EPS,...", alias = "tolerance", conflicts_with_all = ["substitute", "check"])]
    pub target_error: Option<List<f64>>,
    /// Mechanism of --mechanism that the others are compared with, head by head or window by window
    /// [default: the best of the same l]
    #[arg(long, value_name = "SPEC", conflicts_with = "check")]
    pub baseline: Option<String>,
    /// First windows to fit p=fitted and e=fitted on; the others are judged [default: all but the last quarter]
    #[arg(long, value_name = "W")]
    pub fit_windows: Option<usize>,
    /// Steps of a fit at most
    #[arg(long, value_name = "S", default_value_t = fit::Options::default().steps)]
    pub fit_steps: usize,
    /// Run the whole model with the attention of these layers replaced: all, such as 0-3,5, or by their mask (full, sliding)
    #[arg(long, value_name = "all|full|sliding|LAYERS", conflicts_with_all = ["check", "layers", "heads", "synthetic", "qkv"])]
    pub substitute: Option<String>,
    /// Allocation of `luna allocate` to replace attention with, beside the mechanisms that are named: a mechanism for each head
    #[arg(long, value_name = "FILE", requires = "substitute")]
    pub allocation: Option<PathBuf>,
    /// What the rows of the result are; alone it means yes
    #[arg(
        long,
        value_enum,
        default_value_t,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        conflicts_with_all = ["substitute", "check"]
    )]
    pub aggregate: Aggregate,
    /// Compare row by row, without n x n arrays: mechanisms that read some of the keys, without the best of rank l; alone it
    /// means yes [default: above n = 2048, where every mechanism can]
    #[arg(
        long,
        value_enum,
        default_value_t,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        hide_default_value = true,
        conflicts_with_all = ["substitute", "check"]
    )]
    pub stream: Stream,
    /// Test a claim of a paper instead; where no input is named, on untrained heads of three temperatures
    #[arg(long, value_enum, value_name = "CLAIM", conflicts_with = "mechanism")]
    pub check: Option<Check>,
    /// Errors eps that --check asks about
    #[arg(long, value_name = "EPS,...", default_value = "0.5,0.25", requires = "check")]
    pub eps: List<f64>,
    /// Random projections that --check draws for each head, window and eps
    #[arg(long, value_name = "D", default_value_t = 10, requires = "check")]
    pub draws: usize,
    /// Where the run is recorded.
    #[arg(skip)]
    pub folder: RunFolder,
}

impl Config {
    /// What is read although no input was named.
    pub fn unnamed(&self) -> Option<Unnamed> {
        self.input.unnamed(if self.check.is_some() { HEADS } else { Unnamed::Model })
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.l.contains(&0) {
            return Err(Error::value("--l", 0, "1 or more"));
        }
        if self.fit_steps == 0 {
            return Err(Error::value("--fit-steps", 0, "1 or more"));
        }
        if !(1..=1_000_000).contains(&self.draws) {
            return Err(Error::value("--draws", self.draws, "1 or more, at most 1000000"));
        }
        if let Some(eps) = self.eps.iter().find(|eps| !(0.05..1.0).contains(*eps)) {
            return Err(Error::value("--eps", eps, "numbers from 0.05 to below 1"));
        }
        for eps in self.target_error.iter().flat_map(|list| list.iter()) {
            if *eps <= 0.0 {
                return Err(Error::value("--target-error", eps, "numbers above 0"));
            }
        }
        Ok(())
    }

    pub(super) fn fit_options(&self) -> fit::Options {
        fit::Options { steps: self.fit_steps, ..fit::Options::default() }
    }
}
