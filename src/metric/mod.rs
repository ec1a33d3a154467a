//! Metrics of spectra, of attention rows, and of approximations of attention, each in its own file; [`ALL`] lists them.
//!
//! # How to add a metric
//! A new file with a `const METRIC: Metric`, and two lines here: its `mod` and its place in [`ALL`]. It becomes a column of
//! every study that measures its input, a line of `luna list`, and a case of the tests over all metrics.

mod best_error;
mod cumulative;
mod definition;
mod effective_rank;
mod kept;
mod keys_for_share;
mod logit_sd;
mod matrix_error;
mod max_prob;
mod near_mass;
mod nuclear_rank;
mod numerical_rank;
mod output;
mod output_error;
pub mod pair;
mod participation_ratio;
mod rank1_residual;
mod row_distance;
mod row_entropy;
pub mod rows;
mod share_rank;
mod sigma_max;
pub mod sink_mass;
mod spectrum;
mod stable_rank;
mod top_mass;

pub use definition::{Metric, Of};
pub use output::{Output, OutputProfile};
pub use pair::{PairProfile, PairSums, Reference};
pub use rows::RowProfile;
pub use spectrum::Spectrum;

/// Every metric, in the order of the columns.
pub const ALL: &[Metric] = &[
    // of the spectrum
    sigma_max::METRIC,
    cumulative::L1,
    cumulative::ENERGY,
    share_rank::ENERGY_90,
    share_rank::ENERGY_95,
    share_rank::ENERGY_99,
    share_rank::L1_90,
    effective_rank::METRIC,
    stable_rank::METRIC,
    participation_ratio::METRIC,
    nuclear_rank::METRIC,
    numerical_rank::METRIC,
    best_error::SPECTRAL,
    best_error::FROBENIUS,
    // of the rows
    row_entropy::METRIC,
    max_prob::METRIC,
    logit_sd::METRIC,
    rank1_residual::METRIC,
    sink_mass::FIRST,
    sink_mass::FIRST_FOUR,
    near_mass::OWN,
    near_mass::NEAR,
    near_mass::DISTANCE,
    keys_for_share::KEYS_50,
    keys_for_share::KEYS_90,
    keys_for_share::KEYS_95,
    keys_for_share::KEYS_99,
    top_mass::METRIC,
    // of an approximation of the matrix
    matrix_error::REL_FRO,
    matrix_error::REL_SPECTRAL,
    matrix_error::MAX_ABS,
    row_distance::TV,
    row_distance::KL,
    row_distance::DRIFT,
    kept::DENSITY,
    kept::RECALL,
    kept::LEAST_TV,
    // of an approximation of the output
    output_error::REL_FRO,
    output_error::REL_SPECTRAL,
    output_error::COSINE,
];
