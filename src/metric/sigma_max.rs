//! The largest singular value.

use super::{Metric, Of};

/// `s_1 = ||A||_2`.
pub(super) const METRIC: Metric = Metric {
    name: "sigma_max",
    about: "largest singular value s_1 = ||A||_2; at least 1 for a square row-stochastic matrix",
    unit: "",
    source: "definition",
    integer: false,
    of: Of::Spectrum(|spectrum| Some(spectrum.first())),
};
