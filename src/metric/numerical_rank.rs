//! The numerical rank at the precision of the matrix's entries.

use super::{Metric, Of, Spectrum};

/// The number of values above `max(n, m) eps s_1` and above the rounding error of the entries.
pub(super) const METRIC: Metric = Metric {
    name: "numerical_rank",
    about: "number of s > max(n, m) eps s_1 with eps of the entries (2^-23 for f32, 2^-52 for f64), and above their rounding",
    unit: "values",
    source: "the default of numpy's matrix_rank",
    integer: true,
    of: Of::Spectrum(numerical_rank),
};

fn numerical_rank(spectrum: &Spectrum<'_>) -> Option<f64> {
    // A density says nothing of values that small.
    if spectrum.weights.is_some() {
        return None;
    }
    let relative = spectrum.longest as f64 * spectrum.epsilon * spectrum.first();
    // A centred matrix keeps the rounding error of the original entries, which may be large relative to it.
    let tolerance = relative.max(2.0 * spectrum.rounding.spectral);
    let above = spectrum.sigma.iter().filter(|s| **s > tolerance).count();
    // Leading values determine it only if one of them is below the tolerance.
    (spectrum.is_whole() || above < spectrum.sigma.len()).then_some(above as f64)
}
