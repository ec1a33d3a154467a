//! One mechanism for each head of a model: what `luna allocate` chooses, in a file and in the place of the model's attention.

mod assignment;
mod file;

pub(in crate::study) use assignment::{Assignment, attend};
pub(in crate::study) use file::{Budget, HeadChoice, Judged, ModelFacts, Record};
