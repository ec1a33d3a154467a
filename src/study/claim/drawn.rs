//! Drawn heads, for statements about every input.

use ndarray::{Array2, ArrayView2};

use super::evidence::Evidence;
use super::judge::Figure;
use super::setting::Setting;
use crate::attention::{Input, Mask};
use crate::error::Result;
use crate::report::{Cell, Column, Digits, Table};
use crate::rng::{normal, stream};

/// How many are drawn.
const DRAWS: usize = 24;

/// Queries, keys and values of standard normal numbers.
#[derive(Clone)]
pub(super) struct Drawn {
    pub(super) number: usize,
    pub(super) q: Array2<f32>,
    pub(super) k: Array2<f32>,
    pub(super) v: Array2<f32>,
}

impl Drawn {
    /// A draw of n rows of width d.
    pub(super) fn new(seed: u64, number: usize, (n, d): (usize, usize)) -> Self {
        let mut rng = stream(seed, &format!("claims draw {number}"));
        let [q, k, v] = [(); 3].map(|()| normal(&mut rng, n, d));
        Self { number, q, k, v }
    }

    /// What a mechanism reads of it.
    pub(super) fn input(&self, mask: Mask) -> Input<'_> {
        Input::new(self.q.view(), self.k.view(), mask)
    }

    /// The largest of a figure over draws of 64 rows of width 16, a row each with these columns.
    pub(super) fn all(
        setting: &Setting<'_>,
        columns: &[&str],
        figure: impl Fn(&Self) -> Result<(f64, Vec<Cell>)>,
    ) -> Result<Evidence> {
        let mut rows = table(columns);
        let mut largest = 0.0_f64;
        for number in 0..DRAWS {
            setting.context.watch.check()?;
            let (value, cells) = figure(&Self::new(setting.context.seed, number, (64, 16)))?;
            // A NaN is the largest.
            largest = if value.is_nan() || largest.is_nan() { f64::NAN } else { largest.max(value) };
            rows.push([vec![number.into()], cells].concat());
        }
        let note = Some(format!("largest of {DRAWS} draws of 64 rows of width 16"));
        Ok(Evidence { figure: Figure::Exact(largest), rows, command: None, note })
    }
}

/// A table of evidence.
pub(super) fn table(columns: &[&str]) -> Table {
    let column = |name: &&str| Column::new(*name, "", "", Digits::Significant(4));
    Table::new("", columns.iter().map(column).collect())
}

/// `||x - y|| / ||y||`.
pub(super) fn relative(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> f64 {
    let square = |x: f64| x * x;
    let apart: f64 = x.iter().zip(y).map(|(x, y)| square(f64::from(*x) - f64::from(*y))).sum();
    (apart / y.iter().map(|y| square(f64::from(*y))).sum::<f64>()).sqrt()
}
