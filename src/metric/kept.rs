//! What the matrix of an approximation keeps: entries that are not 0, of those that the mask shows.

use super::{Metric, Of};

/// Entries kept.
pub(super) const DENSITY: Metric = Metric {
    name: "density",
    about: "entries of B that are not 0, of those that attention has",
    unit: "",
    source: "",
    integer: false,
    of: Of::Pair(|pair| Some(pair.density)),
};

/// Mass kept.
pub(super) const RECALL: Metric = Metric {
    name: "recall",
    about: "mean over rows of the share of the softmax mass that reaches keys in the entries of B that are not 0",
    unit: "",
    source: "as recall of attention weights in the work on KV caches (Tang et al. 2024)",
    integer: false,
    of: Of::Pair(|pair| Some(pair.recall)),
};

/// The bound of the sparse half.
pub(super) const LEAST_TV: Metric = Metric {
    name: "least_row_tv",
    about: "least row_tv of any distribution over as many keys in each row: that of its largest weights",
    unit: "",
    source: "",
    integer: false,
    of: Of::Pair(|pair| Some(pair.least_tv)),
};
