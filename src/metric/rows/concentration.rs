//! Sums over rows that say how their mass is spread over their largest entries.

/// The shares of a row's mass whose keys are counted.
pub const SHARES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// Sums over rows.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    /// Of the keys that hold each of [`SHARES`].
    pub(super) keys: [f64; SHARES.len()],
    /// For each l, ascending, the sum over rows of the share of a row's mass in its l largest entries.
    pub(super) top: Vec<(usize, f64)>,
}

impl Ranked {
    pub(super) fn new(at: &[usize]) -> Self {
        let mut top: Vec<(usize, f64)> = at.iter().map(|l| (*l, 0.0)).collect();
        top.sort_unstable_by_key(|(l, _)| *l);
        top.dedup_by_key(|(l, _)| *l);
        Self { keys: [0.0; SHARES.len()], top }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.keys.iter_mut().zip(&other.keys).for_each(|(keys, other)| *keys += other);
        self.top.iter_mut().zip(&other.top).for_each(|((_, top), (_, other))| *top += other);
    }
}

/// The mass at which each of [`SHARES`] of all mass is reached. Rounding in the sums must not move an exact share (9 of 10 equal
/// weights) to the next key.
pub(super) fn goals(all: f64) -> [f64; SHARES.len()] {
    SHARES.map(|share| share * (1.0 - 1e-12) * all)
}
