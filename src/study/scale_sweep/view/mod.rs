//! View: tables, figures and notes, from the plan and the records of a run alone; nothing is measured here.

mod allocation;
mod columns;
mod conventions;
mod costs;
mod crossing;
mod exponent;
mod figures;
mod fit;
mod front;
mod notes;
mod pays;
#[cfg(test)]
mod planted;
mod published;
mod report;
mod row;
mod sweep;

pub(super) use report::report;
pub use row::columns;
