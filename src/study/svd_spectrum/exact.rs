//! Every singular value of every head, beside null models.

use std::borrow::Cow;

use ndarray::Array2;
use rayon::prelude::*;

use super::columns::{self, Figure, Values};
use super::null::Asked;
use super::verdict::{self, difference};
use super::{Aggregate, Config, curves, growth, rounding, summary};
use crate::error::{Error, Result};
use crate::linalg::spectra::{self, Spectra};
use crate::metric::{RowProfile, Spectrum};
use crate::profile::ram;
use crate::report::{Column, Report, Table};
use crate::rng::stream;
use crate::study::input::{Head, Source};
use crate::study::{Context, Outcome};
use crate::task::dump::Matrix;

/// Bytes of attention matrices that may wait for their turn.
const WAITING: usize = 1 << 27;

/// What was measured of one head in one window.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) label: String,
    pub(super) layer: usize,
    pub(super) head: usize,
    pub(super) window: usize,
    pub(super) n: usize,
    pub(super) spectra: Spectra,
    pub(super) values: Values,
    /// The share of zeros among the probabilities that the mask leaves open.
    pub(super) zeros: f64,
    pub(super) nulls: Vec<NullMeasured>,
}

/// What was measured of one null model beside it.
#[derive(Clone, Debug)]
pub(super) struct NullMeasured {
    /// Mean over draws.
    pub(super) values: Values,
    /// Of each draw.
    pub(super) effective_ranks: Vec<f64>,
    /// Mean over draws of the cumulative share of the singular values.
    pub(super) cumulative: Vec<f64>,
}

impl Measured {
    /// Two measurements of the same head over different windows have the same key.
    pub(super) fn key(&self) -> (usize, usize, usize, &str) {
        (self.n, self.layer, self.head, &self.label)
    }
}

/// What measuring needs beside the head.
struct Job<'a> {
    figures: &'a [Figure],
    nulls: &'a [Asked],
    draws: usize,
    context: Context<'a>,
}

pub(super) fn run(
    config: &Config,
    source: &dyn Source,
    nulls: &[Asked],
    context: Context<'_>,
) -> Result<Outcome> {
    for n in source.lengths() {
        check_memory(*n)?;
    }
    let figures = Figure::all(&config.at);
    let draws = config.draws();
    let job = Job { figures: &figures, nulls, draws, context };
    let each = 1 + nulls.len() * draws;
    if !nulls.is_empty() && draws == 1 && source.windows() == 1 {
        context.watch.say(
            "one window and one draw of each null model leave no interval, so every verdict will be undecided; \
             --windows or --null-draws above 1 decide",
        );
    }
    let total = source.lengths().len() * source.windows() * source.heads() * each;
    context.watch.begin(total, "spectra");
    let mut measured = Vec::new();
    let complete = match visit(source, &job, &mut measured) {
        Ok(()) => true,
        Err(Error::Interrupted) if !measured.is_empty() => false,
        Err(error) => return Err(error),
    };
    measured.sort_by(|a, b| (a.key(), a.window).cmp(&(b.key(), b.window)));
    Ok(Outcome { report: report(config, source, nulls, &figures, &measured, context), complete })
}

fn visit(source: &dyn Source, job: &Job<'_>, measured: &mut Vec<Measured>) -> Result<()> {
    let threads = rayon::current_num_threads();
    for n in source.lengths() {
        let most = (WAITING / (4 * n * n).max(1)).clamp(threads, 12 * threads);
        let mut waiting = Vec::new();
        for window in 0..source.windows() {
            source.visit(*n, window, true, &mut |head| {
                job.context.watch.check()?;
                waiting.push(head);
                if waiting.len() >= most { job.measure(&mut waiting, measured) } else { Ok(()) }
            })?;
        }
        job.measure(&mut waiting, measured)?;
    }
    Ok(())
}

