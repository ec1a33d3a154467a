//! BLEU of translations, as sacreBLEU computes it.

mod score;
#[cfg(test)]
mod tests;
mod tokens;

pub use score::{Bleu, Counts, ORDER, corpus, sentence};
pub use tokens::tokenize;
