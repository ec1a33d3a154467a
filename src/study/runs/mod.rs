//! Runs that were finished: opened where a user names them, shown again, compared.
//!
//! [`Run::open`] is the one reader. What identifies a row, and which names tables use, is what the study of the run declares
//! ([`Columns`](super::Columns)). Averages are over what a run samples: heads within a window first, then windows (of
//! trainings: seeds).

mod changes;
mod condition;
mod diff;
mod names;
mod open;
mod page;
mod shape;
mod sort;
mod view;

pub use condition::Condition;
pub use diff::{Diff, DiffConfig};
pub use open::Run;
pub use page::compose;
pub use sort::Sort;
pub use view::View;
