//! Language modelling: windows of a text, each token predicted from those before it.

mod detokenizer;
mod task;
mod text_tokens;
mod windows;

pub use detokenizer::Detokenizer;
pub use task::KIND;
pub use windows::{BYTES, EvaluationWindow, Language, Windows};
