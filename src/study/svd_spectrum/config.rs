//! What `luna svd-spectrum` takes, and what of it cannot stand together.

use clap::{Args, ValueEnum};

use super::columns::Figure;
use super::null;
use super::subject::Subject;
use crate::error::{Error, Result};
use crate::linalg::krylov::KrylovOptions as Options;
use crate::linalg::quadrature;
use crate::name::List;
use crate::study::Aggregate;
use crate::study::input::{DumpArgs, InputArgs, Unnamed};
use crate::sweep::RunFolder;

/// How singular values are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// All of them, from the matrix
    Exact,
    /// Figures of all of them with 95 % intervals, by stochastic Lanczos quadrature that never holds the matrix
    Quadrature,
    /// The leading ones, by block Krylov iterations that never hold the matrix
    Lanczos,
}

impl Method {
    /// The name on the command line.
    pub fn name(self) -> String {
        name_of(&self)
    }
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
    /// What is decomposed
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub of: Subject,
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
    /// How singular values are found [default: exact, or quadrature where that does not fit in memory]
    #[arg(long, value_enum)]
    pub method: Option<Method>,
    /// How many leading values --method lanczos finds [default: 128]
    #[arg(long, value_name = "K")]
    pub top: Option<usize>,
    /// Random vectors of --method quadrature; more of them make its intervals narrower [default: 16]
    #[arg(long, value_name = "P")]
    pub probes: Option<usize>,
    /// Maximum rounds over the matrix of --method quadrature and --method lanczos [default: 64 and 80]
    #[arg(long, value_name = "R")]
    pub rounds: Option<usize>,
    /// Of --method quadrature: rounds end when the interval of the effective rank is narrower than this share of it [default:
    /// 0.05]; of --method lanczos: a value has converged when its bound is below this share of it [default: 0.001]
    #[arg(long, value_name = "SHARE")]
    pub tolerance: Option<f64>,
    /// What the rows of the result are; alone it means yes
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub aggregate: Aggregate,
    /// Where the run is recorded.
    #[arg(skip)]
    pub folder: RunFolder,
}

impl Config {
    /// What is read although no input was named.
    pub fn unnamed(&self) -> Option<Unnamed> {
        if self.dump.attention.is_some() { None } else { self.input.unnamed(Unnamed::Model) }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.check_subject()?;
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
        if let Some(probes) = self.probes.filter(|probes| !(4..=1024).contains(probes)) {
            return Err(Error::value("--probes", probes, "4 to 1024"));
        }
        self.check_method()
    }

    /// Refuses what stands beside the attention matrix only.
    fn check_subject(&self) -> Result<()> {
        if self.of == Subject::Attention {
            return Ok(());
        }
        let (name, given) = (self.of.name(), "--attention FILE holds attention matrices only");
        if self.dump.attention.is_some() {
            return Err(Error::value("--of", name, format!("attention: {given}")));
        }
        if let Some(method) = self.method.filter(|method| *method != Method::Exact) {
            let accepted = format!("exact beside --of {name}, whose spectra are exact at any n");
            return Err(Error::value("--method", method.name(), accepted));
        }
        match null::find(self.null())?.iter().find(|null| !null.spec.params.is_empty()) {
            Some(null) => {
                let accepted = format!("{} beside --of {name}, which has its own width", null.model.name);
                Err(Error::value("--null", &null.spec, accepted))
            }
            None => Ok(()),
        }
    }

    /// The figures of what is decomposed: there are rows of probabilities in attention matrices only.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let mut all = Figure::all(&self.at);
        all.retain(|figure| self.of == Subject::Attention || !figure.is_of_rows());
        all
    }

    /// Refuses what the method that was asked for would ignore.
    fn check_method(&self) -> Result<()> {
        use Method::{Exact, Lanczos, Quadrature};
        let null = self.null.clone().filter(|null| null.trim() != "none");
        let aggregate = (self.aggregate != Aggregate::Auto).then(|| name_of(&self.aggregate));
        let flags: [(&str, Option<String>, &[Method]); 7] = [
            ("--null", null, &[Exact, Quadrature]),
            ("--null-draws", self.null_draws.map(|draws| draws.to_string()), &[Exact, Quadrature]),
            ("--aggregate", aggregate, &[Exact, Quadrature]),
            ("--top", self.top.map(|top| top.to_string()), &[Lanczos]),
            ("--probes", self.probes.map(|probes| probes.to_string()), &[Quadrature]),
            ("--rounds", self.rounds.map(|rounds| rounds.to_string()), &[Quadrature, Lanczos]),
            ("--tolerance", self.tolerance.map(|tolerance| tolerance.to_string()), &[Quadrature, Lanczos]),
        ];
        let method = self.method.unwrap_or(Exact);
        for (flag, value, methods) in flags {
            if let Some(value) = value.filter(|_| !methods.contains(&method)) {
                let names: Vec<String> = methods.iter().map(name_of).collect();
                let accepted = format!("only beside --method {}", names.join(" or "));
                return Err(Error::value(flag, value, accepted));
            }
        }
        Ok(())
    }

    /// The effort of estimates.
    pub(super) fn effort(&self) -> Effort {
        let options =
            quadrature::Options { probes: self.probes.unwrap_or(16), rounds: self.rounds.unwrap_or(64) };
        Effort { options, tolerance: self.tolerance.unwrap_or(0.05) }
    }

    /// How the leading values are found.
    pub(super) fn leading(&self) -> Options {
        Options {
            tolerance: self.tolerance.unwrap_or(1e-3),
            rounds: self.rounds.unwrap_or(80),
            ..Options::for_top(self.top.unwrap_or(128))
        }
    }

    /// The null models that were asked for.
    pub(super) fn null(&self) -> &str {
        self.null.as_deref().unwrap_or("gaussian,shuffled")
    }

    /// Draws of each null model: where a dump has one window, they alone say what varies. They do not follow --windows, so
    /// that a row does not depend on the rows beside it.
    pub(super) fn draws(&self) -> usize {
        self.null_draws.unwrap_or(if self.dump.attention.is_some() { 10 } else { 3 })
    }

    /// The index K that people are shown for matrices of n rows.
    pub(super) fn shown(&self, n: usize) -> usize {
        self.shown_of(n, usize::MAX)
    }

    /// The same where only `top` values are known.
    pub(super) fn shown_of(&self, n: usize, top: usize) -> usize {
        let smallest = self.at.iter().copied().min().unwrap_or(1);
        let quarter = self.at.iter().copied().filter(|k| *k <= (n / 4).min(top)).max();
        self.show_at.unwrap_or_else(|| quarter.unwrap_or(smallest))
    }
}

/// The effort of an estimate.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    pub(super) options: quadrature::Options,
    /// The width of the interval of the effective rank, plain and centred, as a share of it, below which rounds end.
    pub(super) tolerance: f64,
}

/// What a choice is called on the command line.
pub(super) fn name_of(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
}