impl Job<'_> {
    /// Measures the heads that wait, in parallel: one thread a head.
    fn measure(&self, waiting: &mut Vec<Head>, measured: &mut Vec<Measured>) -> Result<()> {
        let heads = std::mem::take(waiting);
        let done: Vec<Result<Measured>> = heads.par_iter().map(|head| self.head(head)).collect();
        // A stop loses the heads in work, and none that is done.
        let mut failed = Ok(());
        for one in done {
            match one {
                Ok(one) => measured.push(one),
                Err(error) => failed = Err(error),
            }
        }
        failed
    }

    fn head(&self, head: &Head) -> Result<Measured> {
        let watch = self.context.watch;
        watch.check()?;
        let matrix = head.matrix();
        let (spectra, rows, values) = self.matrix(&matrix, &|| head.precise())?;
        watch.step(1, &head.label);
        let mut nulls = Vec::new();
        for null in self.nulls {
            let mut drawn = Vec::new();
            for draw in 0..self.draws {
                watch.check()?;
                let label = format!(
                    "null {} {} n {} window {} draw {draw}",
                    null.spec, head.label, head.shape.0, head.window
                );
                let matrix = null.draw(head, &matrix, &rows, &mut stream(self.context.seed, &label))?;
                let (spectra, _, values) = self.matrix(&matrix, &|| None)?;
                drawn.push((spectra, values));
                watch.step(1, &head.label);
            }
            nulls.push(self.mean(&drawn));
        }
        let zeros = head.zeros(&matrix, &rows);
        let Head { label, layer, head, window, shape, .. } = head;
        let (label, layer, head, window) = (label.clone(), *layer, *head, *window);
        Ok(Measured { label, layer, head, window, n: shape.0, spectra, values, zeros, nulls })
    }

    /// The figures of a matrix; `precise` makes it once more in f64, if it can, where little is left of it without its
    /// mean row.
    fn matrix(
        &self,
        matrix: &Matrix,
        precise: &dyn Fn() -> Option<Array2<f64>>,
    ) -> Result<(Spectra, RowProfile, Values)> {
        let engine = self.context.engine;
        let (spectra, shape, rows) = match matrix {
            Matrix::F32(a) => (spectra::of_f32_or(a.view(), engine, precise)?, a.dim(), Cow::Borrowed(a)),
            Matrix::F64(a) => (spectra::of_f64(a.view(), engine)?, a.dim(), Cow::Owned(a.mapv(|x| x as f32))),
        };
        let profile = RowProfile::of(rows.view());
        let plain = Spectrum::rounded(&spectra.plain, shape, spectra.rounding);
        let centred = Spectrum::rounded(&spectra.centred, shape, spectra.rounding);
        let values = Values {
            plain: self.figures.iter().map(|figure| figure.of(&plain, Some(&profile))).collect(),
            centred: self.figures.iter().map(|figure| figure.of(&centred, None)).collect(),
        };
        Ok((spectra, profile, values))
    }

    fn mean(&self, drawn: &[(Spectra, Values)]) -> NullMeasured {
        let mean = |side: fn(&Values) -> &Vec<Option<f64>>| {
            let of = |i: usize| drawn.iter().map(|(_, values)| side(values)[i]).collect::<Option<Vec<f64>>>();
            (0..self.figures.len()).map(|i| of(i).map(|values| crate::stats::mean(&values))).collect()
        };
        let effective_rank = effective_rank_index(self.figures);
        let shares: Vec<Vec<f64>> =
            drawn.iter().map(|(spectra, _)| curves::cumulative(&spectra.plain)).collect();
        NullMeasured {
            values: Values { plain: mean(|values| &values.plain), centred: mean(|values| &values.centred) },
            effective_ranks: drawn.iter().filter_map(|(_, values)| values.plain[effective_rank]).collect(),
            cumulative: curves::mean(shares.iter().map(Vec::as_slice)),
        }
    }
}

/// Where the effective rank, on which verdicts rest, stands among the figures.
pub(super) fn effective_rank_index(figures: &[Figure]) -> usize {
    figures.iter().position(|figure| figure.metric.name == "effective_rank").unwrap_or(0)
}

/// Refuses lengths whose decompositions would not fit in memory.
fn check_memory(n: usize) -> Result<()> {
    let threads = rayon::current_num_threads() as u64;
    // A matrix in f32 that waits; and for each thread its copy, its Gram matrix and what the decomposition works in.
    let square = (n as u64).saturating_mul(n as u64);
    let needed = square.saturating_mul(4 + 40 * threads);
    let instead =
        "--method lanczos --top K finds the leading K values without the matrix, or use fewer --threads";
    ram::require(format!("--method exact at n = {n} on {threads} threads"), needed, instead)
}

fn report(
    config: &Config,
    source: &dyn Source,
    nulls: &[Asked],
    figures: &[Figure],
    measured: &[Measured],
    context: Context<'_>,
) -> Report {
    let heads = summary::Heads::of(measured);
    let rows = match config.aggregate {
        Aggregate::Yes => summary::aggregated(&heads, source, figures, nulls),
        Aggregate::Auto | Aggregate::No => rows(source, figures, nulls, measured),
    };
    let mut report = Report { rows, ..Report::default() };
    let mut growth_notes = Vec::new();
    if config.aggregate != Aggregate::No {
        report.views.push(("summary".into(), summary::table(config, &heads, source, figures, nulls)));
        report.views.push(("overall".into(), summary::overall(config, measured, figures, nulls)));
        if source.lengths().len() > 1 {
            let table = growth::table(&heads, source, figures);
            growth_notes = growth::notes(&table, source.lengths().len());
            report.views.push(("growth".into(), table));
        }
    }
    report.notes = summary::notes(config, &heads, source, figures, nulls, context.engine, growth_notes);
    report.notes.extend(rounding::notes(measured));
    report.figures = curves::figures(config, &heads, source, nulls);
    for n in source.lengths() {
        let of = |side: fn(&Spectra) -> &Vec<f64>| {
            let spectra: Vec<&[f64]> =
                measured.iter().filter(|m| m.n == *n).map(|m| side(&m.spectra).as_slice()).collect();
            stack(&spectra)
        };
        report.arrays.push((format!("singular_values_n{n}"), of(|s| &s.plain).into_dyn()));
        report.arrays.push((format!("centred_singular_values_n{n}"), of(|s| &s.centred).into_dyn()));
    }
    report
}

