//! What a study is given beside its configuration, and what it returns.

use crate::linalg::engine::Engine;
use crate::report::Report;
use crate::sweep::Watch;

/// What a study is given beside its own configuration.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Backend of dense decompositions.
    pub engine: Engine,
    /// Who follows.
    pub watch: &'a dyn Watch,
}

/// What a study returns.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The result; of a study that was stopped, what it had by then.
    pub report: Report,
    /// Whether everything was measured.
    pub complete: bool,
}
