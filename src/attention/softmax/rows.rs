//! Rows of the exact attention matrix in f64, one at a time: what keys are chosen by.

use std::cmp::Ordering;

use ndarray::Array2;

use super::terms;
use crate::attention::Input;

/// The exact attention matrix of an input, of which a row is computed when it is asked for.
pub(in crate::attention) struct ExactRows<'a, 'b> {
    input: &'a Input<'b>,
    k: Array2<f64>,
}

impl<'a, 'b> ExactRows<'a, 'b> {
    pub(in crate::attention) fn of(input: &'a Input<'b>) -> Self {
        Self { input, k: input.k.mapv(f64::from) }
    }

    /// The probabilities of query i, one for each of m keys; 0 for those that it does not see.
    pub(in crate::attention) fn row(&self, i: usize) -> Vec<f64> {
        let q = self.input.q.row(i).mapv(f64::from);
        let mut row = (self.k.dot(&q) * f64::from(self.input.scale)).to_vec();
        terms::weigh(self.input, i, &mut row);
        row
    }
}

/// The order of numbers `a` and `b` in a ranking of values, the largest first; of equal ones the lower number.
pub(in crate::attention) fn descending(values: &[f64], a: usize, b: usize) -> Ordering {
    // Zeros of both signs are equal.
    (values[b] + 0.0).total_cmp(&(values[a] + 0.0)).then(a.cmp(&b))
}

/// The `l` highest of those `numbers` whose `values` are given, in ascending order of the numbers.
pub(in crate::attention) fn highest(values: &[f64], mut numbers: Vec<usize>, l: usize) -> Vec<usize> {
    if l < numbers.len() {
        numbers.select_nth_unstable_by(l, |a, b| descending(values, *a, *b));
        numbers.truncate(l);
    }
    numbers.sort_unstable();
    numbers
}

#[cfg(test)]
mod tests {
    use super::highest;

    #[test]
    fn of_equal_values_the_first_are_highest() {
        let values = [0.5, 2.0, 1.0, 2.0, 0.5, 0.5];
        assert_eq!(highest(&values, (0..6).collect(), 2), [1, 3]);
        assert_eq!(highest(&values, (0..6).collect(), 4), [0, 1, 2, 3]);
        assert_eq!(highest(&values, vec![5, 0, 4], 2), [0, 4]);
        assert_eq!(highest(&values, vec![4, 1], 9), [1, 4]);
        assert!(highest(&values, vec![4, 1], 0).is_empty());
        assert_eq!(highest(&[-0.0, 0.0, -0.0], (0..3).collect(), 1), [0], "zeros of both signs are equal");
    }
}
