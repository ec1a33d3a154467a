//! Translation: parallel texts, batches of pairs of similar length, and the scores of translations.

mod aligned;
pub mod bleu;
mod buckets;
pub mod chrf;
mod parallel;
pub mod scores;
mod task;

pub use buckets::Buckets;
pub use parallel::{Parallel, SentencePair};
pub use task::KIND;
