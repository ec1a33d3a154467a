//! Errors of an approximation B of the attention matrix A, by entries and as an operator.

use super::{Metric, Of};

/// Frobenius norm of the difference.
pub(super) const REL_FRO: Metric = Metric {
    name: "matrix_rel_fro",
    about: "||A - B||_F / ||A||_F of the stand-in B",
    unit: "",
    source: "Scatterbrain (Chen et al. 2021)",
    integer: false,
    of: Of::Pair(|pair| Some(pair.rel_fro)),
};

/// Spectral norm of the difference.
pub(super) const REL_SPECTRAL: Metric = Metric {
    name: "matrix_rel_spectral",
    about: "||A - B||_2 / ||A||_2, by Lanczos to 1e-3 of itself (very likely; of 128 columns or fewer exactly)",
    unit: "",
    source: "Chen et al. 2021 (Skyformer)",
    integer: false,
    of: Of::Pair(|pair| pair.rel_spectral),
};

/// Largest difference of an entry.
pub(super) const MAX_ABS: Metric = Metric {
    name: "matrix_max_abs",
    about: "largest |a - b| of an entry",
    unit: "",
    source: "Choromanski et al. 2021",
    integer: false,
    of: Of::Pair(|pair| Some(pair.max_abs)),
};
