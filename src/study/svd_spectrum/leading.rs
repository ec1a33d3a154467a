//! The leading singular values of heads whose matrices are too large to hold: a cell is a head over one window.

use super::asked::Asked;
use super::columns::Figure;
use super::leading_view::{self, Found};
use super::operator::{self, HeadMatrix};
use crate::error::Result;
use crate::linalg::krylov::{self, KrylovOptions as Options, Leading};
use crate::metric::RowProfile;
use crate::profile::ram;
use crate::report::Report;
use crate::rng::stream;
use crate::study::input::{Head, HeadWindow};
use crate::study::{Context, Outcome};
use crate::sweep::{self, Cell, Hand, Journal, Study};

/// Rounds that a head takes as a rule, for the estimate of the time left.
const ROUNDS: usize = 20;

/// The study, on its input.
struct LeadingValues<'a> {
    asked: Asked<'a>,
    options: Options,
    context: Context<'a>,
}

/// Finds what the journal does not hold, and shows all of it.
pub(super) fn run(asked: Asked<'_>, journal: &Journal, context: Context<'_>) -> Result<Outcome> {
    let options = asked.config.leading();
    if asked.config.folder.runs_cells() {
        asked.source.lengths().iter().try_for_each(|n| check_memory(*n, options))?;
    }
    let study = LeadingValues { asked, options, context };
    let cells = study.plan().len();
    let ((mut report, found), complete) = sweep::run(&study, journal, context.watch)?;
    if !complete {
        report.notes.insert(0, format!("interrupted: {found} of {cells} heads and windows are here"));
    }
    Ok(Outcome { report, complete })
}

impl Study for LeadingValues<'_> {
    type Cell = HeadWindow;
    type Input = Head;
    type Rows = Found;
    type View = (Report, usize);

    fn unit(&self) -> &'static str {
        "rounds"
    }

    fn plan(&self) -> Vec<Cell<HeadWindow>> {
        let top = self.options.top as f64;
        HeadWindow::plan(self.asked.source, ROUNDS, |n| ROUNDS as f64 * n * n * top)
    }

    fn inputs(&self, cells: &[(usize, &HeadWindow)], hand: &mut Hand<'_, Head>) -> Result<()> {
        HeadWindow::inputs(self.asked.source, cells, false, hand)
    }

    fn run(&self, cell: &HeadWindow, head: &Head) -> Result<Found> {
        let (leading, rows) = find(head, self.options, &Figure::indices(self.asked.figures), self.context)?;
        // A head that needed fewer rounds than expected is as done as one that needed more.
        self.context.watch.step(ROUNDS.saturating_sub(leading.rounds), &head.label);
        let values = leading_view::values(self.asked.figures, &leading, head.shape, &rows);
        Ok(Found { at: cell.clone(), shape: head.shape, leading, values })
    }

    fn view(&self, rows: Vec<(HeadWindow, Found)>) -> Result<(Report, usize)> {
        let mut all: Vec<Found> = rows.into_iter().map(|(_, found)| found).collect();
        all.sort_by(|a, b| a.at.cmp(&b.at));
        Ok((leading_view::report(self.asked, self.options, &all), all.len()))
    }
}

/// The leading values, and the figures of the rows with the mass of the largest `at` keys.
fn find(head: &Head, options: Options, at: &[usize], context: Context<'_>) -> Result<(Leading, RowProfile)> {
    let a = HeadMatrix::of(head);
    let label = format!("krylov {} n {} window {}", head.label, head.shape.0, head.window);
    let mut on_round = |round: krylov::Progress| {
        let message = format!("{}: {} of {} values converged", head.label, round.converged, options.top);
        context.watch.step(usize::from(round.rounds < ROUNDS), &message);
        context.watch.check()
    };
    let check = || context.watch.check();
    let leading = krylov::leading(&a, options, &mut stream(context.seed, &label), &check, &mut on_round)?;
    Ok((leading, operator::rows(&a, at, &head.label, context.watch)?))
}

fn check_memory(n: usize, options: Options) -> Result<()> {
    let needed = options.bytes((n, n), rayon::current_num_threads()) as u64;
    let what = format!("--method lanczos --top {} at n = {n}", options.top);
    ram::require(what, needed, "fewer --top values or --threads need less")
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;
    use crate::attention::{HeadTerms, Mask, Window};
    use crate::linalg::engine::{Engine, singular_values};
    use crate::rng::normal;
    use crate::study::Unwatched;
    use crate::study::input::Body;

    /// The leading values of heads with a window, a bias, a softcap and a sink are those of their matrices.
    #[test]
    fn values_are_those_of_the_matrix_under_every_term() {
        let n = 150;
        let context = Context { seed: 3, engine: Engine::Faer, watch: &Unwatched };
        let options = Options { tolerance: 1e-3, rounds: 80, ..Options::for_top(8) };
        let bias = Array1::from_shape_fn(2 * n - 1, |at| 0.05 * (at as f32 - (n - 1) as f32));
        for (what, terms) in [
            ("window", HeadTerms { window: Some(Window { back: 20, ahead: 3 }), ..HeadTerms::default() }),
            ("bias", HeadTerms { bias: Some(bias), ..HeadTerms::default() }),
            ("softcap", HeadTerms { softcap: Some(2.0), ..HeadTerms::default() }),
            ("sink", HeadTerms { sink: Some(4.0), ..HeadTerms::default() }),
        ] {
            let mut rng = stream(2, what);
            let [q, k, v] = [(); 3].map(|()| normal(&mut rng, n, 8));
            let mut head = Head {
                label: what.into(),
                layer: 0,
                head: 0,
                window: 0,
                shape: (n, n),
                mask: Mask::Causal,
                terms,
                width: Some(8),
                body: Body::Projected { q, k, v, scale: 1.0, precise: false, matrix: None },
                own: None,
            };
            let (found, rows) = find(&head, options, &[5], context).unwrap();
            let exact = |head: &Head| singular_values(head.precise().unwrap().view(), Engine::Faer).unwrap();
            let matrix = head.precise().unwrap().mapv(|x| x as f32);
            let expected = RowProfile::of(matrix.view(), &[5]);
            assert!((rows.keys[1] - expected.keys[1]).abs() < 0.05, "{what}: {rows:?}, not {expected:?}");
            assert!(
                (rows.logit_sd - expected.logit_sd).abs() < 1e-4 && rows.top.len() == 1,
                "{what}: {rows:?}"
            );
            assert!((rows.top[0].1 - expected.top[0].1).abs() < 1e-6, "{what}: {rows:?}, not {expected:?}");
            let (with, found) = (exact(&head), found.converged());
            assert!(found.len() >= 4, "{what}: {found:?}");
            for (found, exact) in found.iter().zip(&with) {
                assert!((found - exact).abs() < 1e-4 * with[0], "{what}: {found} and not {exact}");
            }
            head.terms = HeadTerms::default();
            assert!((exact(&head)[0] - with[0]).abs() > 1e-3 * with[0], "{what} changes the values");
        }
    }
}
