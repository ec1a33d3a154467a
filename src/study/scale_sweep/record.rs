//! What a run leaves: plain values from which every table, figure and note is computed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gate::Agreement;
use super::settings::Settings;
use crate::sweep::bits;

/// The first run of a mechanism, alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Probe {
    /// Seconds of the first run, or of the second where both are short.
    #[serde(with = "bits")]
    pub(super) first_s: f64,
    /// Multiply-adds that the kernels counted.
    pub(super) macs: u64,
    /// Maximum number of bytes held at once beyond inputs and outputs.
    pub(super) extra_bytes: Option<u64>,
    /// How much the resident set of a child process grew.
    pub(super) rss_growth: Option<u64>,
}

/// How far the measurement of a mechanism came.
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

/// Everything that was found of one mechanism, in one form, at one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CellRecord {
    pub(super) state: State,
    /// How near the timed code was to its reference implementation, if it was checked.
    pub(super) gate: Option<Agreement>,
    pub(super) probe: Option<Probe>,
    /// Seconds of one pass, by round.
    #[serde(with = "bits")]
    pub(super) times: Vec<f64>,
    /// The same of a second copy, which the fastest of each length has.
    #[serde(with = "bits")]
    pub(super) second: Vec<f64>,
}

/// Rates of the machine's own work, by round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct MachineRecord {
    /// GFLOP/s of a matrix product on all threads.
    #[serde(with = "bits")]
    pub(super) gemm: Vec<f64>,
    /// GFLOP/s of one matrix product on each thread, together.
    #[serde(with = "bits")]
    pub(super) gemm_per_thread: Vec<f64>,
    /// GB/s of STREAM's triad.
    #[serde(with = "bits")]
    pub(super) triad: Vec<f64>,
}

/// What one cell of the sweep leaves: mechanisms of one length, by their keys, and the machine beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LengthRecord {
    pub(super) cells: BTreeMap<String, CellRecord>,
    pub(super) machine: MachineRecord,
    /// The number of rounds that was asked for.
    pub(super) rounds: usize,
    /// The budget in seconds, where something did not fit into it.
    pub(super) cut_at: Option<f64>,
}

impl LengthRecord {
    /// Whether a run with these settings would measure no more than this.
    pub(super) fn suffices(&self, settings: &Settings) -> bool {
        self.rounds >= settings.rounds && self.cut_at.is_none_or(|budget| budget >= settings.budget)
    }
}

/// Relative errors of outputs on an input.
#[derive(Clone, Debug, Default, PartialEq)]
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

/// Everything that a run leaves, mechanisms by their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Records {
    pub(super) cells: BTreeMap<String, CellRecord>,
    pub(super) machine: MachineRecord,
    pub(super) errors: Errors,
    /// Whether it ran to its end.
    pub(super) complete: bool,
}
