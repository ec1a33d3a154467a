//! The whole model with its attention replaced, without retraining: how far do its outputs drift?

mod drift;
mod figure;
mod group;
mod notes;
mod replace;
mod rows;
mod tables;
mod view;

pub(in crate::study) use drift::{Drift, Prediction};
pub(super) use replace::run;
pub(super) use rows::{KEYS, columns};
pub(super) use tables::SHORT;
