//! The largest probability of a row.

use super::{Metric, Of};

/// The mean of the rows' largest entries.
pub(super) const METRIC: Metric = Metric {
    name: "max_prob",
    about: "mean over rows of the largest probability",
    unit: "",
    source: "definition",
    integer: false,
    of: Of::Rows(|rows| Some(rows.max_prob)),
};
