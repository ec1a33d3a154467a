//! Every singular value of every head, beside null models: a cell is a head over one window.

use super::Config;
use super::measure::Measurement;
use super::measured::Measured;
use super::null::NullSpec;
use super::subject::Subject;
use super::view;
use crate::error::Result;
use crate::profile::ram;
use crate::report::Report;
use crate::study::input::{Head, HeadWindow, Source};
use crate::study::{Context, Outcome};
use crate::sweep::{self, Cell, Hand, Journal, Study};

/// Bytes of attention matrices that may wait for their turn.
const WAITING: usize = 1 << 27;

/// The study, on its input.
struct Exact<'a> {
    config: &'a Config,
    source: &'a dyn Source,
    measurement: Measurement<'a>,
}

/// Measures what the journal does not hold, and shows all of it.
pub(super) fn run(
    config: &Config,
    source: &dyn Source,
    nulls: &[NullSpec],
    journal: &Journal,
    context: Context<'_>,
) -> Result<Outcome> {
    if config.of == Subject::Attention && config.folder.runs_cells() {
        source.lengths().iter().try_for_each(|n| check_memory(*n))?;
    }
    let (figures, draws) = (config.figures(), config.draws());
    if !nulls.is_empty() && draws == 1 && source.windows() == 1 {
        context.watch.say(
            "one window and one draw of each null model leave no interval, so every verdict will be undecided; \
             --windows or --null-draws above 1 decide",
        );
    }
    let measurement = Measurement { figures: &figures, nulls, draws, context };
    let study = Exact { config, source, measurement };
    let (report, complete) = sweep::run(&study, journal, context.watch)?;
    Ok(Outcome { report, complete })
}

impl Study for Exact<'_> {
    type Cell = HeadWindow;
    type Input = Head;
    type Rows = Measured;
    type View = Report;

    fn unit(&self) -> &'static str {
        "spectra"
    }

    fn plan(&self) -> Vec<Cell<HeadWindow>> {
        let spectra = 1 + self.measurement.nulls.len() * self.measurement.draws;
        HeadWindow::plan(self.source, spectra, |n| spectra as f64 * n.powi(3))
    }

    fn inputs(&self, cells: &[(usize, &HeadWindow)], hand: &mut Hand<'_, Head>) -> Result<()> {
        HeadWindow::inputs(self.source, cells, self.config.of == Subject::Attention, hand)
    }

    fn together(&self, cell: &HeadWindow, _: &Head) -> usize {
        let threads = rayon::current_num_threads();
        let (Subject::Attention, n) = (self.config.of, cell.n) else { return threads };
        (WAITING / (4 * n * n).max(1)).clamp(threads, 12 * threads)
    }

    fn run(&self, cell: &HeadWindow, head: &Head) -> Result<Measured> {
        match self.config.of {
            Subject::Attention => self.measurement.head(cell.clone(), head),
            of => self.measurement.factored(of, cell.clone(), head),
        }
    }

    fn view(&self, rows: Vec<(HeadWindow, Measured)>) -> Result<Report> {
        let mut measured: Vec<Measured> = rows.into_iter().map(|(_, measured)| measured).collect();
        measured.sort_by(|a, b| a.at.cmp(&b.at));
        let Measurement { figures, nulls, context, .. } = self.measurement;
        Ok(view::report(self.config, self.source, (figures, nulls), &measured, context.engine))
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
