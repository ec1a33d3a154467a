//! What a claim is.

use super::evidence::Evidence;
use super::judge::Judge;
use super::setting::Setting;
use crate::error::Result;

/// A published statement that can be tested.
pub struct Claim {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it says, as one sentence about the figure.
    pub about: &'static str,
    /// Who states it, and where.
    pub source: &'static str,
    /// The figure that decides.
    pub(super) figure: &'static str,
    /// What the source prints of that figure, if anything.
    pub(super) published: Option<&'static str>,
    /// Where the figure must lie.
    pub(super) judge: Judge,
    /// What it is measured on.
    pub(super) on: On,
    /// Measures it.
    pub(super) measure: fn(&Setting<'_>) -> Result<Evidence>,
}

/// What a claim is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// The heads of the input: of a model, synthetic, or from a file.
    Heads,
    /// The whole model, its likelihood.
    Model,
    /// Drawn queries, keys and values: the statement is about every input.
    Draws,
    /// This machine.
    Machine,
    /// Finished training runs.
    Runs,
}

impl Claim {
    /// Whether it is measured on the input.
    pub(super) fn is_on_input(&self) -> bool {
        matches!(self.on, On::Heads | On::Model)
    }

    /// When it holds, in words.
    pub fn holds(&self) -> String {
        format!("{}: {}", self.figure, self.judge.words())
    }

    /// What it is measured on, in words.
    pub fn on(&self) -> &'static str {
        match self.on {
            On::Heads => "the heads of the input",
            On::Model => "the input's model as a whole",
            On::Draws => "drawn queries, keys and values",
            On::Machine => "this machine",
            On::Runs => "finished runs (--runs)",
        }
    }
}
