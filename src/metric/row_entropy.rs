//! The entropy of the attention rows.

use super::{Metric, Of};

/// The mean entropy of a row.
pub(super) const METRIC: Metric = Metric {
    name: "row_entropy",
    about: "mean over rows of -sum p ln p",
    unit: "nats",
    source: "Ghader and Monz 2017",
    integer: false,
    of: Of::Rows(|rows| Some(rows.entropy)),
};
