//! The participation ratio of the squared singular values.

use super::{Metric, Of, Spectrum};

/// `(sum s^2)^2 / sum s^4`.
pub(super) const METRIC: Metric = Metric {
    name: "participation_ratio",
    about: "(sum s^2)^2 / sum s^4",
    unit: "values",
    source: "Bell and Dean 1970",
    integer: false,
    of: Of::Spectrum(participation_ratio),
};

fn participation_ratio(spectrum: &Spectrum<'_>) -> Option<f64> {
    // Shares of the largest value keep the fourth powers in range.
    let first = spectrum.first();
    let ratio = || spectrum.sum(|s| (s / first).powi(2)).powi(2) / spectrum.sum(|s| (s / first).powi(4));
    spectrum.is_whole().then(|| spectrum.of_squares(ratio)).flatten()
}
