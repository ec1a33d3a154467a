//! Cross-entropy with its gradient, of both output heads.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use crate::layer::{Backward, Linear, Matrix, Pass, Rows};
use crate::linalg::arrays::zeros;
use crate::linalg::gemm::{Threads, product_into};
use crate::linalg::outer::add_outer;
use crate::linalg::softmax::{exp_less, largest};
use crate::network::{LOGIT_ROWS, means};
use crate::{Error, Result};

pub use crate::task::batch::IGNORED;

/// The loss over a batch: sums, so that batches add up to the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// The sum of the training objective: cross-entropy with smoothed labels.
    pub objective: f64,
    /// The sum of -ln p of the targets.
    pub nats: f64,
    /// How many targets have the largest logit.
    pub correct: usize,
    /// How many targets counted.
    pub count: usize,
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.objective += other.objective;
        self.nats += other.nats;
        self.correct += other.correct;
        self.count += other.count;
    }
}

/// The gradients to add to, where they are wanted, and the weight of each target.
pub(super) type Learn<'a> = Option<(&'a mut [f32], f32)>;

/// Refuses targets that are no class (and not [`IGNORED`]).
pub(super) fn check(targets: &[u32], classes: usize) -> Result<()> {
    let beyond = |target: &&u32| **target != IGNORED && **target as usize >= classes;
    match targets.iter().find(beyond) {
        Some(target) => Err(Error::value("target", target, format!("below {classes}"))),
        None => Ok(()),
    }
}

/// Cross-entropy of rows of logits (n, classes), which become their gradients times `weight`.
///
/// With smoothing s the target's share is 1 - s, and s is spread over all classes, the target's included.
pub(super) fn cross_entropy(
    mut logits: ArrayViewMut2<'_, f32>,
    targets: &[u32],
    smoothing: f32,
    weight: f32,
) -> Sums {
    let rows: Vec<Sums> = logits
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(targets)
        .map(|(mut row, target)| {
            if *target == IGNORED {
                row.fill(0.0);
                return Sums::default();
            }
            let row = row.as_slice_mut().expect("rows of logits lie together");
            of_row(row, *target as usize, smoothing, weight)
        })
        .collect();
    let mut all = Sums::default();
    for row in rows {
        all += row;
    }
    all
}

fn of_row(row: &mut [f32], target: usize, smoothing: f32, weight: f32) -> Sums {
    pulp::Arch::new().dispatch(Row { logits: row, target, smoothing, weight })
}

/// A row of logits, its target, and the arguments of [`cross_entropy`]. A type and not a closure: a closure would run
/// without the machine's vector instructions.
struct Row<'a> {
    logits: &'a mut [f32],
    target: usize,
    smoothing: f32,
    weight: f32,
}

impl pulp::WithSimd for Row<'_> {
    type Output = Sums;

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: pulp::Simd>(self, _: S) -> Sums {
        let Self { logits: row, target, smoothing, weight } = self;
        let top = largest(row);
        let correct = row[target] == top;
        let of_target = f64::from(row[target] - top);
        let classes = row.len() as f32;
        let (total, above) = exp_less(row, top);
        let log = total.ln();
        let nats = log - of_target;
        let spread = log - above / f64::from(classes);
        let smooth = f64::from(smoothing);
        let objective = (1.0 - smooth) * nats + smooth * spread;
        let scale = weight / total as f32;
        let everyone = weight * smoothing / classes;
        for x in row.iter_mut() {
            *x = *x * scale - everyone;
        }
        row[target] -= weight * (1.0 - smoothing);
        Sums { objective, nats, correct: usize::from(correct), count: 1 }
    }
}

/// The loss of classes by the mean over each sequence's rows, and the gradient of x (rows, d) if it is wanted.
pub(super) fn of_classes(
    pass: Pass<'_>,
    learn: Learn<'_>,
    classifier: &Linear,
    x: ArrayView2<'_, f32>,
    rows: &Rows,
    targets: &[u32],
    smoothing: f32,
) -> (Sums, Option<Array2<f32>>) {
    let means = means(x, rows);
    let mut logits = classifier.forward(pass, means.view());
    let weight = learn.as_ref().map_or(0.0, |(_, weight)| *weight);
    let sums = cross_entropy(logits.view_mut(), targets, smoothing, weight);
    let Some((gradients, _)) = learn else { return (sums, None) };
    classifier.add_gradients(&mut Backward { pass, gradients }, means.view(), logits.view());
    let d_means = classifier.input_gradient(pass, logits.view());
    (sums, Some(means_back(d_means.view(), rows, x.ncols())))
}

/// The gradient of rows (n, d) under that of the mean over each sequence's, (sequences, d).
pub(super) fn means_back(d_means: ArrayView2<'_, f32>, rows: &Rows, d: usize) -> Array2<f32> {
    let mut dx = zeros((rows.total(), d));
    for (of, d_mean) in rows.each().zip(d_means.rows()) {
        let share = 1.0 / of.len().max(1) as f32;
        let d_row = d_mean.mapv(|d| d * share);
        dx.slice_mut(s![of, ..]).assign(&d_row);
    }
    dx
}

