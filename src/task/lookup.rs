//! Finds a task by its name, or by the facts of a trained network.

use serde_json::Value;

use super::{ALL, NetworkKind, TaskKind};
use crate::name::{self, Spec};
use crate::{Error, Result};

/// The task of a spec, as `listops:max=300`.
pub fn find(spec: &Spec) -> Result<&'static TaskKind> {
    name::find("task", &spec.name, ALL, |kind| kind.name).copied()
}

/// The task that a network was trained on, by the facts of its `config.json`.
///
/// Where they do not name one (files of other programs), the first whose networks are of this kind and that can
/// evaluate them on a file.
pub fn of_trained(facts: &Value, network: NetworkKind) -> Result<&'static TaskKind> {
    let title = facts["task"].as_str().unwrap_or_default();
    let name = title.split([' ', ':']).next().unwrap_or_default();
    let of_kind = |kind: &&&TaskKind| kind.network == network;
    let named = ALL.iter().filter(of_kind).find(|kind| kind.name == name);
    let any = || ALL.iter().filter(of_kind).find(|kind| kind.evaluate.is_some());
    let found = named.or_else(|| any().filter(|_| name.is_empty())).copied();
    found.ok_or_else(|| {
        let names: Vec<_> = ALL.iter().filter(of_kind).map(|kind| kind.name).collect();
        Error::value("task of this network", title, names.join(", "))
    })
}
