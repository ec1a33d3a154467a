//! Associative recall: generated sequences of pairs and questions.

mod sequences;

pub use sequences::{BLANK, Part, Recall, Settings};
