//! `luna scale-sweep`: FLOPs, time and memory over the sequence length n and the projected length l, and where each pays.
//!
//! Every mechanism with a fused form is run at every length: by itself once, for what its tiles count and what it
//! allocates, then together with all others in rounds whose order is drawn anew, so that ratios are of runs side by side.
//! Exact attention is there twice, fused and with its n x n matrices. No time is printed for code that has not just agreed
//! with its reference implementation (the table of what is held against what is in `gate`).

mod alone;
mod asked;
mod cell;
mod conventions;
mod core;
mod crossing;
mod errors;
mod exponent;
mod figures;
mod fit;
mod front;
mod gate;
mod journal;
mod measure;
mod notes;
mod pays;
mod plan;
#[cfg(test)]
mod planted;
pub mod preset;
mod row;
mod settings;
mod subject;
mod train;
mod view;
mod whole;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

pub use alone::{Again, growth};

use super::{Context, Outcome};
use crate::error::{Error, Result};
use crate::name::{self, Item, List};
use crate::profile::clock::Stopwatch;
use crate::report::{Column, Report};

use asked::Asked;
use errors::Errors;
use journal::Journal;
use settings::Settings;

/// What is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Unit {
    /// The bare attention: heads in, heads out
    #[default]
    Core,
    /// A layer: projections, attention, norms, feed-forward network
    Layer,
    /// An encoder: layers on top of each other
    Encoder,
}

/// Which way it is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Pass {
    /// Inputs to outputs
    #[default]
    Forward,
    /// Forward, and the gradients of every input
    Train,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Operations, in closed form and counted by the kernels.
    Flops,
    /// Seconds.
    Time,
    /// Bytes.
    Memory,
    /// How far stand-ins are from softmax attention on an input.
    Error,
}

impl Measure {
    const ALL: [(&'static str, Self); 4] =
        [("flops", Self::Flops), ("time", Self::Time), ("memory", Self::Memory), ("error", Self::Error)];
}

impl Item for Measure {
    fn read(_: &str, text: &str) -> Result<Self> {
        name::find("measure", text, &Self::ALL, |(name, _)| name).map(|(_, measure)| *measure)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.iter().find(|(_, measure)| measure == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Layer => "layer",
            Self::Encoder => "encoder",
        }
    }
}

impl Pass {
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Train => "train",
        }
    }
}

/// A length of time as people type it: `90`, `90s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds(pub f64);

impl FromStr for Seconds {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = || Error::value("--budget", text, "a time such as 60s, 5m or 1h");
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

/// What `luna scale-sweep` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Config {
    /// Mechanisms, such as `softmax,luna,linformer:l=64` (see `luna list attention`) [default: all that have fused forms]
    #[arg(long, value_name = "SPECS")]
    pub attention: Option<String>,
    /// Sequence lengths n in tokens [default: 128,256,512,1024,2048,4096]
    #[arg(long, value_name = "N,...")]
    pub seq_len: Option<List<usize>>,
    /// Projected lengths: every named mechanism that takes l, and has none typed, is measured at each (those up to n)
    /// [default: 16,128,256]
    #[arg(long, value_name = "L,...")]
    pub l: Option<List<usize>>,
    /// Heads h [default: 8]
    #[arg(long, value_name = "H")]
    pub heads: Option<usize>,
    /// Width of a head [default: 64]
    #[arg(long, value_name = "D")]
    pub head_dim: Option<usize>,
    /// Sequences at once [default: 1]
    #[arg(long, value_name = "B")]
    pub batch: Option<usize>,
    /// What is run [default: core]
    #[arg(long, value_enum, value_name = "UNIT")]
    pub unit: Option<Unit>,
    /// Width of the feed-forward network of a layer [default: 4 times the width of the layer]
    #[arg(long, value_name = "F")]
    pub ffn: Option<usize>,
    /// Layers of an encoder [default: 4]
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// Mask causally: query i sees keys 0 to i
    #[arg(long)]
    pub causal: bool,
    /// Forward, or forward and backward [default: forward]
    #[arg(long, value_enum, value_name = "PASS")]
    pub pass: Option<Pass>,
    /// What is measured: flops, time, memory, error [default: flops,time,memory]
    #[arg(long, value_name = "WHAT,...")]
    pub measure: Option<List<Measure>>,
    /// Rounds at most, each of which times everything once [default: 15]
    #[arg(long, value_name = "R")]
    pub rounds: Option<usize>,
    /// Time for the whole sweep; what does not fit is predicted or left out, and says so [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub budget: Option<Seconds>,
    /// The sweep of a paper's table: luna-table-4, linformer-table-3; what is typed beside it wins
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Whether to continue the interrupted sweep in the run folder.
    #[arg(skip)]
    pub resume: bool,
    /// Where the heads for --measure error come from.
    #[command(flatten)]
    pub input: ErrorInput,
    /// Run one cell and say how much the resident set grew
    #[arg(long, hide = true, value_name = "FORM")]
    pub alone: Option<String>,
    /// The run folder, for the journal.
    #[arg(skip)]
    pub folder: Option<PathBuf>,
    /// How this program is run again, for cells in a process of their own.
    #[arg(skip)]
    pub again: Option<Again>,
}

