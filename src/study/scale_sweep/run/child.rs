//! One cell in a process of its own: how much its resident set grows, whatever allocates or maps the memory.

use super::super::build::{self, Shared};
use super::super::cell::Cell;
use super::super::config::{ScaleSweepConfig, Spawn};
use super::super::plan::Plan;
use super::super::settings::Settings;
use crate::error::{Error, Result};
use crate::profile::ram;

/// The growth in bytes that a child process reports after one run of the cell; none where the system does not tell, or the
/// child failed (out of memory, for example).
pub(super) fn run(spawn: Spawn, cell: &Cell, settings: &Settings) -> Option<u64> {
    let sizes = [
        ("--seq-len", cell.n),
        ("--num-heads", settings.heads),
        ("--head-dim", settings.head_dim),
        ("--batch", settings.batch),
        ("--ffn", settings.ffn),
        ("--num-layers", settings.layers),
        ("--threads", rayon::current_num_threads()),
    ];
    let mut args: Vec<String> =
        ["scale-sweep", "--quiet", "--alone", cell.form.name()].map(Into::into).into();
    args.extend(["--mechanism".into(), cell.spec.to_string()]);
    args.extend(sizes.into_iter().flat_map(|(flag, size)| [flag.to_string(), size.to_string()]));
    args.extend(["--unit", settings.unit.name(), "--pass", settings.pass.name()].map(Into::into));
    if settings.causal() {
        args.push("--causal".into());
    }
    spawn(&args)?.trim().parse().ok()
}

/// In the child: runs the one cell that the configuration names, in the form of this name.
pub fn resident_growth(config: &ScaleSweepConfig, form: &str, seed: u64) -> Result<Option<u64>> {
    let settings = Settings::of(config)?;
    let cells = Plan::of(&settings)?.cells;
    // Exact attention, which was added, comes first.
    let cell = cells.iter().rev().find(|cell| cell.form.name() == form);
    let cell = cell.ok_or_else(|| Error::value("--alone", form, "a form that the mechanism has"))?;
    let shared = Shared::new(cell.n, &settings, seed);
    let mut subject = build::subject(cell, &settings, &shared, seed)?;
    // Starts all threads, with their stacks.
    rayon::broadcast(|_| ());
    let Some(before) = ram::rest() else { return Ok(None) };
    subject.run(None)?;
    Ok(ram::peak().map(|peak| peak.saturating_sub(before)))
}
