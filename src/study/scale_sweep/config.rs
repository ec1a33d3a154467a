//! The flags of `luna scale-sweep`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::options::{Measure, Pass, Unit};
use crate::error::{Error, Result};
use crate::name::List;
use crate::sweep::RunFolder;

/// The flags of `luna scale-sweep`; what is none has a default or comes from a preset.
#[derive(Args, Clone, Debug, Default)]
pub struct ScaleSweepConfig {
    /// Mechanisms, such as `softmax,luna,linformer:l=64` (see `luna list mechanism`) [default: all that have fused
    /// implementations]
    #[arg(long, alias = "attention", value_name = "SPECS")]
    pub mechanism: Option<String>,
    /// Allocation of `luna allocate`: cost and time of all heads of its model, each with its mechanism [default of --seq-len: its n]
    #[arg(long, value_name = "FILE", conflicts_with_all = NOT_BESIDE_ALLOCATION)]
    pub allocation: Option<PathBuf>,
    /// Sequence lengths n in tokens [default: 128,256,512,1024,2048,4096]
    #[arg(long, value_name = "N,...")]
    pub seq_len: Option<List<usize>>,
    /// Projected lengths: each mechanism that takes l, and whose spec has none, is measured at each (those up to n)
    /// [default: 16,128,256]
    #[arg(long, value_name = "L,...")]
    pub l: Option<List<usize>>,
    /// Number of heads h [default: 8]
    #[arg(long, alias = "heads", value_name = "H")]
    pub num_heads: Option<usize>,
    /// Width of a head [default: 64]
    #[arg(long, value_name = "D")]
    pub head_dim: Option<usize>,
    /// Sequences in a batch [default: 1]
    #[arg(long, value_name = "B")]
    pub batch: Option<usize>,
    /// What is run [default: core]
    #[arg(long, value_enum, value_name = "UNIT")]
    pub unit: Option<Unit>,
    /// Width of the feed-forward network of a layer [default: 4 times the width of the layer]
    #[arg(long, value_name = "F")]
    pub ffn: Option<usize>,
    /// Number of layers of an encoder [default: 4]
    #[arg(long, alias = "layers", value_name = "N")]
    pub num_layers: Option<usize>,
    /// Causal mask: query i sees keys 0 to i
    #[arg(long)]
    pub causal: bool,
    /// Forward, or forward and backward [default: forward]
    #[arg(long, value_enum, value_name = "PASS")]
    pub pass: Option<Pass>,
    /// What is measured: flops, time, memory, error [default: flops,time,memory]
    #[arg(long, value_name = "WHAT,...")]
    pub measure: Option<List<Measure>>,
    /// Maximum number of rounds, each of which times everything once [default: 15]
    #[arg(long, value_name = "R")]
    pub rounds: Option<usize>,
    /// Time for the whole sweep; cells that do not fit are predicted or left out, and marked [default: 60s]
    #[arg(long = "time-limit", alias = "budget", value_name = "TIME")]
    pub budget: Option<Duration>,
    /// The sweep of a paper's table: luna-table-4, linformer-table-3; other flags override it
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Where the heads for --measure error come from.
    #[command(flatten)]
    pub input: ErrorInput,
    /// Run one cell of this form and print how much the resident set grew
    #[arg(long, hide = true, value_name = "FORM")]
    pub alone: Option<String>,
    /// Where the run is recorded.
    #[arg(skip)]
    pub folder: RunFolder,
    /// Starts this program again, for cells in a process of their own.
    #[arg(skip)]
    pub spawn: Option<Spawn>,
}

/// Options that an allocation decides, or that it has no form for.
const NOT_BESIDE_ALLOCATION: [&str; 10] =
    ["mechanism", "l", "num_heads", "head_dim", "causal", "unit", "ffn", "num_layers", "pass", "preset"];

/// Runs this program with arguments and returns what it writes, or none if it fails.
pub type Spawn = fn(&[String]) -> Option<String>;

/// The heads on which `--measure error` compares mechanisms; by default a few synthetic ones.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Input of --measure error")]
pub struct ErrorInput {
    /// Trained model: a folder with config.json and safetensors, or a hub id in the Hugging Face cache
    #[arg(long, value_name = "DIR|ID", conflicts_with = "synthetic")]
    pub model: Option<String>,
    /// Revision of a hub id
    #[arg(long, value_name = "NAME", requires = "model")]
    pub revision: Option<String>,
    /// Never download; use what the cache holds
    #[arg(long, requires = "model")]
    pub offline: bool,
    /// Text for the model, through its own tokenizer.json
    #[arg(long, value_name = "FILE", requires = "model", conflicts_with = "tokens")]
    pub text: Option<PathBuf>,
    /// Token ids for the model, as JSON list or separated by white space
    #[arg(long, value_name = "FILE", requires = "model")]
    pub tokens: Option<PathBuf>,
    /// Synthetic heads such as `gaussian:logit_sd=1,d_h=64` (see `luna list`) [default: untrained heads of four
    /// temperatures]
    #[arg(long, value_name = "SPECS")]
    pub synthetic: Option<String>,
    /// Windows of the text, or draws of synthetic heads [default: 8, or as many as the text has]
    #[arg(long, value_name = "W")]
    pub windows: Option<usize>,
}

/// Seconds, read from `90`, `90s`, `5m` or `1h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duration(pub f64);

impl FromStr for Duration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = || Error::value("--time-limit", text, "a time such as 60s, 5m or 1h");
        let (number, unit) = match text.char_indices().last() {
            Some((at, 's')) => (&text[..at], 1.0),
            Some((at, 'm')) => (&text[..at], 60.0),
            Some((at, 'h')) => (&text[..at], 3600.0),
            _ => (text, 1.0),
        };
        let number: f64 = number.trim().parse().map_err(|_| refused())?;
        if number > 0.0 && number.is_finite() { Ok(Self(number * unit)) } else { Err(refused()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [("90", 90.0), ("1.5s", 1.5), ("5m", 300.0), ("1h", 3600.0)] {
            assert_eq!(text.parse::<Duration>().unwrap(), Duration(seconds));
        }
        for text in ["", "s", "-1s", "1d", "inf", "nan"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