/// Where the heads come from that `--measure error` judges on. Without any option, a few embedded synthetic ones.
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

/// The columns of the result.
pub fn columns() -> Vec<Column> {
    row::columns()
}

/// Runs the sweep.
pub fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    let settings = Settings::of(config)?;
    let asked = Asked::of(&settings)?;
    let named = config.input.model.is_some() || config.input.synthetic.is_some();
    if named && !settings.measures(Measure::Error) {
        let accepted = "nothing, or --measure with error: only that reads an input";
        return Err(Error::value("--model or --synthetic", "given", accepted));
    }
    let hash = settings.fingerprint(context.seed);
    let mut journal = Journal::open(config.folder.as_deref(), &hash, config.resume)?;
    let watch = Stopwatch::start();
    let errors = Errors::measure(&config.input, &asked.cells, &settings, (watch, context))?;
    let sweep = measure::run(asked, &settings, config.again, &mut journal, (watch, context))?;
    let mut report =
        Report { rows: row::table(&sweep, &settings, &errors, context.seed), ..Report::default() };
    let views = [
        Some(("costs", view::costs(&sweep, &settings))),
        settings.preset.map(|preset| ("published", preset.table(&sweep))),
        front::table(&sweep, &errors, context.seed).map(|table| ("front", table)),
        exponent::table(&sweep).map(|table| ("exponents", table)),
        pays::table(&sweep, &settings, context.seed).map(|table| ("crossover", table)),
        conventions::table(&sweep, &settings).map(|table| ("conventions", table)),
    ];
    report.views = views.into_iter().flatten().map(|(name, table)| (name.into(), table)).collect();
    report.figures = figures::all(&sweep);
    report.notes = notes::all(&sweep, &settings, &errors, context.seed);
    notes::stamp(&mut report, &sweep, &settings, &hash.word());
    if !sweep.complete {
        report.stamp.push("interrupted", true);
        report.notes.insert(0, notes::interrupted(&sweep));
    }
    Ok(Outcome { report, complete: sweep.complete })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_type_them() {
        for (text, seconds) in [("90", 90.0), ("1.5s", 1.5), ("5m", 300.0), ("1h", 3600.0)] {
            assert_eq!(text.parse::<Seconds>().unwrap(), Seconds(seconds));
        }
        for text in ["", "s", "-1s", "1d", "inf", "nan"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }

    #[test]
    fn measures_are_found_by_name() {
        let list: List<Measure> = "time,flops".parse().unwrap();
        assert_eq!(list.to_string(), "time,flops");
        let error = "tme".parse::<List<Measure>>().unwrap_err().to_string();
        assert!(error.contains("did you mean 'time'"), "{error}");
    }
}
