//! What is known of the rows of an attention matrix.

use super::concentration::SHARES;

/// Keys on either side of a query that count as near it, its own among them.
pub const NEAR: usize = 64;
/// Statistics of the rows of an attention matrix (n, m). Means are over the rows that hold anything: a row of zeros is
/// padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowProfile {
    /// Mean over rows of `-sum p ln p`, in nats.
    pub entropy: f64,
    /// Mean over rows of the largest entry.
    pub max_prob: f64,
    /// Standard deviation of `ln p` within rows, pooled over rows with one degree of freedom less for each row.
    ///
    /// Softmax gives `ln p = logit - (a constant of the row)`, so this is the spread of the logits as far as it affects the
    /// head. Exact zeros (masked, or too small for f32) are left out.
    pub logit_sd: f64,
    /// `||A - 1 x^T|| / ||A||` with `x` the mean row and `||.|| = sqrt(||.||_1 ||.||_inf)` (Dong et al. 2021).
    pub rank1_residual: f64,
    /// How many entries are not 0 (or too small for a normal f32).
    pub positive: usize,
    /// The largest `|sum of a row - 1|`.
    pub row_sum_drift: f64,
    /// Mean over rows of the weight of the first key.
    pub first: f64,
    /// Mean over rows of the weight of the first four keys.
    pub first_four: f64,
    /// Where the weights lie beside the query.
    pub positions: Option<Positions>,
    /// Mean over rows of the smallest number of keys that hold each of [`SHARES`] of the row's mass.
    pub keys: [f64; SHARES.len()],
    /// For each l below m that was asked for, ascending: mean over rows of the share of the row's mass in its l largest entries.
    pub top: Vec<(usize, f64)>,
}

/// Where the weights of a row lie beside its query; only where n = m, so that query i stands at key i.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Positions {
    /// Mean over rows of the weight of the key at the query's own place.
    pub own: f64,
    /// Mean over rows of the weight of the keys j with `|i - j| <` [`NEAR`].
    pub near: f64,
    /// Mean over rows of `sum p |i - j| / sum p`.
    pub distance: f64,
}
