//! Third and fourth stage: the whole model with its heads as chosen, on the windows to choose on, where one of several
//! allocations is selected, and on the windows to judge on. A cell is a window with one choice.

use std::sync::Arc;

use ndarray::Array2;

use super::plan::Choice;
use super::texts::Texts;
use crate::error::Result;
use crate::model::{Model, Unobserved};
use crate::study::Context;
use crate::study::approx_error::Drift;
use crate::sweep::{Cell, Hand, Study};

pub(super) struct JudgeStudy<'a> {
    pub(super) texts: &'a Texts,
    pub(super) model: &'a Model,
    /// Whether on the windows to judge on; else on those to choose on.
    pub(super) judged: bool,
    pub(super) choices: &'a [Choice],
    /// As the budgets were asked for.
    pub(super) budgets: &'a [String],
    pub(super) context: Context<'a>,
}

/// A window of one of the two sets, under a choice by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WindowOf {
    /// Whether it is one to judge on; else one to choose on.
    pub(super) judged: bool,
    pub(super) window: usize,
    pub(super) choice: usize,
}

/// One choice over one window.
pub(super) struct Measured {
    pub(super) of: WindowOf,
    pub(super) drift: Drift,
}

impl Study for JudgeStudy<'_> {
    type Cell = WindowOf;
    type Input = Arc<Array2<f32>>;
    type Rows = Drift;
    type View = Vec<Measured>;

    fn unit(&self) -> &'static str {
        "forward passes"
    }

    fn is_first_stage(&self) -> bool {
        !self.judged
    }

    fn plan(&self) -> Vec<Cell<WindowOf>> {
        let judged = self.judged;
        let (set, windows) =
            if judged { ("judge", &self.texts.judging) } else { ("choose", &self.texts.choosing) };
        let mut cells = Vec::new();
        for window in windows {
            cells.extend(self.choices.iter().enumerate().map(|(choice, one)| {
                let least = one.least.map_or(String::new(), |divisor| format!(" from 1/{divisor}"));
                let key = format!("{set} window {window} {}: {}{least}", self.budgets[one.budget], one.name);
                Cell { key, steps: 1, cost: 1.0, of: WindowOf { judged, window: *window, choice } }
            }));
        }
        cells
    }

    /// The last hidden states of the model as it was trained, once a window.
    fn inputs(&self, cells: &[(usize, &WindowOf)], hand: &mut Hand<'_, Arc<Array2<f32>>>) -> Result<()> {
        for of_window in cells.chunk_by(|(_, a), (_, b)| (a.judged, a.window) == (b.judged, b.window)) {
            let of = of_window[0].1;
            let input = self.texts.input(of.judged, of.window)?;
            let exact = Arc::new(self.model.run(input, &mut Unobserved, None)?.last()?);
            of_window.iter().try_for_each(|(at, _)| hand(*at, Arc::clone(&exact)))?;
        }
        Ok(())
    }

    fn run(&self, of: &WindowOf, exact: &Arc<Array2<f32>>) -> Result<Drift> {
        let input = self.texts.input(of.judged, of.window)?;
        let choice = &self.choices[of.choice];
        let other = self.model.run(input, &mut Unobserved, Some(&choice.assignment))?.last()?;
        let drift = Drift::of(self.model, input, exact, &other)?;
        self.context.watch.step(1, &choice.name);
        Ok(drift)
    }

    fn view(&self, rows: Vec<(WindowOf, Drift)>) -> Result<Vec<Measured>> {
        Ok(rows.into_iter().map(|(of, drift)| Measured { of, drift }).collect())
    }
}
