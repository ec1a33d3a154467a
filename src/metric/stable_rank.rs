//! The stable rank.

use super::{Metric, Of};

/// `||A||_F^2 / ||A||_2^2`.
pub(super) const METRIC: Metric = Metric {
    name: "stable_rank",
    about: "||A||_F^2 / ||A||_2^2",
    unit: "values",
    source: "Rudelson and Vershynin 2007",
    integer: false,
    of: Of::Spectrum(|spectrum| {
        spectrum.of_squares(|| spectrum.energy / (spectrum.first() * spectrum.first()))
    }),
};
