//! Tests the construction: a cell is a head over one window.

use ndarray::{Array2, Axis};

use super::measured::{Measured, Values};
use super::report;
use crate::attention::softmax;
use crate::error::Result;
use crate::linalg::gemm::{Threads, product};
use crate::report::Report;
use crate::rng::{normal, stream};
use crate::study::approx_error::config::{Config, HEADS};
use crate::study::approx_error::frame;
use crate::study::input::{Head, HeadWindow, Source, needs_softmax};
use crate::study::{Context, Outcome};
use crate::sweep::{self, Cell, Hand, Journal, Study};

/// The k that theorem 1's proof takes.
fn rows_of_r(n: usize, eps: f64) -> usize {
    (5.0 * (n as f64).ln() / (eps * eps - eps * eps * eps)).ceil().max(1.0) as usize
}

/// The study, on its input.
struct Theorem<'a> {
    config: &'a Config,
    source: &'a dyn Source,
    kinds: &'a [Values],
    context: Context<'a>,
}

/// Tests the construction on every head of the input.
pub(in crate::study::approx_error) fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    let source = config.input.open(context.seed, HEADS)?;
    needs_softmax(source.as_ref())?;
    let source = source.as_ref();
    frame::check_memory(config, source, source.lengths(), 0)?;
    let kinds: &[Values] = if source.is_layered() {
        &[Values::Own]
    } else {
        &[Values::Centred, Values::Shifted, Values::Narrow]
    };
    let facts = frame::facts(config, "linformer-theorem-1", source, context);
    let journal = Journal::open(&config.folder, &facts)?;
    let study = Theorem { config, source, kinds, context };
    let (mut report, complete) = sweep::run(&study, &journal, context.watch)?;
    frame::stamp(&mut report, source);
    report.stamp.push("check", "linformer-theorem-1");
    report.stamp.push("draws", config.draws);
    Ok(Outcome { report, complete })
}

impl Study for Theorem<'_> {
    type Cell = HeadWindow;
    type Input = Head;
    type Rows = Vec<Measured>;
    type View = Report;

    fn unit(&self) -> &'static str {
        "checks"
    }

    fn plan(&self) -> Vec<Cell<HeadWindow>> {
        let checks = self.kinds.len() * self.config.eps.len();
        let draws = (checks * self.config.draws) as f64;
        HeadWindow::plan(self.source, checks, |n| draws * n * n * 64.0)
    }

    fn inputs(&self, cells: &[(usize, &HeadWindow)], hand: &mut Hand<'_, Head>) -> Result<()> {
        HeadWindow::inputs(self.source, cells, false, hand)
    }

    fn together(&self, _: &HeadWindow, _: &Head) -> usize {
        4 * rayon::current_num_threads()
    }

    fn run(&self, cell: &HeadWindow, head: &Head) -> Result<Vec<Measured>> {
        check(cell, head, self.kinds, self.config, self.context)
    }

    fn view(&self, rows: Vec<(HeadWindow, Vec<Measured>)>) -> Result<Report> {
        let measured: Vec<Measured> = rows.into_iter().flat_map(|(_, measured)| measured).collect();
        Ok(report::report(self.source, self.config.draws, &measured))
    }
}

/// Checks one head.
fn check(
    of: &HeadWindow,
    head: &Head,
    kinds: &[Values],
    config: &Config,
    context: Context<'_>,
) -> Result<Vec<Measured>> {
    let (input, v) = head.projected()?;
    let p = softmax::matrix_f32(&input);
    let m = p.ncols();
    let mut found = Vec::new();
    for values in kinds {
        let w = values.of(v);
        let exact = product(p.view(), w.view(), Threads::One);
        let (sizes, bounds) = (lengths(&exact), lengths(&w));
        let fro = lengths(&p).iter().map(|x| x * x).sum::<f64>().sqrt();
        for eps in config.eps.iter() {
            context.watch.check()?;
            let rows = rows_of_r(m, *eps);
            let (mut relative, mut additive) = (Vec::new(), Vec::new());
            for draw in 0..config.draws {
                // One projection for all kinds of values: they differ by the values alone.
                let label =
                    format!("theorem 1 {} n {m} window {} eps {eps} draw {draw}", head.label, head.window);
                let r = normal(&mut stream(context.seed, &label), rows, m) / (rows as f32).sqrt();
                let packed = product(r.view(), w.view(), Threads::One);
                let projected = product(r.t(), packed.view(), Threads::One);
                let error = lengths(&(product(p.view(), projected.view(), Threads::One) - &exact));
                relative.push(error.iter().zip(&sizes).map(|(error, size)| error / size).collect());
                additive
                    .push(error.iter().zip(&bounds).map(|(error, bound)| error / (fro * bound)).collect());
            }
            found.push(Measured { at: of.clone(), values: *values, eps: *eps, k: rows, relative, additive });
            context.watch.step(1, &format!("eps {eps}"));
        }
    }
    Ok(found)
}

/// The length of each column, in f64.
fn lengths(x: &Array2<f32>) -> Vec<f64> {
    let square =
        |column: ndarray::ArrayView1<'_, f32>| column.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    x.axis_iter(Axis(1)).map(|column| square(column).sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k_is_that_of_the_proof() {
        // FACTS of the paper's bound: 250 and 666 rows at n = 512, 333 and 888 at 4096.
        assert_eq!([rows_of_r(512, 0.5), rows_of_r(512, 0.25)], [250, 666]);
        assert_eq!([rows_of_r(4096, 0.5), rows_of_r(4096, 0.25)], [333, 888]);
    }
}