/// The loss of the next token after every row by the table of tokens, a block of logits at a time.
pub(super) fn of_tokens(
    pass: Pass<'_>,
    mut learn: Learn<'_>,
    table: Matrix,
    x: ArrayView2<'_, f32>,
    targets: &[u32],
    smoothing: f32,
) -> (Sums, Option<Array2<f32>>) {
    let mut sums = Sums::default();
    let mut dx = learn.is_some().then(|| zeros(x.raw_dim()));
    let mut block = Array2::zeros((LOGIT_ROWS.min(x.nrows()), table.rows));
    for (at, targets) in targets.chunks(LOGIT_ROWS).enumerate() {
        let rows = at * LOGIT_ROWS..at * LOGIT_ROWS + targets.len();
        let x = x.slice(s![rows.clone(), ..]);
        let mut logits = block.slice_mut(s![..targets.len(), ..]);
        let tokens = table.of(pass);
        product_into(logits.view_mut(), 0.0, x, tokens.reversed_axes(), 1.0, Threads::All);
        let weight = learn.as_ref().map_or(0.0, |(_, weight)| *weight);
        sums += cross_entropy(logits.view_mut(), targets, smoothing, weight);
        if let (Some((gradients, _)), Some(dx)) = (&mut learn, &mut dx) {
            let dx = dx.slice_mut(s![rows, ..]);
            product_into(dx, 0.0, logits.view(), table.of(pass), 1.0, Threads::All);
            add_outer(table.of_mut(gradients), logits.view(), x);
        }
    }
    (sums, dx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_by_hand_and_by_differences() {
        let logits = ndarray::array![[1.0_f32, 2.0, 0.5], [1e4, -1e4, 0.0], [0.0, 0.0, 0.0]];
        let targets = [1, 0, IGNORED];
        let at = |logits: &Array2<f32>, smoothing| {
            let mut d = logits.clone();
            let sums = cross_entropy(d.view_mut(), &targets, smoothing, 1.0);
            (sums, d)
        };
        let (sums, d) = at(&logits, 0.0);
        let total = 1f64.exp() + 2f64.exp() + 0.5f64.exp();
        assert!((sums.nats - (total.ln() - 2.0)).abs() < 1e-6 && sums.nats == sums.objective);
        assert_eq!((sums.correct, sums.count), (2, 2));
        assert_eq!(d.row(2), ndarray::array![0.0, 0.0, 0.0]);
        assert!(d.iter().all(|d| d.is_finite()) && (d.row(1).sum()).abs() < 1e-6);
        for smoothing in [0.0, 0.1] {
            let (_, d) = at(&logits, smoothing);
            for class in 0..3 {
                let moved = |by: f32| {
                    let mut logits = logits.clone();
                    logits[[0, class]] += by;
                    at(&logits, smoothing).0.objective
                };
                let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!((difference - f64::from(d[[0, class]])).abs() < 1e-4, "{smoothing} {class}");
            }
        }
    }

    #[test]
    fn rows_of_any_length_follow_an_f64_reference() {
        for classes in [1, 15, 16, 250, 4001] {
            let logits = Array2::from_shape_fn((3, classes), |(i, j)| {
                ((i * 7919 + j * 104_729) as f32 * 0.37).sin() * 6.0
            });
            let targets = [0, classes as u32 / 2, classes as u32 - 1];
            let (smoothing, weight) = (0.1_f64, 0.25_f64);
            let mut d = logits.clone();
            let sums = cross_entropy(d.view_mut(), &targets, smoothing as f32, weight as f32);
            let (mut nats, mut objective) = (0.0, 0.0);
            for ((row, d), target) in logits.rows().into_iter().zip(d.rows()).zip(targets) {
                let log = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
                let of_target = log - f64::from(row[target as usize]);
                let spread = log - row.iter().map(|&x| f64::from(x)).sum::<f64>() / classes as f64;
                nats += of_target;
                objective += (1.0 - smoothing) * of_target + smoothing * spread;
                for (j, (&x, &found)) in row.iter().zip(d).enumerate() {
                    let share = if j == target as usize { 1.0 - smoothing } else { 0.0 };
                    let exact = weight * ((f64::from(x) - log).exp() - share - smoothing / classes as f64);
                    assert!(
                        (f64::from(found) - exact).abs() < 3e-7 * weight,
                        "{classes}: {found} for {exact}"
                    );
                }
            }
            assert!(
                (sums.nats - nats).abs() < 1e-5 && (sums.objective - objective).abs() < 1e-5,
                "{classes}"
            );
        }
    }

    #[test]
    fn broken_rows_are_seen_in_the_sums_and_ties_are_right() {
        let of = |row: [f32; 3]| {
            let mut logits = Array2::from_shape_vec((1, 3), row.to_vec()).unwrap();
            cross_entropy(logits.view_mut(), &[1], 0.0, 1.0)
        };
        for broken in [f32::NAN, f32::INFINITY] {
            assert!(of([broken, 0.0, 1.0]).objective.is_nan(), "{broken}");
        }
        assert!(of([f32::NEG_INFINITY; 3]).objective.is_nan());
        let tied = of([2.0, 2.0, 0.0]);
        assert_eq!((tied.correct, tied.count), (1, 1));
        assert_eq!(of([0.0, f32::NEG_INFINITY, 0.0]).nats, f64::INFINITY);
    }
}