fn stack(spectra: &[&[f64]]) -> Array2<f64> {
    let size = spectra.iter().map(|spectrum| spectrum.len()).max().unwrap_or(0);
    let value = |(i, j): (usize, usize)| spectra[i].get(j).copied().unwrap_or(0.0);
    Array2::from_shape_fn((spectra.len(), size), value)
}

/// The columns of [`rows`].
pub(super) fn row_columns(figures: &[Figure], nulls: &[Asked]) -> Vec<Column> {
    let names: Vec<&str> = nulls.iter().map(|null| null.model.name).collect();
    let mut all = columns::keys();
    all.extend(columns::measured(figures, nulls));
    all.extend(verdict::columns(&names));
    all
}

/// One row a head and window.
fn rows(source: &dyn Source, figures: &[Figure], nulls: &[Asked], measured: &[Measured]) -> Table {
    let all = row_columns(figures, nulls);
    let names: Vec<&str> = nulls.iter().map(|null| null.model.name).collect();
    let mut table = Table::new(format!("Singular values of attention: {}", source.name()), all);
    let effective_rank = effective_rank_index(figures);
    for one in measured {
        let mut row = vec![
            one.label.as_str().into(),
            one.layer.into(),
            one.head.into(),
            one.window.into(),
            one.n.into(),
        ];
        for values in std::iter::once(&one.values).chain(one.nulls.iter().map(|null| &null.values)) {
            let both = figures.iter().chain(figures.iter().filter(|figure| !figure.is_of_rows()));
            row.extend(values.cells(figures).zip(both).map(|(value, figure)| columns::cell(value, figure)));
        }
        let own = one.values.plain[effective_rank];
        let differences: Vec<_> =
            one.nulls.iter().map(|null| difference(&[(own, &null.effective_ranks)])).collect();
        row.extend(verdict::cells(&differences, &names));
        table.push(row);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::null;
    use super::super::verdict::{LEVEL, Verdict, decide};
    use super::*;
    use crate::attention::{Mask, softmax};
    use crate::layer::Factors;
    use crate::linalg::engine::Engine;
    use crate::rng::normal;
    use crate::study::Unwatched;
    use crate::study::input::Body;

    const N: usize = 40;

    /// A head of Luna whose two steps nobody trained.
    fn untrained(place: usize, causal: bool) -> Head {
        let mut rng = stream(31, &format!("luna {place} {causal}"));
        let mut step = |n: usize, m: usize| {
            let (q, k) = (normal(&mut rng, n, 16), normal(&mut rng, m, 16));
            softmax::matrix(q.view(), k.view(), 0.25, Mask::Full)
        };
        let (unpack, pack) = (step(N, 8), step(8, N));
        let none = || Array2::zeros((N, 16));
        Head {
            label: format!("head {place}"),
            layer: 0,
            head: place,
            window: 0,
            shape: (N, N),
            mask: if causal { Mask::Causal } else { Mask::Full },
            width: Some(16),
            body: Body::Projected {
                q: none(),
                k: none(),
                v: none(),
                scale: 1.0,
                precise: false,
                matrix: None,
            },
            own: Some(Factors { unpack, pack, causal }),
        }
    }

    #[test]
    fn untrained_heads_of_luna_are_decided_in_one_of_twenty() {
        let figures = Figure::all(&[8]);
        let nulls = null::find("gaussian").unwrap();
        let context = Context { seed: 32, engine: Engine::Faer, watch: &Unwatched };
        let job = Job { figures: &figures, nulls: &nulls, draws: 3, context };
        let heads = 240;
        for causal in [false, true] {
            let decided = (0..heads).filter(|place| {
                let one = job.head(&untrained(*place, causal)).unwrap();
                let own = one.values.plain[effective_rank_index(&figures)];
                let found = decide(&[difference(&[(own, &one.nulls[0].effective_ranks)])]);
                found.unwrap().verdict != Verdict::Undecided
            });
            let (decided, expected) = (decided.count() as f64, LEVEL * heads as f64);
            let most = expected + 3.0 * (expected * (1.0 - LEVEL)).sqrt();
            assert!(decided <= most, "{decided} of {heads}, causal: {causal}");
        }
    }
}
