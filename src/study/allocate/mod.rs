//! `luna allocate`: a budget of attention spent where the model needs it.
//!
//! Four stages over one journal. `errors`: the error of every head's output under every mechanism and l, on windows to
//! choose on. `sensitivity`: what an error of a head does to the model's predictions, measured by replacing it. Their
//! product is the harm that a choice is predicted to do; `choose` takes one mechanism and l for each head under the budget.
//! `judge`: the whole model with all heads replaced, first as several allocations have it, on the windows to choose on, where
//! the best of them is selected; then as that one and the same mechanism and l in every head at the same budget have it, on
//! windows that nothing was chosen on.

mod budget;
mod choose;
mod config;
mod errors;
mod front;
mod harm;
mod judge;
mod notes;
mod offers;
mod plan;
mod results;
mod rows;
mod run;
mod selection;
mod sensitivity;
mod tables;
mod texts;
mod view;

pub use budget::Budgets;
pub use config::{AllocateConfig, Sensitivity};
pub use rows::columns;
pub use run::run;
