//! How many keys hold a share of a row's mass: how sparse a head is.

use super::{Metric, Of};

const fn metric(name: &'static str, about: &'static str, of: Of) -> Metric {
    Metric { name, about, unit: "keys", source: "definition", integer: false, of }
}

/// Keys for 50 % of a row's mass.
pub(super) const KEYS_50: Metric = metric(
    "keys50",
    "mean over rows of the smallest number of keys that hold 50 % of the row's mass",
    Of::Rows(|rows| Some(rows.keys[0])),
);

/// Keys for 90 % of a row's mass.
pub(super) const KEYS_90: Metric = metric(
    "keys90",
    "mean over rows of the smallest number of keys that hold 90 % of the row's mass",
    Of::Rows(|rows| Some(rows.keys[1])),
);

/// Keys for 95 % of a row's mass.
pub(super) const KEYS_95: Metric = metric(
    "keys95",
    "mean over rows of the smallest number of keys that hold 95 % of the row's mass",
    Of::Rows(|rows| Some(rows.keys[2])),
);

/// Keys for 99 % of a row's mass.
pub(super) const KEYS_99: Metric = metric(
    "keys99",
    "mean over rows of the smallest number of keys that hold 99 % of the row's mass",
    Of::Rows(|rows| Some(rows.keys[3])),
);
