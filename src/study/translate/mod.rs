//! `luna translate`: lines of one language in, lines of another out, and their scores.

mod config;
mod lines;
mod network;
mod run;
mod view;

pub use config::TranslateConfig;
pub use run::run;
pub use view::columns;
