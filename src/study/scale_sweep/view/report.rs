//! The whole result.

use super::super::allocation::Allocated;
use super::super::plan::Plan;
use super::super::record::Records;
use super::super::settings::Settings;
use super::sweep::Sweep;
use super::{allocation, conventions, costs, exponent, figures, front, notes, pays, published, row};
use crate::error::Result;
use crate::report::{Report, Stamp};

/// Tables, figures and notes of these records.
pub(in super::super) fn report(
    plan: &Plan,
    settings: &Settings,
    records: &Records,
    allocated: Option<&Allocated>,
    seed: u64,
) -> Result<Report> {
    let sweep = Sweep::of(plan, settings, records, seed)?;
    let views = [
        allocated
            .map(|allocated| allocation::table(&sweep, settings, allocated))
            .transpose()?
            .map(|table| ("allocation", table)),
        Some(("costs", costs::table(&sweep, settings))),
        settings.preset.map(|preset| ("published", published::table(preset, &sweep))),
        front::table(&sweep).map(|table| ("front", table)),
        exponent::table(&sweep).map(|table| ("exponents", table)),
        pays::table(&sweep, settings, seed).map(|table| ("crossover", table)),
        conventions::table(&sweep, settings).map(|table| ("conventions", table)),
    ];
    Ok(Report {
        rows: row::table(&sweep, plan, settings),
        views: views.into_iter().flatten().map(|(name, table)| (name.into(), table)).collect(),
        figures: figures::all(&sweep),
        notes: notes::all(&sweep, plan, settings, records, seed),
        stamp: stamp(&sweep, settings, records),
        ..Report::default()
    })
}

fn stamp(sweep: &Sweep, settings: &Settings, records: &Records) -> Stamp {
    let mut stamp = Stamp::default();
    stamp.push("study", "scale-sweep");
    if let Some((gemm, triad)) = sweep.machine_rates() {
        stamp.push("sgemm_gflop_per_s", gemm);
        stamp.push("triad_gb_per_s", triad);
    }
    stamp.push("rounds", sweep.rounds().map_or(0, |(_, most)| most));
    if let Some(preset) = settings.preset {
        stamp.push("preset", preset.name);
    }
    if !records.complete {
        stamp.push("interrupted", true);
    }
    stamp
}
