//! Translation: parallel texts, batches of pairs of similar length, and the scores of translations.

mod aligned;
pub mod bleu;
pub mod chrf;
mod parallel;

pub use parallel::{Buckets, Pair, Parallel};
