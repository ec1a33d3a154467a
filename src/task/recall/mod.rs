//! Associative recall: generated sequences of pairs and questions.

mod sequences;
mod task;

pub use sequences::{BLANK, Part, Recall, RecallSettings};
pub use task::KIND;
