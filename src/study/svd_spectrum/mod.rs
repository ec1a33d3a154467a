//! `luna svd-spectrum`: is attention low-rank, by which definition, and more than chance would give?
//!
//! Every head's matrix is decomposed as it stands, without its mean row (a row-stochastic matrix has a large first
//! value for that reason alone), and beside null models ([`null::ALL`]) that share its temperature and mask.
//!
//! # One more null model
//! A function that draws it and one entry of [`null::ALL`]: columns, verdicts, help and `luna list` follow.

mod columns;
mod curves;
mod exact;
mod growth;
mod leading;
pub mod null;
mod summary;
mod verdict;

use clap::{Args, ValueEnum};

use super::input::{DumpArgs, InputArgs, Source, Unnamed};
use super::{Context, Outcome};
use crate::error::{Error, Result};
use crate::name::List;
use crate::report::{Column, Report};

/// How singular values are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// All of them, from the matrix
    #[default]
    Exact,
    /// The leading ones, by block Krylov iterations that never keep the matrix
    Lanczos,
}

/// What the rows of the result are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Aggregate {
    /// Tables show means over windows, JSON and CSV hold every window
    #[default]
    Auto,
    /// Means over windows with 95 % bootstrap intervals, everywhere
    Yes,
    /// Every window, everywhere
    No,
}

/// What `luna svd-spectrum` takes.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where the heads come from.
    #[command(flatten)]
    pub input: InputArgs,
    /// Matrices from elsewhere, in the place of heads.
    #[command(flatten)]
    pub dump: DumpArgs,
    /// Indices K of the cumulative and best-approximation figures (those below n)
    #[arg(long, value_name = "K,...", default_value = "16,32,64,128,256")]
    pub at: List<usize>,
    /// The index K of the table, the heat map and the figure [default: the largest of --at up to n / 4]
    #[arg(long, value_name = "K")]
    pub show_at: Option<usize>,
    /// Null models to stand beside each head, or none (see `luna list`)
    #[arg(long, value_name = "SPECS", default_value = "gaussian,shuffled")]
    pub null: String,
    /// Draws of each null model a head and window
    #[arg(long, value_name = "D", default_value_t = 3)]
    pub null_draws: usize,
    /// How singular values are found
    #[arg(long, value_enum, default_value_t)]
    pub method: Method,
    /// How many leading values --method lanczos finds
    #[arg(long, value_name = "K", default_value_t = 128)]
    pub top: usize,
    /// Rounds over the matrix after which --method lanczos gives up
    #[arg(long, value_name = "R", default_value_t = 80)]
    pub rounds: usize,
    /// A value of --method lanczos has converged when its bound is below this share of it
    #[arg(long, value_name = "SHARE", default_value_t = 1e-3)]
    pub tolerance: f64,
    /// What the rows of the result are; alone it means yes
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub aggregate: Aggregate,
}

impl Config {
    /// What is read although no input was named.
    pub fn unnamed(&self) -> Option<Unnamed> {
        if self.dump.attention.is_some() { None } else { self.input.unnamed(Unnamed::Model) }
    }

    fn check(&self) -> Result<()> {
        let one_or_more = |what: &str, value: usize| match value {
            0 => Err(Error::value(what, value, "1 or more")),
            _ => Ok(()),
        };
        for k in self.at.iter() {
            one_or_more("--at", *k)?;
        }
        if let Some(k) = self.show_at.filter(|k| !self.at.contains(k)) {
            return Err(Error::value("--show-at", k, format!("one of --at {}", self.at)));
        }
        if !(1..=1_000_000).contains(&self.null_draws) {
            return Err(Error::value("--null-draws", self.null_draws, "1 or more, at most 1000000"));
        }
        one_or_more("--top", self.top)?;
        one_or_more("--rounds", self.rounds)?;
        if !(self.tolerance.is_finite() && self.tolerance > 0.0) {
            return Err(Error::value("--tolerance", self.tolerance, "a finite number above 0"));
        }
        Ok(())
    }

    /// The index K that people are shown for matrices of n rows.
    fn shown(&self, n: usize) -> usize {
        let least = self.at.iter().copied().min().unwrap_or(1);
        let quarter = self.at.iter().copied().filter(|k| *k <= n / 4).max();
        self.show_at.unwrap_or_else(|| quarter.unwrap_or(least))
    }
}

/// The columns of the result, where the configuration decides them: leading values decide their own.
pub fn columns(config: &Config) -> Result<Option<Vec<Column>>> {
    let (figures, nulls) = (columns::Figure::all(&config.at), null::find(&config.null)?);
    Ok(match (config.method, config.aggregate) {
        (Method::Lanczos, _) => None,
        (Method::Exact, Aggregate::Yes) => Some(summary::aggregated_columns(&figures, &nulls)),
        (Method::Exact, Aggregate::Auto | Aggregate::No) => Some(exact::row_columns(&figures, &nulls)),
    })
}

/// Runs the study on the input that the configuration names.
pub fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    config.check()?;
    // Mistakes in names cost nothing if they are found before a model is opened.
    let nulls = null::find(&config.null)?;
    let source = match config.dump.open(&config.input)? {
        Some(dumped) => dumped,
        None => config.input.open(context.seed, Unnamed::Model)?,
    };
    let mut outcome = match config.method {
        Method::Exact => exact::run(config, source.as_ref(), &nulls, context)?,
        Method::Lanczos => leading::run(config, source.as_ref(), context)?,
    };
    stamp(&mut outcome.report, config, source.as_ref());
    if !outcome.complete {
        outcome
            .report
            .notes
            .insert(0, "interrupted: not everything that was asked for is in this result".into());
    }
    Ok(outcome)
}

fn stamp(report: &mut Report, config: &Config, source: &dyn Source) {
    let stamp = &mut report.stamp;
    stamp.push("study", "svd-spectrum");
    stamp.push("input", source.name());
    for (key, value) in source.facts() {
        stamp.push(key, value);
    }
    stamp.push("seq_len", source.lengths().to_vec());
    stamp.push("windows", source.windows());
    let method = config.method.to_possible_value();
    stamp.push("method", method.map_or_else(String::new, |method| method.get_name().to_string()));
    match config.method {
        Method::Exact => {
            stamp.push("null", config.null.clone());
            stamp.push("null_draws", config.null_draws);
        }
        Method::Lanczos => {
            stamp.push("top", config.top);
            stamp.push("tolerance", config.tolerance);
        }
    }
    report.notes.extend(source.notes());
}
