//! One cell in a process of its own: how much its resident set grows, by whatever allocates or maps.

use std::path::Path;
use std::process::{Command, Stdio};

use super::cell::Cell;
use super::settings::Settings;
use super::subject::{self, Shared};
use super::Config;
use crate::error::{Error, Result};
use crate::profile::ram;

/// The growth in bytes, from a child that runs the cell once; none where the system does not tell, or the child ended
/// before it could (for want of memory, say).
pub(super) fn in_child(program: &Path, cell: &Cell, settings: &Settings) -> Result<Option<u64>> {
    let mut child = Command::new(program);
    child.args(["scale-sweep", "--quiet", "--alone", cell.form.name(), "--attention", &cell.spec.to_string()]);
    let numbers = [
        ("--seq-len", cell.n),
        ("--heads", settings.heads),
        ("--head-dim", settings.head_dim),
        ("--batch", settings.batch),
        ("--ffn", settings.ffn),
        ("--layers", settings.layers),
        ("--threads", rayon::current_num_threads()),
    ];
    for (flag, number) in numbers {
        child.arg(flag).arg(number.to_string());
    }
    child.args(["--unit", settings.unit.name(), "--pass", settings.pass.name()]);
    if settings.mask == crate::attention::Mask::Causal {
        child.arg("--causal");
    }
    let ran = child.stdin(Stdio::null()).stderr(Stdio::null()).output().map_err(Error::file(program))?;
    let text = String::from_utf8_lossy(&ran.stdout);
    Ok(if ran.status.success() { text.trim().parse().ok() } else { None })
}

/// In the child: runs the one cell that the configuration names, in the form of this name.
pub fn growth(config: &Config, form: &str, seed: u64) -> Result<Option<u64>> {
    let settings = Settings::of(config)?;
    let cells = Cell::all(&settings)?;
    let cell = cells.iter().find(|cell| cell.form.name() == form);
    let cell = cell.ok_or_else(|| Error::value("--alone", form, "a form that the mechanism has"))?;
    let shared = Shared::new(cell.n, &settings, seed);
    let mut subject = subject::build(cell, &settings, &shared, seed)?;
    // Threads and their stacks are there before.
    rayon::broadcast(|_| ());
    let Some(before) = ram::rest() else { return Ok(None) };
    subject.run(None)?;
    Ok(ram::peak().map(|peak| peak.saturating_sub(before)))
}
