//! The spread of the logits, which is the inverse temperature of a head.

use super::{Metric, Of};

/// The standard deviation of the logits within rows.
pub(super) const METRIC: Metric = Metric {
    name: "logit_sd",
    about: "standard deviation of ln p within rows, pooled (softmax cannot see what a whole row shares)",
    unit: "nats",
    source: "definition",
    integer: false,
    of: Of::Rows(|rows| Some(rows.logit_sd)),
};
