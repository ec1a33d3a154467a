//! The error of the best approximation of rank K.

use super::{Metric, Of, Spectrum};

/// `s_(K+1) / s_1`.
pub(super) const SPECTRAL: Metric = Metric {
    name: "best_rel_spectral_at",
    about: "least ||A - B||_2 / ||A||_2 over all B of rank K: s_(K+1) / s_1",
    unit: "",
    source: "Eckart and Young 1936, Mirsky 1960",
    integer: false,
    of: Of::SpectrumAt(spectral),
};

/// `sqrt(sum_(i > K) s_i^2 / sum s^2)`.
pub(super) const FROBENIUS: Metric = Metric {
    name: "best_rel_fro_at",
    about: "least ||A - B||_F / ||A||_F over all B of rank K: sqrt(sum of s_i^2 beyond K / sum of all)",
    unit: "",
    source: "Eckart and Young 1936",
    integer: false,
    of: Of::SpectrumAt(frobenius),
};

fn spectral(spectrum: &Spectrum<'_>, k: usize) -> Option<f64> {
    // Of a density only where the values up to this one stand apart, each a node that counts once.
    if spectrum.values().take(k + 1).any(|(_, weight)| weight != 1.0) {
        return None;
    }
    let next = match spectrum.sigma.get(k) {
        Some(next) => *next,
        None if spectrum.is_whole() => 0.0,
        None => return None,
    };
    spectrum.of_squares(|| next / spectrum.first())
}

fn frobenius(spectrum: &Spectrum<'_>, k: usize) -> Option<f64> {
    let rest: f64 = if spectrum.is_whole() {
        // Added from the smallest: a difference of sums would lose small tails.
        let mut open = k as f64;
        let beyond = spectrum.values().map(|(s, weight)| {
            let within = weight.min(open);
            open -= within;
            (weight - within) * s * s
        });
        beyond.collect::<Vec<f64>>().iter().rev().sum()
    } else if k <= spectrum.sigma.len() {
        spectrum.energy - spectrum.sum_to(k, |s| s * s)
    } else {
        return None;
    };
    spectrum.of_squares(|| (rest.max(0.0) / spectrum.energy).sqrt())
}
