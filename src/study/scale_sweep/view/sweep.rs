//! The plan with its records: every cell with what was found of it.

use super::super::build;
use super::super::cell::{Cell, Form};
use super::super::gate::Agreement;
use super::super::plan::Plan;
use super::super::record::{CellRecord, MachineRecord, Probe, Records, State};
use super::super::settings::Settings;
use super::super::subject::Facts;
use crate::error::Result;
use crate::rng::stream;
use crate::stats::{self, Interval};

/// One cell with what was found of it.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) cell: Cell,
    pub(super) facts: Facts,
    pub(super) state: State,
    pub(super) gate: Option<Agreement>,
    pub(super) probe: Option<Probe>,
    /// Seconds of one pass, by round.
    pub(super) times: Vec<f64>,
    /// The same of a second copy; empty but for the fastest of each length.
    pub(super) second: Vec<f64>,
    /// The mean error over heads, with its bootstrap interval over heads.
    pub(super) error: Option<(f64, Option<Interval>)>,
}

impl Measured {
    /// Bytes beyond inputs and outputs: as counted, or else the closed form.
    pub(super) fn extra_bytes(&self) -> Option<u64> {
        self.probe.as_ref().and_then(|probe| probe.extra_bytes).or(self.facts.extra_bytes)
    }
}

/// A sweep as the views read it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sweep {
    pub(super) cells: Vec<Measured>,
    pub(super) machine: MachineRecord,
}

impl Sweep {
    pub(super) fn of(plan: &Plan, settings: &Settings, records: &Records, seed: u64) -> Result<Self> {
        let unmeasured = if settings.measures_costs() { State::NotReached } else { State::Counted };
        let measured = |cell: &Cell| {
            let found = records.cells.get(&cell.key()).cloned();
            let found =
                found.unwrap_or_else(|| CellRecord { state: unmeasured.clone(), ..CellRecord::default() });
            let CellRecord { state, gate, probe, times, second } = found;
            let facts = build::facts(cell, settings)?;
            let error = error(cell, records, seed);
            Ok(Measured { cell: cell.clone(), facts, state, gate, probe, times, second, error })
        };
        let cells = plan.cells.iter().map(measured).collect::<Result<Vec<_>>>()?;
        Ok(Self { cells, machine: records.machine.clone() })
    }

    /// Exact attention of this form at this length.
    pub(super) fn exact(&self, form: Form, n: usize) -> Option<&Measured> {
        self.cells.iter().find(|one| one.cell.is_exact(form, n))
    }

    /// The first cell of each curve: mechanism, l and form.
    pub(super) fn curves(&self) -> Vec<&Measured> {
        let mut curves: Vec<&Measured> = Vec::new();
        for one in &self.cells {
            if !curves.iter().any(|curve| curve.cell.same_curve(&one.cell)) {
                curves.push(one);
            }
        }
        curves
    }

    /// The cells of a curve, by length.
    pub(super) fn curve<'a>(&'a self, cell: &'a Cell) -> impl Iterator<Item = &'a Measured> + 'a {
        self.cells.iter().filter(move |one| one.cell.same_curve(cell))
    }

    /// The cells of a curve that were timed in rounds, by length.
    pub(super) fn timed<'a>(&'a self, cell: &'a Cell) -> impl Iterator<Item = &'a Measured> + 'a {
        self.curve(cell).filter(|one| !one.times.is_empty())
    }

    /// The smallest and the largest number of rounds of what was timed.
    pub(super) fn rounds(&self) -> Option<(usize, usize)> {
        let counts = || self.cells.iter().map(|one| one.times.len()).filter(|count| *count > 0);
        counts().min().zip(counts().max())
    }

    /// GFLOP/s of the machine's own products: the fastest round, on all threads together or one product on each.
    pub(super) fn peak(&self) -> Option<f64> {
        self.machine.gemm.iter().chain(&self.machine.gemm_per_thread).copied().reduce(f64::max)
    }

    /// GFLOP/s of the machine's product on all threads, and GB/s of its triad: medians over rounds.
    pub(super) fn machine_rates(&self) -> Option<(f64, f64)> {
        let MachineRecord { gemm, triad, .. } = &self.machine;
        (!gemm.is_empty()).then(|| (stats::median(gemm), stats::median(triad)))
    }
}

/// The mean error of a mechanism over heads, with its bootstrap interval over heads.
fn error(cell: &Cell, records: &Records, seed: u64) -> Option<(f64, Option<Interval>)> {
    let heads = records.errors.heads.get(&cell.n)?.get(&cell.spec.to_string())?;
    let means: Vec<f64> = heads.values().map(|windows| stats::mean(windows)).collect();
    let mut rng = stream(seed, &format!("bootstrap heads {}", means.len()));
    Some((stats::mean(&means), stats::bootstrap_mean(&means, &mut rng)))
}
