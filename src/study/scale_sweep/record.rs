//! What a run leaves: plain values from which every table, figure and note is computed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gate::Agreement;

/// Seconds of one pass, by round.
pub(super) type Times = BTreeMap<usize, f64>;

/// The first run of a cell, alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Probe {
    /// Seconds of the first run, or of the second where both are short.
    pub(super) first_s: f64,
    /// Multiply-adds that the kernels counted.
    pub(super) macs: u64,
    /// Maximum number of bytes held at once beyond inputs and outputs.
    pub(super) extra_bytes: Option<u64>,
    /// How much the resident set of a child process grew.
    pub(super) rss_growth: Option<u64>,
}

/// How far the measurement of a cell came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum State {
    /// The sweep was stopped before.
    #[default]
    NotReached,
    /// Times were not asked for.
    Counted,
    /// Not run, and why; a time may be predicted from shorter lengths.
    Skipped(String),
    /// Run alone, without time for rounds.
    Once,
    /// Timed in rounds.
    Measured,
}

/// Everything that was found of one cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CellRecord {
    pub(super) state: State,
    /// How near the timed code was to its reference implementation, if it was checked.
    pub(super) gate: Option<Agreement>,
    pub(super) probe: Option<Probe>,
    pub(super) times: Times,
}

/// The machine's own work in every round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct MachineRecord {
    /// A matrix product on all threads.
    pub(super) gemm: Times,
    /// One matrix product on each thread.
    pub(super) gemm_per_thread: Times,
    /// STREAM's triad.
    pub(super) triad: Times,
    /// FLOPs of one matrix product.
    pub(super) gemm_flops: f64,
    /// Bytes that the triad moves.
    pub(super) triad_bytes: f64,
    pub(super) threads: usize,
}

/// Relative errors of outputs on an input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Errors {
    /// By length and mechanism, of each head the errors of its windows.
    pub(super) heads: BTreeMap<usize, BTreeMap<String, BTreeMap<String, Vec<f64>>>>,
    /// The name of the input, if there was one.
    pub(super) input: Option<String>,
    /// Width of its heads.
    pub(super) width: Option<usize>,
    /// What was left out, and why.
    pub(super) notes: Vec<String>,
}

/// Everything that a run leaves, cells by their keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Records {
    pub(super) cells: BTreeMap<String, CellRecord>,
    /// Times of a second copy of the fastest cell of each length.
    pub(super) copies: BTreeMap<String, Times>,
    pub(super) machine: MachineRecord,
    pub(super) errors: Errors,
    /// Whether it ran to its end.
    pub(super) complete: bool,
}
