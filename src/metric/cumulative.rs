//! The share of the spectrum in its first K values, by both definitions of "energy".

use super::{Metric, Of, Spectrum};

/// Linformer's figure 1: the sum of the values themselves.
pub(super) const L1: Metric = Metric {
    name: "cum_l1_at",
    about: "sum of the first K singular values over the sum of all (the ordinate of Linformer's figure 1)",
    unit: "",
    source: "Wang et al. 2020, figure 1",
    integer: false,
    of: Of::SpectrumAt(l1),
};

/// The usual energy: the sum of squares, the share of `||A||_F^2`.
pub(super) const ENERGY: Metric = Metric {
    name: "cum_energy_at",
    about: "sum of the first K squared singular values over ||A||_F^2",
    unit: "",
    source: "Eckart and Young 1936",
    integer: false,
    of: Of::SpectrumAt(energy),
};

fn l1(spectrum: &Spectrum<'_>, k: usize) -> Option<f64> {
    spectrum.of_sum(|all| spectrum.sum_to(k, |s| s) / all)
}

fn energy(spectrum: &Spectrum<'_>, k: usize) -> Option<f64> {
    let known = spectrum.is_whole() || k <= spectrum.sigma.len();
    let share = || spectrum.sum_to(k, |s| s * s) / spectrum.energy;
    known.then(|| spectrum.of_squares(share)).flatten()
}
