//! The mass of the largest keys of a row.

use super::{Metric, Of};

/// The share of a row's mass in its K largest keys.
pub(super) const METRIC: Metric = Metric {
    name: "top_mass_at",
    about: "mean over rows of the share of the row's mass in its K largest keys: 1 minus the total variation of top-K attention",
    unit: "",
    source: "definition",
    integer: false,
    of: Of::RowsAt(|rows, k| rows.top.iter().find(|(l, _)| *l == k).map(|(_, mass)| *mass)),
};
