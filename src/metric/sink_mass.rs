//! The weight of the first keys, which many heads put there when they have nothing to read: the attention sink.

use super::{Metric, Of};

/// The share of queries' mean weight on the first key above which Gu et al. 2024 call a head a sink head.
pub const SINK: f64 = 0.3;

/// The weight of the first key.
pub(super) const FIRST: Metric = Metric {
    name: "sink_mass",
    about: "mean over rows of the weight of the first key; above 0.3 the head is a sink head",
    unit: "",
    source: "Gu et al. 2024",
    integer: false,
    of: Of::Rows(|rows| Some(rows.first)),
};

/// The weight of the first four keys.
pub(super) const FIRST_FOUR: Metric = Metric {
    name: "sink4_mass",
    about: "mean over rows of the weight of the first 4 keys",
    unit: "",
    source: "Xiao et al. 2024",
    integer: false,
    of: Of::Rows(|rows| Some(rows.first_four)),
};
