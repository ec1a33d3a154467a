//! `--check linformer-theorem-1`: the construction in the proof of Linformer's theorem 1, tested as it is stated.
//!
//! Theorem 1 (Wang et al. 2020): for a softmax matrix P (n x n) and a column w of the values, some P~ of rank
//! Theta(log n) has `||P~ w - P w|| < eps ||P w||` with probability beyond 1 - o(1). The proof takes `P~ = P R^T R`, R
//! (k x n) with entries N(0, 1/k) and `k = 5 ln n / (eps^2 - eps^3)`, and the lemma of Johnson and Lindenstrauss. That
//! lemma bounds the error by `eps ||u|| ||w||` for each row u of P (the additive form), not by `eps |u w|` (the relative
//! form that the theorem states): where the values average out, `|u w|` is far smaller than `||u|| ||w||`.
//!
//! (The paper writes `P~ = exp(A) D_A^-1 R^T R`; with the row sums in D the normalised matrix is `D_A^-1 exp(A)`, as here.)

mod report;

pub(super) use report::row_columns;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::Config;
use super::measure::projected;
use crate::attention::softmax;
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product};
use crate::rng::{normal, stream};
use crate::stats::{self, Interval};
use crate::study::input::{Head, Source, Unnamed, needs_softmax};
use crate::study::{Context, Outcome};

/// Untrained heads of three temperatures at the length and width of the paper's models: the theorem is of any head, and
/// theirs can be given values that average out and values that do not.
pub(super) const HEADS: Unnamed =
    Unnamed::Heads { specs: "gaussian:logit_sd=0.25,gaussian:logit_sd=1,gaussian:logit_sd=4", n: 512 };

/// Values whose columns are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Values {
    /// Those of the head itself.
    Own,
    /// Standard normal numbers: columns average out.
    Centred,
    /// Normal numbers of mean 1 and standard deviation 1.
    Shifted,
    /// Normal numbers of mean 1 and standard deviation 0.1.
    Narrow,
}

impl Values {
    fn name(self) -> &'static str {
        match self {
            Self::Own => "of the head",
            Self::Centred => "N(0,1)",
            Self::Shifted => "N(1,1)",
            Self::Narrow => "1+0.1 N(0,1)",
        }
    }

    fn of(self, v: &Array2<f32>) -> Array2<f32> {
        match self {
            // Values of synthetic heads are standard normal already.
            Self::Own | Self::Centred => v.clone(),
            Self::Shifted => v + 1.0,
            Self::Narrow => v * 0.1 + 1.0,
        }
    }
}

/// One head, window, kind of values and eps: the errors of every column, draw by draw.
#[derive(Clone, Debug)]
struct Measured {
    label: String,
    layer: usize,
    head: usize,
    window: usize,
    n: usize,
    values: Values,
    eps: f64,
    k: usize,
    /// `||P~ w - P w|| / ||P w||`: of each draw those of its columns.
    relative: Vec<Vec<f64>>,
    /// `||P~ w - P w|| / (||P||_F ||w||)` of the same.
    additive: Vec<Vec<f64>>,
}

/// The k that theorem 1's proof takes.
fn rows_of_r(n: usize, eps: f64) -> usize {
    (5.0 * (n as f64).ln() / (eps * eps - eps * eps * eps)).ceil().max(1.0) as usize
}

/// Tests the construction on every head of the input.
pub(super) fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    let source = config.input.open(context.seed, HEADS)?;
    needs_softmax(source.as_ref())?;
    let source = source.as_ref();
    super::check_memory(source, 0)?;
    let kinds: &[Values] = if source.is_layered() {
        &[Values::Own]
    } else {
        &[Values::Centred, Values::Shifted, Values::Narrow]
    };
    let each = source.lengths().len() * source.windows() * source.heads();
    context.watch.begin(each * kinds.len() * config.eps.len(), "checks");
    let mut measured = Vec::new();
    let complete = match visit(source, kinds, config, context, &mut measured) {
        Ok(()) => true,
        Err(Error::Interrupted) if !measured.is_empty() => false,
        Err(error) => return Err(error),
    };
    let mut report = report::report(source, config.draws, &measured);
    super::stamp(&mut report, source);
    report.stamp.push("check", "linformer-theorem-1");
    report.stamp.push("draws", config.draws);
    Ok(Outcome { report, complete })
}

