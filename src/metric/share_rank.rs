//! How many leading values reach a fraction of the spectrum.

use super::{Metric, Of, Spectrum};

const fn energy_metric(name: &'static str, about: &'static str, of: Of) -> Metric {
    Metric { name, about, unit: "values", source: "definition", integer: true, of }
}

/// The smallest r with 90 % of the energy.
pub(super) const ENERGY_90: Metric = energy_metric(
    "rank90_energy",
    "smallest r whose first r squared singular values reach 90 % of ||A||_F^2",
    Of::Spectrum(|spectrum| energy(spectrum, 0.90)),
);

/// The smallest r with 95 % of the energy.
pub(super) const ENERGY_95: Metric = energy_metric(
    "rank95_energy",
    "smallest r whose first r squared singular values reach 95 % of ||A||_F^2",
    Of::Spectrum(|spectrum| energy(spectrum, 0.95)),
);

/// The smallest r with 99 % of the energy.
pub(super) const ENERGY_99: Metric = energy_metric(
    "rank99_energy",
    "smallest r whose first r squared singular values reach 99 % of ||A||_F^2",
    Of::Spectrum(|spectrum| energy(spectrum, 0.99)),
);

/// The smallest r with 90 % of the sum of the values, by Linformer's definition.
pub(super) const L1_90: Metric = energy_metric(
    "rank90_l1",
    "smallest r whose first r singular values reach 90 % of the sum of all",
    Of::Spectrum(|spectrum| reach(spectrum, 0.90 * spectrum.of_sum(|all| all)?, |s| s)),
);

fn energy(spectrum: &Spectrum<'_>, share: f64) -> Option<f64> {
    reach(spectrum, share * spectrum.of_squares(|| spectrum.energy)?, |s| s * s)
}

fn reach(spectrum: &Spectrum<'_>, goal: f64, weight: fn(f64) -> f64) -> Option<f64> {
    // Rounding in the sums must not move an exact fraction (10 of 10 equal values) to the next value.
    spectrum.reach(goal * (1.0 - 1e-12), weight)
}
