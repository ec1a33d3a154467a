//! Metrics of spectra, of attention rows, and of what stands in for attention, each in its own file; [`ALL`] is their list.
//! Beside them stand the scores of translations, [`bleu`] and [`chrf`].
//!
//! # One more metric
//! A new file with a `pub const METRIC: Metric` (or two), and two lines here: its `mod` and its place in [`ALL`].
//! It becomes a column of every study that measures what it is of, a line of `luna list`, and a case of the laws.

mod aligned;
mod best_error;
pub mod bleu;
pub mod chrf;
mod cumulative;
mod definition;
mod effective_rank;
mod logit_sd;
mod matrix_error;
mod max_prob;
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
mod spectrum;
mod stable_rank;

pub use definition::{Metric, Of};
pub use output::{Output, OutputProfile};
pub use pair::{PairProfile, Reference};
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
    // of an approximation of the matrix
    matrix_error::REL_FRO,
    matrix_error::REL_SPECTRAL,
    matrix_error::MAX_ABS,
    row_distance::TV,
    row_distance::KL,
    row_distance::DRIFT,
    // of an approximation of the output
    output_error::REL_FRO,
    output_error::REL_SPECTRAL,
    output_error::COSINE,
];
