//! `luna train`: do networks that use it still learn?
//!
//! A comparison is a list of independent cells: one training for each mechanism, learning rate and seed, each in a folder
//! of its own, on the same batches. The checkpoint of a cell and the learning rate of a mechanism are selected on the
//! validation set; the test set, where the task has one, is evaluated once after training.
//!
//! `config` holds the flags, `settings` makes a recipe of them, `plan` the cells, `run` trains one cell and writes what it
//! found, `view` makes tables, figures and notes of all of them.

mod cell;
mod compare;
mod config;
mod data;
mod figure;
mod folder;
mod log;
pub(in crate::study) mod network;
mod notes;
mod plan;
mod run;
mod settings;
mod study;
mod view;

pub use config::TrainConfig;
pub use study::run;
pub use view::columns;
