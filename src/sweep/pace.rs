//! How long the next cell takes, from those that were finished here.

use std::sync::{Mutex, PoisonError};

/// What the finished cells took, and their predicted costs, in sum: small cells, whose costs say the least, count little.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<(f64, f64)>);

impl Pace {
    /// A cell of this cost took so many seconds.
    pub(super) fn add(&self, cost: f64, seconds: f64) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *sums = (sums.0 + seconds, sums.1 + cost);
    }

    /// Seconds that a cell of this cost takes; none before another one was finished.
    pub(super) fn seconds(&self, cost: f64) -> Option<f64> {
        let (seconds, costs) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (costs > 0.0).then(|| seconds * cost / costs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_takes_what_its_cost_says() {
        let pace = Pace::default();
        assert_eq!(pace.seconds(4.0), None);
        pace.add(0.0, 1.0);
        assert_eq!(pace.seconds(4.0), None, "a cost of nothing says nothing");
        pace.add(2.0, 5.0);
        pace.add(1.0, 3.0);
        assert_eq!(pace.seconds(4.0), Some(12.0));
    }
}
