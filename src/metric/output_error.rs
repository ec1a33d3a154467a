//! Errors of an approximate output B v against that of softmax attention, O = A v.

use super::{Metric, Of};

/// Frobenius norm of the difference.
pub(super) const REL_FRO: Metric = Metric {
    name: "output_rel_fro",
    about: "||O - B v||_F / ||O||_F",
    unit: "",
    source: "",
    integer: false,
    of: Of::Output(|output| Some(output.rel_fro)),
};

/// Spectral norm of the difference.
pub(super) const REL_SPECTRAL: Metric = Metric {
    name: "output_rel_spectral",
    about: "||O - B v||_2 / ||O||_2",
    unit: "",
    source: "Zandieh et al. 2023 (KDEformer)",
    integer: false,
    of: Of::Output(|output| Some(output.rel_spectral)),
};

/// Direction of the rows.
pub(super) const COSINE: Metric = Metric {
    name: "output_cosine",
    about: "mean over rows of the cosine between O and B v, without rows of zeros in O",
    unit: "",
    source: "",
    integer: false,
    of: Of::Output(|output| output.cosine),
};
