//! Distances between the rows of an approximation and those of attention, as distributions.

use super::{Metric, Of};

/// Total variation.
pub(super) const TV: Metric = Metric {
    name: "row_tv",
    about: "mean over rows of sum |a - b| / 2",
    unit: "",
    source: "total variation",
    integer: false,
    of: Of::Pair(|pair| Some(pair.tv)),
};

/// Kullback-Leibler divergence.
pub(super) const KL: Metric = Metric {
    name: "row_kl",
    about: "mean over rows of sum a ln(a / b), b taken as 1e-30 at least; can be below 0 where rows of B do not sum to 1",
    unit: "nats",
    source: "Kullback and Leibler 1951",
    integer: false,
    of: Of::Pair(|pair| Some(pair.kl)),
};

/// Sums of rows.
pub(super) const DRIFT: Metric = Metric {
    name: "row_sum_drift",
    about: "largest |sum of a row of B - 1|",
    unit: "",
    source: "",
    integer: false,
    of: Of::Pair(|pair| Some(pair.row_sum_drift)),
};
