//! A toolkit for research on efficient attention, as a library and as the command `luna`.
//!
//! The commands, their columns and definitions are described in the pages of `docs/`: `svd-spectrum.md`, `approx-error.md`,
//! `allocate.md`, `scale-sweep.md`, `train.md` (with evaluate, generate and translate), `input.md` and `results.md`.
//!
//! # Modules
//! A module imports those below it only, and no two files import each other in a circle.
//!
//! | layer | modules | content |
//! |---|---|---|
//! | command line | [`cli`] | arguments, experiment files, progress, exit codes; the only module that prints |
//! | studies | [`study`], [`sweep`] | questions: configuration in, tables and figures out; cells of a study, their journal and how they are resumed |
//! | networks | [`layer`], [`network`], [`train`] | each network layer once, with its gradient; encoders, decoders, translators; losses, optimiser, schedules |
//! | | [`model`] | trained models: files of weights, families, forward passes whose heads can be observed |
//! | subjects | [`attention`], [`metric`], [`task`], [`profile`] | attention mechanisms; metrics of spectra, rows and pairs of matrices; training tasks and texts; clock, memory, calibration |
//! | mathematics, output | [`linalg`], [`report`] | products, decompositions, matrix-free spectra; tables, figures and their formats |
//! | base | [`error`], [`mod@file`], [`name`], [`rng`], [`cost`], [`stats`] | the error type, complete files, registries by name, random streams, counts of operations, intervals |
//!
//! # Alphabet
//! The papers' letters mean one thing everywhere: `n` query length, `m` context length, `l` projected length, `d` model
//! width, `h` heads, `d_h` head width, `q k v` the split heads, `A` an attention matrix (n x m, rows sum to 1).
//!
//! # Where to begin
//! - A spectrum of your own matrix: [`linalg::spectra::of_f32`] and [`metric::ALL`].
//! - A mechanism by its name, its output, matrix, cost and rank bound: [`attention::Attention`] and [`attention::ALL`].
//! - The layers of networks, Luna's among them, on arrays: [`layer`].
//! - Whole networks of any mechanism, with incremental decoding, what they cost and what they allocate: [`network`].
//! - The heads of a trained model: [`model::Model::open`] and [`model::Observer`].
//! - Trained models that need no file, which the studies of heads measure if no input is named: [`model::embedded`].
//! - Forward and backward passes over many heads without an n x n array: [`attention::Fused`].
//! - What a network can learn from: [`task::listops`], [`task::labelled`] texts, [`task::image`], [`task::pathfinder`],
//!   [`task::language`], [`task::recall`] and
//!   [`task::translation`] with its vocabulary ([`task::bpe`]), by bytes or by a [`task::tokenizer`], in batches that
//!   the seed determines ([`task::batch`]); the scores of translations: [`task::translation::bleu`] and [`task::translation::chrf`].
//! - A network with its gradients, an optimiser, checkpoints: [`train::Network`]; an encoder-decoder: [`train::Translator`], and
//!   in use, with beam search, [`network::translator`].
//! - Memory that is allocated, and times measured in rounds: [`profile::memory`], [`profile::rounds`].
//! - The whole studies from Rust: [`study::svd_spectrum`], [`study::approx_error`], [`study::allocate`], [`study::scale_sweep`], [`study::train`],
//!   [`study::evaluate`], [`study::generate`] and [`study::translate`].
//! - How to add a mechanism, metric, synthetic input, null model, model family or output format: the module pages of
//!   [`attention`], [`metric`], [`task::synthetic`], [`study::svd_spectrum`], [`model`] and [`report`].

pub mod attention;
pub mod cli;
pub mod cost;
pub mod error;
pub mod file;
pub mod layer;
pub mod linalg;
pub mod metric;
pub mod model;
pub mod name;
pub mod network;
pub mod profile;
pub mod report;
pub mod rng;
pub mod stats;
pub mod study;
pub mod sweep;
pub mod task;
pub mod train;

pub use error::{Error, Result};
