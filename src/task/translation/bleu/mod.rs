//! BLEU of translations, as sacreBLEU computes it.

mod score;
#[cfg(test)]
mod tests;
mod tokens;

pub use score::{Bleu, BleuCounts, ORDER, corpus, sentence};
pub use tokens::tokenize;
