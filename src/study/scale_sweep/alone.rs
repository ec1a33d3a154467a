//! One cell in a process of its own: how much its resident set grows, by whatever allocates or maps.

use super::Config;
use super::asked::Asked;
use super::cell::Cell;
use super::settings::Settings;
use super::subject::{self, Shared};
use crate::error::{Error, Result};
use crate::profile::ram;

/// Runs this program with arguments and returns what it writes, or none if it fails.
pub type Again = fn(&[String]) -> Option<String>;

/// The growth in bytes, from a child that runs the cell once; none where the system does not tell, or the child ended
/// before it could (for want of memory, say).
pub(super) fn in_child(again: Again, cell: &Cell, settings: &Settings) -> Option<u64> {
    let numbers = [
        ("--seq-len", cell.n),
        ("--heads", settings.heads),
        ("--head-dim", settings.head_dim),
        ("--batch", settings.batch),
        ("--ffn", settings.ffn),
        ("--layers", settings.layers),
        ("--threads", rayon::current_num_threads()),
    ];
    let mut args: Vec<String> =
        ["scale-sweep", "--quiet", "--alone", cell.form.name()].map(Into::into).into();
    args.extend(["--attention".into(), cell.spec.to_string()]);
    args.extend(numbers.into_iter().flat_map(|(flag, number)| [flag.to_string(), number.to_string()]));
    args.extend(["--unit", settings.unit.name(), "--pass", settings.pass.name()].map(Into::into));
    if settings.causal() {
        args.push("--causal".into());
    }
    again(&args)?.trim().parse().ok()
}

/// In the child: runs the one cell that the configuration names, in the form of this name.
pub fn growth(config: &Config, form: &str, seed: u64) -> Result<Option<u64>> {
    let settings = Settings::of(config)?;
    let cells = Asked::of(&settings)?.cells;
    // Exact attention stands in front of what was named.
    let cell = cells.iter().rev().find(|cell| cell.form.name() == form);
    let cell = cell.ok_or_else(|| Error::value("--alone", form, "a form that the mechanism has"))?;
    let shared = Shared::new(cell.n, &settings, seed);
    let mut subject = subject::build(cell, &settings, &shared, seed)?;
    // Threads and their stacks are there before.
    rayon::broadcast(|_| ());
    let Some(before) = ram::rest() else { return Ok(None) };
    subject.run(None)?;
    Ok(ram::peak().map(|peak| peak.saturating_sub(before)))
}
