//! Tasks that networks are trained on, and other data that models are shown.
//!
//! # How to add a task
//! One file or folder with a `pub const KIND: TaskKind` and an implementation of [`Task`], and two lines here: its `mod`
//! and its place in [`ALL`]. `luna train`, `luna evaluate`, `luna list`, help and tests know it from there. Tasks of
//! classes need no implementation of their own: [`classified`] is one.

pub mod batch;
pub mod bpe;
pub mod classified;
pub mod dump;
pub mod examples;
pub mod image;
pub mod judge;
mod kind;
pub mod labelled;
mod labels;
pub mod language;
pub mod listops;
mod lookup;
pub mod pathfinder;
mod pixels;
pub mod recall;
pub mod recipe;
mod retrieval;
mod shown;
pub mod stride;
pub mod synthetic;
mod text;
pub mod tokenizer;
pub mod tokens;
pub mod translation;
pub mod window;

pub use kind::{
    BYTES, BYTES_FROM_ONE, DataPiece, EvaluationSet, HeldOutSet, Interface, NetworkKind, NetworkOutput,
    Setup, TOKENIZER, Task, TaskKind, TokenizerFile, TrainedNetwork,
};
pub use lookup::{find, of_trained};

pub(crate) use crate::file::text;
pub(crate) use shown::short;

/// Every task that a network can be trained on.
pub const ALL: &[&TaskKind] = &[
    &text::KIND,
    &listops::KIND,
    &image::KIND,
    &pathfinder::KIND,
    &language::KIND,
    &recall::KIND,
    &retrieval::KIND,
    &translation::KIND,
];
