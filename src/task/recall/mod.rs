//! Associative recall: generated sequences of pairs and questions.

mod sequences;
mod task;

pub use sequences::{BLANK, Recall, RecallPart, RecallSettings};
pub use task::KIND;
