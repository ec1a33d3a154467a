//! The nuclear rank.

use super::{Metric, Of, Spectrum};

/// `||A||_* / ||A||_2`.
pub(super) const METRIC: Metric = Metric {
    name: "nuclear_rank",
    about: "||A||_* / ||A||_2, the sum of the singular values over the largest",
    unit: "values",
    source: "definition",
    integer: false,
    of: Of::Spectrum(nuclear_rank),
};

fn nuclear_rank(spectrum: &Spectrum<'_>) -> Option<f64> {
    spectrum.of_sum(|all| all / spectrum.first())
}
