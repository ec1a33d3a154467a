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
mod rounding;
mod summary;
mod verdict;

use clap::{Args, ValueEnum};

use super::input::{DumpArgs, InputArgs, Source, Unnamed};
use super::{Context, Outcome};
use crate::error::{Error, Result};
use crate::linalg::krylov::Options;
use crate::name::List;
use crate::report::Column;

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
    /// Null models to stand beside each head, or none (see `luna list`) [default: gaussian,shuffled; none for --method
    /// lanczos]
    #[arg(long, value_name = "SPECS")]
    pub null: Option<String>,
    /// Draws of each null model a head and window [default: 3; 10 for --attention, whose heads have few windows]
    #[arg(long, value_name = "D")]
    pub null_draws: Option<usize>,
    /// How singular values are found
    #[arg(long, value_enum, default_value_t)]
    pub method: Method,
    /// How many leading values --method lanczos finds [default: 128]
    #[arg(long, value_name = "K")]
    pub top: Option<usize>,
    /// Rounds over the matrix after which --method lanczos gives up [default: 80]
    #[arg(long, value_name = "R")]
    pub rounds: Option<usize>,
    /// A value of --method lanczos has converged when its bound is below this share of it [default: 0.001]
    #[arg(long, value_name = "SHARE")]
    pub tolerance: Option<f64>,
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
        if let Some(draws) = self.null_draws.filter(|draws| !(1..=1_000_000).contains(draws)) {
            return Err(Error::value("--null-draws", draws, "1 or more, at most 1000000"));
        }
        for (flag, value) in [("--top", self.top), ("--rounds", self.rounds)] {
            one_or_more(flag, value.unwrap_or(1))?;
        }
        if let Some(tolerance) =
            self.tolerance.filter(|tolerance| !(tolerance.is_finite() && *tolerance > 0.0))
        {
            return Err(Error::value("--tolerance", tolerance, "a finite number above 0"));
        }
        self.check_method()
    }

    /// Refuses what the method that was asked for would ignore.
    fn check_method(&self) -> Result<()> {
        let exact = [
            ("--null", self.null.clone().filter(|null| null.trim() != "none")),
            ("--null-draws", self.null_draws.map(|draws| draws.to_string())),
            ("--show-at", self.show_at.map(|k| k.to_string())),
            ("--aggregate", (self.aggregate != Aggregate::Auto).then(|| name_of(&self.aggregate))),
        ];
        let lanczos = [
            ("--top", self.top.map(|top| top.to_string())),
            ("--rounds", self.rounds.map(|rounds| rounds.to_string())),
            ("--tolerance", self.tolerance.map(|tolerance| tolerance.to_string())),
        ];
        let (ignored, other): (&[_], _) = match self.method {
            Method::Exact => (&lanczos, Method::Lanczos),
            Method::Lanczos => (&exact, Method::Exact),
        };
        for (flag, value) in ignored {
            if let Some(value) = value {
                let accepted = format!("only beside --method {}", name_of(&other));
                return Err(Error::value(*flag, value, accepted));
            }
        }
        Ok(())
    }

    /// How the leading values are found.
    fn leading(&self) -> Options {
        Options {
            tolerance: self.tolerance.unwrap_or(1e-3),
            rounds: self.rounds.unwrap_or(80),
            ..Options::for_top(self.top.unwrap_or(128))
        }
    }

    /// The null models that were asked for.
    fn null(&self) -> &str {
        self.null.as_deref().unwrap_or("gaussian,shuffled")
    }

    /// Draws of each null model: where a dump has one window, they alone say what varies. They do not follow --windows, so
    /// that a row does not depend on the rows beside it.
    fn draws(&self) -> usize {
        self.null_draws.unwrap_or(if self.dump.attention.is_some() { 10 } else { 3 })
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
    let (figures, nulls) = (columns::Figure::all(&config.at), null::find(config.null())?);
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
    let nulls = null::find(config.null())?;
    let compared = config.method == Method::Exact && !nulls.is_empty();
    if let Some(mask) = config.dump.mask.as_ref().filter(|_| !compared) {
        return Err(Error::value("--mask", mask, "only beside null models, which draw under it"));
    }
    let source = match config.dump.open(&config.input)? {
        Some(dumped) => dumped,
        None => config.input.open(context.seed, Unnamed::Model)?,
    };
    if compared {
        source.comparable()?;
    }
    let mut outcome = match config.method {
        Method::Exact => exact::run(config, source.as_ref(), &nulls, context)?,
        Method::Lanczos => leading::run(config, source.as_ref(), context)?,
    };
    stamp(&mut outcome, config, source.as_ref());
    let report = &mut outcome.report;
    // After the word on an interruption, which stands first.
    let first = usize::from(!outcome.complete).min(report.notes.len());
    report.notes.splice(first..first, source.warnings());
    report.notes.extend(source.notes());
    if compared {
        report.notes.extend(source.null_notes());
    }
    Ok(outcome)
}

/// What a choice is called on the command line.
fn name_of(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
}

fn stamp(outcome: &mut Outcome, config: &Config, source: &dyn Source) {
    let Outcome { report, complete } = outcome;
    let stamp = &mut report.stamp;
    stamp.push("study", "svd-spectrum");
    stamp.push("input", source.name());
    for (key, value) in source.facts() {
        stamp.push(key, value);
    }
    stamp.push("seq_len", source.lengths().to_vec());
    stamp.push("windows", source.windows());
    stamp.push("method", name_of(&config.method));
    match config.method {
        Method::Exact => {
            stamp.push("null", config.null());
            stamp.push("null_draws", config.draws());
        }
        Method::Lanczos => {
            let options = config.leading();
            stamp.push("top", options.top);
            stamp.push("rounds", options.rounds);
            stamp.push("tolerance", options.tolerance);
        }
    }
    stamp.push("interrupted", !*complete);
}
