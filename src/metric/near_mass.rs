//! Where the weights of a row lie beside its query.

use super::{Metric, Of};

/// The weight of the key at the query's own place.
pub(super) const OWN: Metric = Metric {
    name: "own_mass",
    about: "mean over rows of the weight of the key at the query's own place (only where n = m)",
    unit: "",
    source: "definition",
    integer: false,
    of: Of::Rows(|rows| rows.positions.map(|positions| positions.own)),
};

/// The weight of the nearest keys.
pub(super) const NEAR: Metric = Metric {
    name: "near64_mass",
    about: "mean over rows of the weight of keys j with |i - j| < 64: of a causal head the last 64 keys (only where n = m)",
    unit: "",
    source: "definition",
    integer: false,
    of: Of::Rows(|rows| rows.positions.map(|positions| positions.near)),
};

/// How far back or ahead a row reads.
pub(super) const DISTANCE: Metric = Metric {
    name: "distance",
    about: "mean over rows of sum p |i - j| / sum p (only where n = m)",
    unit: "tokens",
    source: "Vig and Belinkov 2019",
    integer: false,
    of: Of::Rows(|rows| rows.positions.map(|positions| positions.distance)),
};
