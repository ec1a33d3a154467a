//! Plan: which cells are measured, in which order, within which budget.

mod budget;
mod cells;

pub(super) use budget::{Budget, effort};
pub(super) use cells::Plan;
