//! One choice a head under a budget: a knapsack problem with a class for each head.
//!
//! [`lagrange`] takes the lower convex hull of every head's curve of harm over cost and spends the budget on the steepest
//! segments of all hulls first: for every budget that it uses up this is the least harm of all, and for any other it is no
//! further from it than the first segment that did not fit. [`exact`] is the dynamic programme over costs, which finds the
//! least harm of any budget where the costs, divided by their greatest common divisor, are small enough for its table.

mod exact;
mod hull;
mod lagrange;
#[cfg(test)]
mod tests;

pub(super) use exact::exact;
pub(super) use lagrange::lagrange;

/// What one choice of a head costs, and the harm that it is predicted to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Offer {
    pub(super) cost: u64,
    pub(super) harm: f64,
}

/// The offer that every head takes, by its number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chosen {
    pub(super) offers: Vec<usize>,
    /// What they cost together.
    pub(super) cost: u64,
    /// Their harms together.
    pub(super) harm: f64,
    /// The harm that any choice under the budget does at least.
    pub(super) bound: f64,
}

impl Chosen {
    fn of(heads: &[Vec<Offer>], offers: Vec<usize>, bound: impl FnOnce(f64) -> f64) -> Self {
        let taken = || heads.iter().zip(&offers).map(|(head, at)| head[*at]);
        let (cost, harm) = (taken().map(|offer| offer.cost).sum(), taken().map(|offer| offer.harm).sum());
        Self { cost, harm, bound: bound(harm), offers }
    }
}

/// The least that all heads can cost together; none if one has no offer.
pub(super) fn cheapest(heads: &[Vec<Offer>]) -> Option<u64> {
    heads.iter().map(|head| head.iter().map(|offer| offer.cost).min()).sum()
}

/// The choice of least harm within a budget: exact where a table of its size is small, else by Lagrange's multiplier.
/// None if the budget is below [`cheapest`].
pub(super) fn choose(heads: &[Vec<Offer>], budget: u64) -> Option<Chosen> {
    exact(heads, budget).or_else(|| lagrange(heads, budget))
}
