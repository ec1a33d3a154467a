//! What the study of a run declares of its rows.

use std::ops::Range;

use serde_json::Value;

use crate::report::Stamp;
use crate::study::{Columns, allocate, approx_error, evaluate, scale_sweep, svd_spectrum, train};

/// The study that a run is of.
pub(super) fn study(stamp: &Stamp) -> &str {
    stamp.get("study").and_then(Value::as_str).unwrap_or_default()
}

/// The keys of its rows and their short names; none of a study whose rows have no keys.
pub(super) fn names(stamp: &Stamp) -> Columns {
    let has = |key| stamp.get(key).is_some();
    match study(stamp) {
        "svd-spectrum" => svd_spectrum::names(),
        "approx-error" => approx_error::names(has("substituted_layers"), has("check")),
        "allocate" => allocate::columns(),
        "scale-sweep" => scale_sweep::columns(),
        "check" => Columns { known: None, keys: &["claim"], short: &[] },
        "train" => train::columns(),
        "evaluate" => evaluate::columns(),
        _ => Columns::default(),
    }
}

/// The places of those of its notes that are verdicts, and not about how it was measured.
pub(super) fn verdicts(stamp: &Stamp, notes: &[String]) -> Range<usize> {
    match study(stamp) {
        // The second says what the first rests on.
        "svd-spectrum" => match notes.iter().position(|note| note.starts_with(svd_spectrum::VERDICT)) {
            Some(first) => first..notes.len().min(first + 2),
            None => 0..0,
        },
        "check" => 0..notes.len().min(1),
        _ => 0..0,
    }
}

/// Whether the mean of the first column of its main table is a finding: of whole spectra.
pub(super) fn has_main_figure(stamp: &Stamp) -> bool {
    let leading = stamp.get("method").and_then(Value::as_str) == Some("lanczos");
    study(stamp) == "svd-spectrum" && !leading
}
