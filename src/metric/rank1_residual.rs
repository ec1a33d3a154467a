//! The distance from a matrix of equal rows.

use super::{Metric, Of};

/// Dong's residual, relative to the matrix.
pub(super) const METRIC: Metric = Metric {
    name: "rank1_residual",
    about: "||A - 1 x^T|| / ||A|| with x the mean row and ||.|| = sqrt(||.||_1 ||.||_inf)",
    unit: "",
    source: "Dong et al. 2021",
    integer: false,
    of: Of::Rows(|rows| Some(rows.rank1_residual)),
};
