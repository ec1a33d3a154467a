//! First stage: the error of every head under every offer. A cell is a head over one window to choose on.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, s};
use serde::{Deserialize, Serialize};

use super::offers::Offers;
use crate::attention::{Attention, Origin, softmax};
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product};
use crate::study::Context;
use crate::study::allocation::Assignment;
use crate::study::input::{Head, HeadWindow, Trained};
use crate::sweep::{Cell, Hand, Study, bits};

/// The errors of one head, in the order of the offers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HeadErrors {
    /// `||(O - O') W||_F^2` of the head's outputs, through its rows W of the output projection.
    #[serde(with = "bits")]
    pub(super) squares: Vec<f64>,
    /// `||O W||_F^2`.
    #[serde(with = "bits")]
    pub(super) norm: f64,
}

impl HeadErrors {
    /// Over several windows.
    fn add(&mut self, other: &Self) {
        self.squares.iter_mut().zip(&other.squares).for_each(|(sum, more)| *sum += more);
        self.norm += other.norm;
    }
}

/// Below this share of the output's square an error of f32 is rounding, and what it does tells nothing.
pub(super) const ROUNDING: f64 = 1e-9;

/// Whether an offer changes the output of any head: at l = n many mechanisms are softmax.
pub(super) fn changes(errors: &Errors, offer: usize) -> bool {
    errors.values().any(|head| head.squares[offer] > ROUNDING * head.norm)
}

/// By layer and head, summed over windows.
pub(super) type Errors = BTreeMap<(usize, usize), HeadErrors>;

pub(super) struct ErrorStudy<'a> {
    pub(super) source: &'a Trained,
    pub(super) windows: &'a [usize],
    pub(super) offers: &'a Offers,
    /// By layer: `W W^T` of each head, (`d_h`, `d_h`).
    pub(super) grams: BTreeMap<usize, Vec<Array2<f32>>>,
    pub(super) context: Context<'a>,
}

/// What a head's rows of its layer's output projection do to lengths: `W W^T` of each head.
pub(super) fn grams(weight: ArrayView2<'_, f32>, d_h: usize) -> Vec<Array2<f32>> {
    let of = |head: usize| {
        let rows = weight.slice(s![head * d_h..(head + 1) * d_h, ..]);
        product(rows, rows.t(), Threads::One)
    };
    (0..weight.nrows() / d_h).map(of).collect()
}

/// `||D W||_F^2`, with W as its Gram matrix.
fn projected(d: &Array2<f32>, gram: &Array2<f32>) -> f64 {
    let through = product(d.view(), gram.view(), Threads::One);
    // Rounding may leave a sum of squares below 0.
    d.iter().zip(&through).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>().max(0.0)
}

impl Study for ErrorStudy<'_> {
    type Cell = HeadWindow;
    type Input = Head;
    type Rows = HeadErrors;
    type View = Errors;

    fn unit(&self) -> &'static str {
        "mechanisms by head and window"
    }

    fn is_first_stage(&self) -> bool {
        true
    }

    fn plan(&self) -> Vec<Cell<HeadWindow>> {
        let count = self.offers.all.len();
        let mut cells = HeadWindow::plan(self.source, count, |n| count as f64 * n * n * 128.0);
        cells.retain(|cell| self.windows.contains(&cell.of.window));
        for cell in &mut cells {
            cell.key.insert_str(0, "errors ");
        }
        cells
    }

    fn inputs(&self, cells: &[(usize, &HeadWindow)], hand: &mut Hand<'_, Head>) -> Result<()> {
        HeadWindow::inputs(self.source, cells, false, hand)
    }

    fn together(&self, _: &HeadWindow, _: &Head) -> usize {
        2 * rayon::current_num_threads()
    }

    fn run(&self, _: &HeadWindow, head: &Head) -> Result<HeadErrors> {
        let watch = self.context.watch;
        let (input, v) = head.projected()?;
        let gram = &self.grams[&head.layer][head.head];
        let output = product(softmax::matrix_f32(&input).view(), v.view(), Threads::One);
        let mut squares = Vec::with_capacity(self.offers.all.len());
        for (one, _) in &self.offers.all {
            watch.check()?;
            squares.push(if Assignment::is_exact(&one.spec) {
                0.0
            } else {
                let origin = Origin { seed: self.context.seed, label: &head.label, learned: None };
                let matrix = Attention::build(&one.spec, &origin)?.matrix(&input)?;
                projected(&(&output - &product(matrix.view(), v.view(), Threads::One)), gram)
            });
            watch.step(1, &head.label);
        }
        let norm = projected(&output, gram);
        if let Some(x) = squares.iter().chain([&norm]).find(|x| !x.is_finite()) {
            let (what, at) = (format!("errors of {}", head.label), format!("window {}", head.window));
            return Err(Error::NotFinite { what, value: *x, at });
        }
        Ok(HeadErrors { squares, norm })
    }

    fn view(&self, rows: Vec<(HeadWindow, HeadErrors)>) -> Result<Errors> {
        let mut all = Errors::new();
        for (of, found) in rows {
            let sum = all.entry((of.place.layer, of.place.head));
            sum.and_modify(|sum| sum.add(&found)).or_insert(found);
        }
        Ok(all)
    }
}
