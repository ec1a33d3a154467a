//! Every singular value of every head, computed or estimated, beside null models: a cell is a head over one window.

use super::asked::Asked;
use super::config::Method;
use super::estimated::{self, Estimator, ROUNDS};
use super::measure::Measurement;
use super::measured::Measured;
use super::subject::Subject;
use super::view;
use crate::error::Result;
use crate::profile::ram;
use crate::report::Report;
use crate::study::input::{Head, HeadWindow};
use crate::study::{Context, Outcome};
use crate::sweep::{self, Cell, Hand, Journal, Study};

/// Bytes of attention matrices that may wait for their turn.
const WAITING: usize = 1 << 27;

/// The study, on its input.
struct Every<'a> {
    asked: Asked<'a>,
    measurement: Measurement<'a>,
    /// None where the values are computed from the matrix.
    estimator: Option<Estimator<'a>>,
}

/// Measures what the journal does not hold, and shows all of it.
pub(super) fn run(
    asked: Asked<'_>,
    method: Method,
    journal: &Journal,
    context: Context<'_>,
) -> Result<Outcome> {
    let Asked { config, source, figures, nulls } = asked;
    let measurement = Measurement { figures, nulls, draws: config.draws(), context };
    let estimator =
        (method == Method::Quadrature).then(|| Estimator { measurement, effort: config.effort() });
    if config.folder.runs_cells() {
        match &estimator {
            Some(_) => estimated::check_memory(config, source)?,
            None if config.of == Subject::Attention => {
                source.lengths().iter().try_for_each(|n| check_memory(*n))?;
            }
            None => {}
        }
    }
    if estimator.is_none() && !nulls.is_empty() && measurement.draws == 1 && source.windows() == 1 {
        context.watch.say(
            "one window and one draw of each null model leave no interval, so every verdict will be undecided; \
             --windows or --null-draws above 1 decide",
        );
    }
    let (report, complete) = sweep::run(&Every { asked, measurement, estimator }, journal, context.watch)?;
    Ok(Outcome { report, complete })
}

impl Study for Every<'_> {
    type Cell = HeadWindow;
    type Input = Head;
    type Rows = Measured;
    type View = Report;

    fn unit(&self) -> &'static str {
        if self.estimator.is_some() { "rounds" } else { "spectra" }
    }

    fn plan(&self) -> Vec<Cell<HeadWindow>> {
        let spectra = 1 + self.measurement.nulls.len() * self.measurement.draws;
        match &self.estimator {
            Some(estimator) => {
                let rounds = ROUNDS * spectra;
                let work = rounds as f64 * estimator.effort.options.probes as f64;
                HeadWindow::plan(self.asked.source, rounds, |n| work * n * n)
            }
            None => HeadWindow::plan(self.asked.source, spectra, |n| spectra as f64 * n.powi(3)),
        }
    }

    fn inputs(&self, cells: &[(usize, &HeadWindow)], hand: &mut Hand<'_, Head>) -> Result<()> {
        let matrices = self.estimator.is_none() && self.asked.config.of == Subject::Attention;
        HeadWindow::inputs(self.asked.source, cells, matrices, hand)
    }

    fn together(&self, cell: &HeadWindow, _: &Head) -> usize {
        let threads = rayon::current_num_threads();
        match self.asked.config.of {
            // A matrix is estimated by all threads.
            _ if self.estimator.is_some() => 1,
            Subject::Attention => (WAITING / (4 * cell.n * cell.n).max(1)).clamp(threads, 12 * threads),
            _ => threads,
        }
    }

    fn run(&self, cell: &HeadWindow, head: &Head) -> Result<Measured> {
        match (&self.estimator, self.asked.config.of) {
            (Some(estimator), _) => estimator.head(cell.clone(), head),
            (None, Subject::Attention) => self.measurement.head(cell.clone(), head),
            (None, of) => self.measurement.factored(of, cell.clone(), head),
        }
    }

    fn view(&self, rows: Vec<(HeadWindow, Measured)>) -> Result<Report> {
        let mut measured: Vec<Measured> = rows.into_iter().map(|(_, measured)| measured).collect();
        measured.sort_by(|a, b| a.at.cmp(&b.at));
        Ok(view::report(self.asked, &measured, self.measurement.context.engine))
    }
}

/// Refuses lengths whose decompositions would not fit in memory.
pub(super) fn check_memory(n: usize) -> Result<()> {
    let threads = rayon::current_num_threads() as u64;
    // A matrix in f32 that waits; and for each thread its copy, its Gram matrix and what the decomposition works in.
    let square = (n as u64).saturating_mul(n as u64);
    let needed = square.saturating_mul(4 + 40 * threads);
    let instead = "--method quadrature estimates all figures without the matrix, and --method lanczos --top K finds the leading K values; or \
         use fewer --threads";
    ram::require(format!("--method exact at n = {n} on {threads} threads"), needed, instead)
}
