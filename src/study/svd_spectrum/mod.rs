//! `luna svd-spectrum`: is attention low-rank, by which definition, and more than in null models?
//!
//! Every head's matrix is decomposed as it stands, without its mean row (a row-stochastic matrix has a large first
//! value for that reason alone), and beside null models ([`null::ALL`]) that share its temperature and mask.
//!
//! # One more null model
//! A function that draws it and one entry of [`null::ALL`]: columns, verdicts, help and `luna list` follow.

mod aggregated;
mod asked;
mod columns;
mod config;
mod curves;
mod estimated;
mod every;
mod factored;
mod growth;
mod growth_figure;
mod leading;
mod leading_view;
mod measure;
mod measured;
mod notes;
pub mod null;
mod operator;
mod rounding;
mod rows;
mod run;
mod shares;
mod sparsity;
mod subject;
mod summary;
mod verdict;
mod view;

pub use config::{Config, Method};
pub(in crate::study) use notes::VERDICT;
pub(in crate::study) use run::names;
pub use run::{columns, run};
pub use subject::Subject;
