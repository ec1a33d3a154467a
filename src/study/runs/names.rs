//! What the study of a run declares of its rows.

use serde_json::Value;

use crate::report::Stamp;
use crate::study::{Columns, approx_error, evaluate, scale_sweep, svd_spectrum, train};

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
        "scale-sweep" => scale_sweep::columns(),
        "check" => Columns { known: None, keys: &["claim"], short: &[] },
        "train" => train::columns(),
        "evaluate" => evaluate::columns(),
        _ => Columns::default(),
    }
}

/// How many of its first notes are verdicts, and not about how it was measured.
pub(super) fn verdicts(stamp: &Stamp) -> usize {
    match study(stamp) {
        "svd-spectrum" => 2,
        "check" => 1,
        _ => 0,
    }
}
