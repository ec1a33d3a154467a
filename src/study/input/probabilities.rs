//! Whether dumped matrices are attention probabilities, and what they may be where they are not.

use ndarray::Array2;

use crate::error::Result;
use crate::task::dump::{Dump, Matrix};

/// Further than this from 1, the sum of a row is not explained by rounding or by few digits.
const FAR: f64 = 0.1;
/// Below this, a negative number is no rounding of 0.
const NEGATIVE: f64 = -1e-6;

/// What was found of the chosen matrices.
pub(super) struct Check {
    /// Why they are no probabilities, if they are none.
    pub(super) fault: Option<String>,
    /// What a reader must know first.
    pub(super) warning: Option<String>,
}

impl Check {
    /// Looks at every entry of these heads; refuses what is not finite.
    pub(super) fn of(dump: &Dump, layers: &[usize], heads: &[usize]) -> Result<Self> {
        let (mut drifts, mut fault) = (Drifts::default(), None);
        let tolerance = dump.precision.row_tolerance(dump.shape().3);
        for sample in 0..dump.samples() {
            for (layer, head) in layers.iter().flat_map(|layer| heads.iter().map(move |head| (*layer, *head)))
            {
                let a = match dump.matrix("attention matrix", layer, sample, head)? {
                    Matrix::F32(a) => a.mapv(f64::from),
                    Matrix::F64(a) => a,
                };
                let sample = if dump.samples() > 1 { format!("sample {sample}, ") } else { String::new() };
                let at = format!("layer {layer}, {sample}head {head}");
                if fault.is_none() {
                    fault = negative(&a, &at).or_else(|| far(&a, &at));
                }
                drifts.add(&a, tolerance);
            }
        }
        let warning = match &fault {
            Some(fault) => Some(format!(
                "these matrices are no attention probabilities, and figures of rows mean little: {fault}"
            )),
            None => drifts.told(dump.precision.name()),
        };
        Ok(Self { fault, warning })
    }
}

fn negative(a: &Array2<f64>, at: &str) -> Option<String> {
    let ((i, j), x) = a.indexed_iter().find(|(_, x)| **x < NEGATIVE)?;
    Some(format!(
        "{x} in {at}, row {i}, column {j}: a negative entry (are these logits, before the softmax?)"
    ))
}

/// The first row whose sum is neither near 1 nor 0, which padding leaves.
fn far(a: &Array2<f64>, at: &str) -> Option<String> {
    let sums: Vec<f64> = a.rows().into_iter().map(|row| row.sum()).collect();
    let is_far = |sum: &f64| drift(*sum) > FAR;
    let (i, sum) = sums.iter().enumerate().find(|(_, sum)| is_far(sum))?;
    let columns_are_rows = a.columns().into_iter().all(|column| !is_far(&column.sum()));
    let mean = sums.iter().sum::<f64>() / sums.len() as f64;
    let guess = if columns_are_rows {
        " (its columns do: is it transposed?)"
    } else if (mean - 1.0).abs() < FAR && a.iter().any(|x| *x == 0.0) {
        " (was dropout on?)"
    } else {
        ""
    };
    Some(format!("row {i} of {at} sums to {sum:.4}, and not to 1{guess}"))
}

/// How far the sum of a row is from 1; a row of zeros is padding.
fn drift(sum: f64) -> f64 {
    if sum == 0.0 { 0.0 } else { (sum - 1.0).abs() }
}

/// Rows whose sums are further from 1 than their number format makes them.
#[derive(Default)]
struct Drifts {
    rows: usize,
    drifting: usize,
    largest: f64,
}

impl Drifts {
    fn add(&mut self, a: &Array2<f64>, tolerance: f64) {
        for row in a.rows() {
            let drift = drift(row.sum());
            self.rows += 1;
            self.drifting += usize::from(drift > tolerance);
            self.largest = self.largest.max(drift);
        }
    }

    fn told(&self, precision: &str) -> Option<String> {
        let Self { rows, drifting, largest } = self;
        (*drifting > 0).then(|| {
            format!(
                "{drifting} of {rows} rows do not sum to 1 (furthest off by {largest:.3e}), more than rounding to {precision} \
                 explains: figures of rows are about as uncertain"
            )
        })
    }
}
