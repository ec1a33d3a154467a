//! The effective rank of Roy and Vetterli.

use super::{Metric, Of, Spectrum};

/// The exponential of the entropy of the normalised singular values.
pub(super) const METRIC: Metric = Metric {
    name: "effective_rank",
    about: "exp(-sum p_i ln p_i) with p_i = s_i / sum s",
    unit: "values",
    source: "Roy and Vetterli 2007",
    integer: false,
    of: Of::Spectrum(effective_rank),
};

fn effective_rank(spectrum: &Spectrum<'_>) -> Option<f64> {
    spectrum.of_sum(|all| {
        let term = |p: f64| if p > 0.0 { p * p.ln() } else { 0.0 };
        (-spectrum.sum(|s| term(s / all))).exp()
    })
}