fn visit(
    source: &dyn Source,
    kinds: &[Values],
    config: &Config,
    context: Context<'_>,
    measured: &mut Vec<Measured>,
) -> Result<()> {
    let most = 4 * rayon::current_num_threads();
    let mut measure = |waiting: &mut Vec<Head>| -> Result<()> {
        let heads = std::mem::take(waiting);
        let done: Vec<Result<Vec<Measured>>> =
            heads.par_iter().map(|head| check(head, kinds, config, context)).collect();
        for one in done {
            measured.extend(one?);
        }
        Ok(())
    };
    for n in source.lengths() {
        let mut waiting = Vec::new();
        for window in 0..source.windows() {
            source.visit(*n, window, false, &mut |head| {
                context.watch.check()?;
                waiting.push(head);
                if waiting.len() >= most { measure(&mut waiting) } else { Ok(()) }
            })?;
        }
        measure(&mut waiting)?;
    }
    Ok(())
}

fn check(head: &Head, kinds: &[Values], config: &Config, context: Context<'_>) -> Result<Vec<Measured>> {
    let ([q, k, v], scale) = projected(head)?;
    let p = softmax::matrix(q.view(), k.view(), scale, head.mask);
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
            let Head { label, layer, head, window, .. } = head;
            let (label, layer, head, window) = (label.clone(), *layer, *head, *window);
            let (values, eps, n, k) = (*values, *eps, m, rows);
            found.push(Measured { label, layer, head, window, n, values, eps, k, relative, additive });
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

/// The share of errors below eps, with its 95 % interval.
///
/// Columns share the projection of their draw and are not independent; draws are. The interval is Student's over the
/// shares of the draws. Where all draws have one share there is no spread to go by: then Wilson's, a draw as one trial.
fn share_below<'a>(draws: impl IntoIterator<Item = &'a Vec<f64>>, eps: f64) -> Interval {
    let share =
        |errors: &Vec<f64>| errors.iter().filter(|error| **error < eps).count() as f64 / errors.len() as f64;
    let shares: Vec<f64> = draws.into_iter().map(share).collect();
    match stats::student_mean(&shares).filter(|interval| interval.high - interval.low > 1e-9) {
        Some(Interval { mid, low, high }) => Interval { mid, low: low.max(0.0), high: high.min(1.0) },
        None => stats::wilson(stats::mean(&shares), shares.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_one_draw_are_one_unit() {
        let draw = |below: usize| (0..100).map(|column| if column < below { 0.1 } else { 0.9 }).collect();
        // Half of 400 columns by themselves would have the interval 0.45 to 0.55.
        let apart: Vec<Vec<f64>> = [0, 100, 0, 100].map(draw).into();
        let found = share_below(&apart, 0.5);
        assert_eq!((found.mid, found.low, found.high), (0.5, 0.0, 1.0));
        let near: Vec<Vec<f64>> = [48, 52, 49, 51].map(draw).into();
        let found = share_below(&near, 0.5);
        assert!(found.low > 0.46 && found.high < 0.54, "{found:?}");
        // Four draws without an error are no more than four trials.
        let none: Vec<Vec<f64>> = [0, 0, 0, 0].map(draw).into();
        assert_eq!(share_below(&none, 0.5), stats::wilson(0.0, 4));
        assert!((share_below(&none, 0.5).high - 0.49).abs() < 0.005);
        assert_eq!(share_below(&none[..1], 0.5), stats::wilson(0.0, 1));
    }

    #[test]
    fn k_is_that_of_the_proof() {
        // FACTS of the paper's bound: 250 and 666 rows at n = 512, 333 and 888 at 4096.
        assert_eq!([rows_of_r(512, 0.5), rows_of_r(512, 0.25)], [250, 666]);
        assert_eq!([rows_of_r(4096, 0.5), rows_of_r(4096, 0.25)], [333, 888]);
    }
}
