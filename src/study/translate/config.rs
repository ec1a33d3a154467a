//! The flags of `luna translate`.

use std::path::PathBuf;

use clap::Args;

/// Which network translates, what, and what it is scored by.
#[derive(Args, Clone, Debug, Default)]
#[allow(missing_docs)] // the flags' help says what they are
pub struct TranslateConfig {
    /// Folder of a training with --task translation
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// File to translate, a sentence a line [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Beam width; 1 is greedy search
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub beam: usize,
    /// Exponent of the length penalty: alpha of Wu et al. 2016, ln p over ((5 + length) / 6)^alpha
    #[arg(long, value_name = "ALPHA", default_value_t = 1.0)]
    pub length_penalty: f64,
    /// Reference translations, a line for every line: BLEU and chrF are reported (on standard error with --format text)
    #[arg(long, value_name = "FILE")]
    pub reference: Option<PathBuf>,
    /// Another system's translations of the same lines, to compare the scores with
    #[arg(long, value_name = "FILE", requires = "reference")]
    pub against: Option<PathBuf>,
}
