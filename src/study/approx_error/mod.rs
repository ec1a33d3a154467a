//! `luna approx-error`: how well does each mechanism stand in for softmax attention, beside the best of its rank?
//!
//! Every mechanism is built for every head of the input, and its matrix and output are compared with those of softmax
//! attention by the metrics of [`crate::metric`]; beside it stands what the truncated decomposition of the same rank
//! reaches on the same head. Learned parts that belong to a head and not to its input (P of Luna, E and F of Linformer) can be
//! fitted on the first windows and judged on the others.
//!
//! Of a model that was trained with Luna attention, `trained` is what the model itself has learned: its matrix is
//! compared like any other with the softmax of the same queries, keys and values, and beside it stands how its rows of P
//! are used.
//!
//! Two other questions are asked of the same inputs: `--substitute` runs the whole model with its attention replaced,
//! and `--check linformer-theorem-1` tests the construction by which Linformer proves its claim.

mod aggregated;
mod allocated;
mod candidate;
mod compare;
mod config;
mod curves;
mod differences;
mod fits;
mod frame;
mod group;
mod measure;
mod notes;
mod own;
mod reach;
mod rows;
mod run;
mod slots;
mod slots_view;
mod stream;
mod substitute;
mod summary;
mod theorem;
mod view;

pub(in crate::study) use candidate::{Candidate, Candidates};
pub use config::{Check, Config, Stream};
pub use own::TRAINED;
pub(in crate::study) use run::names;
pub use run::{columns, run};
pub(in crate::study) use substitute::{Drift, Prediction};
