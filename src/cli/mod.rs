//! The command line: arguments in, exit code out. Only this module writes to the terminal.
//!
//! # How to add a subcommand
//!
//! A file with its `Args`, and in `app` a variant of [`Command`] with its arm in `dispatch`; experiment files, completions
//! and help follow.

mod allocate;
mod app;
mod approx_error;
mod arguments;
mod cells;
mod check;
mod cluster;
mod completions;
mod diff;
pub mod doctor;
mod evaluate;
pub mod executable;
mod exit;
pub mod experiment;
mod generate;
mod global;
pub mod interrupt;
mod jobs;
pub mod list;
mod merge;
mod needed;
mod numbers;
mod plain;
pub mod progress;
mod renamed;
mod report;
mod scale_sweep;
mod show;
mod signal;
mod study;
mod svd_spectrum;
mod text_output;
mod train;
mod translate;

pub use allocate::Allocate;
pub use app::{App, Command, main};
pub use approx_error::ApproxError;
pub use arguments::parse;
pub use completions::Completions;
pub use diff::Diff;
pub use evaluate::Evaluate;
pub use exit::Failure;
pub use generate::Generate;
pub use global::Global;
pub use plain::PlainFormat;
pub use report::Report;
pub use scale_sweep::ScaleSweep;
pub use show::Show;
pub use study::OutputArgs;
pub use svd_spectrum::SvdSpectrum;
pub use train::Train;
pub use translate::Translate;
