//! Every figure of heads whose matrices are too large to hold, with its interval, beside null models.

use super::Config;
use super::columns::{Figure, Values};
use super::config::Effort;
use super::measure::{Draw, Measurement, place};
use super::measured::{Ends, Measured};
use super::null::{Beside, NullSpec};
use super::operator::{self, HeadMatrix, kept};
use crate::error::Result;
use crate::linalg::operator::Operator;
use crate::linalg::quadrature::{self, Density, Estimate};
use crate::linalg::rounding::{self, EntryRounding, Rounding};
use crate::linalg::spectra::Spectra;
use crate::metric::{RowProfile, Spectrum};
use crate::profile::ram;
use crate::rng::{Rng, stream};
use crate::stats::Interval;
use crate::study::Context;
use crate::study::input::{Head, HeadWindow, Source};

/// Rounds that a matrix takes as a rule, for the estimate of the time left.
pub(super) const ROUNDS: usize = 24;

/// What estimating needs beside the head.
#[derive(Clone, Copy)]
pub(super) struct Estimator<'a> {
    pub(super) measurement: Measurement<'a>,
    pub(super) effort: Effort,
}

impl Estimator<'_> {
    /// All figures of a head.
    pub(super) fn head(&self, at: HeadWindow, head: &Head) -> Result<Measured> {
        let Measurement { figures, context, .. } = self.measurement;
        let a = HeadMatrix::of(head);
        let rows = operator::rows(&a, &Figure::indices(figures), &head.label, context.watch)?;
        let place = place(head);
        let found = self.matrix(&a, a.rounding(), &place, &head.label)?;
        let (mut values, ends) = self.values(&found);
        for (value, figure) in values.plain.iter_mut().zip(figures) {
            if figure.is_of_rows() {
                *value = figure.of_rows(&rows);
            }
        }
        let nulls = self.measurement.nulls(&place, |null, Draw { number, label, mut rng }| {
            let (a, unit) = drawn(null, head, &rows, &mut rng)?;
            let shown = format!("{}, {} null, draw {}", head.label, null.model.name, number + 1);
            let found = self.matrix(a.as_ref(), unit, &label, &shown)?;
            Ok((found.plain.values(size(&*a)), self.values(&found).0))
        })?;
        let size = size(&a);
        let spectra = Spectra {
            plain: found.plain.values(size),
            centred: found.centred.values(size),
            rounding: found.rounding,
        };
        Ok(Measured { at, spectra, values, ends: Some(ends), zeros: head.zeros(&rows), nulls })
    }

    /// Rounds over a matrix until its effective rank is known; the random stream is that of `label`.
    fn matrix(&self, a: &dyn Operator, unit: EntryRounding, label: &str, shown: &str) -> Result<Estimate> {
        let Measurement { figures, context: Context { watch, seed, .. }, .. } = self.measurement;
        let effective_rank = &figures[Figure::effective_rank(figures)];
        let shape = a.shape();
        let mut last = String::new();
        let mut on_round = |round: usize, found: Option<&Estimate>| {
            let mut is_enough = false;
            if let Some(found) = found {
                let ranks = sides(found)
                    .map(|(density, energy)| figure(density, effective_rank, shape, energy, found.rounding));
                let narrow = |rank: &Option<Interval>| {
                    rank.is_none_or(|rank| rank.high - rank.low <= self.effort.tolerance * rank.mid)
                };
                is_enough = ranks.iter().all(narrow);
                last = ranks[0].map_or_else(String::new, |rank| {
                    format!(", effective rank {:.1} ± {:.1}", rank.mid, rank.high - rank.mid)
                });
            }
            watch.more(usize::from(round > ROUNDS));
            watch.step(1, &format!("{shown}: round {round}{last}"));
            watch.check()?;
            Ok(is_enough)
        };
        let mut rng = stream(seed, &format!("quadrature {label}"));
        let check = || watch.check();
        let found = quadrature::estimate(a, self.effort.options, unit, &mut rng, &check, &mut on_round)?;
        // A matrix that needed fewer rounds than expected is done all the same.
        watch.step(ROUNDS.saturating_sub(found.rounds), shown);
        Ok(found)
    }

    /// The figures of a spectrum with the ends of their intervals; none of those of rows.
    fn values(&self, found: &Estimate) -> (Values, Ends) {
        let shape = found.shape;
        let [plain, centred] = sides(found).map(|(density, energy)| -> Vec<Option<Interval>> {
            let of = |one: &Figure| figure(density, one, shape, energy, found.rounding);
            self.measurement.figures.iter().map(of).collect()
        });
        let side = |end: fn(Interval) -> f64| {
            let of = |side: &[Option<Interval>]| side.iter().map(|one| one.map(end)).collect();
            Values { plain: of(&plain), centred: of(&centred) }
        };
        let ends = Ends {
            low: side(|one| one.low),
            high: side(|one| one.high),
            rounds: found.rounds,
            apart: found.plain.apart(),
        };
        (side(|one| one.mid), ends)
    }
}

/// One draw of a null model beside a head, and how its entries are rounded.
fn drawn<'a>(
    null: &NullSpec,
    head: &'a Head,
    rows: &'a RowProfile,
    rng: &mut Rng,
) -> Result<(Box<dyn Operator + 'a>, EntryRounding)> {
    if let (None, Some(input)) = (&head.own, head.input()) {
        let beside = Beside { input, terms: &head.terms, rows };
        return Ok((null.operator(&beside, rng)?, rounding::F32));
    }
    let a = kept(null.draw(head, &head.matrix(), rows, rng)?);
    let unit = rounding::unit(a.view());
    Ok((Box::new(a), unit))
}

/// Both spectra with the sums of their squares.
fn sides(found: &Estimate) -> [(&Density, f64); 2] {
    [(&found.plain, found.energy), (&found.centred, found.centred_energy)]
}

/// min(n, m).
fn size(a: &dyn Operator) -> usize {
    let (n, m) = a.shape();
    n.min(m)
}

/// A figure of a spectrum with its interval; a number of values is rounded up as it is where all are known.
fn figure(
    density: &Density,
    figure: &Figure,
    (n, m): (usize, usize),
    energy: f64,
    rounding: Rounding,
) -> Option<Interval> {
    let of = |sigma: &[f64], weights: &[f64]| {
        let size = n.min(m);
        let weights = Some(weights);
        let epsilon = rounding.epsilon;
        figure.of(&Spectrum { sigma, weights, size, longest: n.max(m), energy, epsilon, rounding }, None)
    };
    let found = density.figure(&of)?;
    if !figure.metric.integer {
        return Some(found);
    }
    // A count that is whole but for the rounding of sums stays.
    let up = |x: f64| (x - 1e-9 * x.abs()).ceil().clamp(0.0, n.min(m) as f64);
    Some(Interval { mid: up(found.mid), low: up(found.low), high: up(found.high) })
}

/// Refuses lengths of which the basis would not fit in memory.
pub(super) fn check_memory(config: &Config, source: &dyn Source) -> Result<()> {
    let options = config.effort().options;
    source.lengths().iter().try_for_each(|n| {
        let needed = options.bytes((*n, *n), rayon::current_num_threads()) as u64;
        let what = format!("--method quadrature at n = {n}");
        let instead = "fewer --probes, --rounds or --threads need less, and --method lanczos --top K";
        ram::require(what, needed, instead)
    })
}
