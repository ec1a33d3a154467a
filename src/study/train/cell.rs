//! A cell of a comparison: one training, and what it came to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::log::LogLine;
use crate::name::Spec;
use crate::stats;
use crate::task::judge::Answers;
use crate::task::recipe::Recipe;

/// One training: a mechanism, a seed and a learning rate. No cell depends on another.
#[derive(Clone, Debug)]
pub(super) struct TrainingCell {
    /// The mechanism of its layers, as it was given.
    pub(super) mechanism: Spec,
    pub(super) seed: u64,
    pub(super) recipe: Recipe,
    /// Whether other cells have other learning rates.
    pub(super) of_several_rates: bool,
    /// Where it writes its log, its checkpoints and its result.
    pub(super) folder: Option<PathBuf>,
}

impl TrainingCell {
    /// What it is called while it trains.
    pub(super) fn title(&self) -> String {
        let Self { mechanism, seed, recipe, .. } = self;
        let rate = if self.of_several_rates { format!(" rate {:?}", recipe.rate) } else { String::new() };
        format!("{mechanism}{rate} seed {seed}")
    }
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TrainingState {
    Trained,
    /// It can be resumed.
    Interrupted,
    /// Loss or gradients became NaN or infinite at this step.
    Diverged(usize),
}

impl TrainingState {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Trained => "trained",
            Self::Interrupted => "interrupted",
            Self::Diverged(_) => "diverged",
        }
    }
}

/// What a cell came to: everything that the tables and figures show of it, as its folder holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CellResult {
    pub(super) mechanism: String,
    pub(super) seed: u64,
    pub(super) rate: f64,
    /// Projected length of the mechanism.
    pub(super) l: Option<usize>,
    /// How the decoder attends, if there is one.
    pub(super) decoder: Option<String>,
    /// Elements of the learned parameters.
    pub(super) parameters: usize,
    /// Optimiser steps that were taken.
    pub(super) steps: usize,
    pub(super) state: TrainingState,
    /// The last step whose time does not count.
    pub(super) timed_after: usize,
    /// Bytes of parameters, gradients, moments and the largest step.
    pub(super) memory: Option<u64>,
    /// Mean number of tokens of a step.
    pub(super) tokens_per_step: Option<f64>,
    /// The step of the best checkpoint, and its answers on the whole validation set.
    pub(super) best: Option<(usize, Answers)>,
    /// Its answers on the test set.
    pub(super) test: Option<Answers>,
    /// The accuracy of the best constant answer on the set that it is compared on; seeds may have other data.
    pub(super) constant: Option<f64>,
    /// Its log, which is in a file of its own.
    #[serde(skip)]
    pub(super) log: Vec<LogLine>,
}

impl CellResult {
    /// The answers that it is compared by: on the test set, or on the validation set where there is none.
    pub(super) fn compared(&self) -> Option<&Answers> {
        self.test.as_ref().or(self.validation())
    }

    /// Its answers on the validation set.
    pub(super) fn validation(&self) -> Option<&Answers> {
        self.best.as_ref().map(|(_, answers)| answers)
    }

    /// Median seconds of a step.
    pub(super) fn step_seconds(&self) -> Option<f64> {
        let seconds = self.log.iter().filter_map(|line| match line {
            // The first step warms up, and is measured for memory.
            LogLine::Step { step, seconds, .. } if *step > self.timed_after.max(1) => Some(*seconds),
            _ => None,
        });
        let seconds: Vec<f64> = seconds.collect();
        (!seconds.is_empty()).then(|| stats::median(&seconds))
    }

    /// Mean of what was minimised over the last tenth of the steps.
    pub(super) fn train_loss(&self) -> Option<f64> {
        let losses = self.log.iter().filter_map(|line| match line {
            LogLine::Step { step, loss, .. } if step * 10 > self.steps * 9 => Some(*loss),
            _ => None,
        });
        let losses: Vec<f64> = losses.collect();
        (!losses.is_empty()).then(|| stats::mean(&losses))
    }
}
