//! Rows of the exact attention matrix in f64, one at a time: what keys are chosen by.

use std::cell::OnceCell;
use std::cmp::Ordering;

use ndarray::{Array2, Axis};

use super::matrix::Tile;
use super::terms;
pub(in crate::attention) use super::terms::weigh;
use crate::attention::Input;

/// Rows of the exact attention matrix.
pub(in crate::attention) trait Exact {
    /// The probabilities of query i, one for each of m keys; 0 for those that it does not see.
    fn row(&self, i: usize) -> Vec<f64>;
}

/// The exact attention matrix of an input, of which a row is computed when it is asked for.
pub(in crate::attention) struct ExactRows<'a, 'b> {
    input: &'a Input<'b>,
    /// The keys, once a row is asked for.
    k: OnceCell<Array2<f64>>,
}

impl<'a, 'b> ExactRows<'a, 'b> {
    pub(in crate::attention) fn of(input: &'a Input<'b>) -> Self {
        Self { input, k: OnceCell::new() }
    }
}

impl Exact for ExactRows<'_, '_> {
    fn row(&self, i: usize) -> Vec<f64> {
        let q = self.input.q.row(i).mapv(f64::from);
        let k = self.k.get_or_init(|| self.input.k.mapv(f64::from));
        let mut row = (k.dot(&q) * f64::from(self.input.scale)).to_vec();
        terms::weigh(self.input, i, &mut row);
        row
    }
}

/// All of it, where it is known.
impl Exact for Array2<f64> {
    fn row(&self, i: usize) -> Vec<f64> {
        self.index_axis(Axis(0), i).to_vec()
    }
}

/// With the accuracy of f32.
impl Exact for Tile<'_> {
    fn row(&self, i: usize) -> Vec<f64> {
        let mut row = vec![0.0; self.input().k.nrows()];
        let weights = self.weights();
        for (to, weight) in row[self.keys()].iter_mut().zip(weights.row(i - self.queries().start)) {
            *to = f64::from(*weight);
        }
        row
    }
}

/// The order of numbers `a` and `b` in a ranking of values, the largest first; of equal ones the lower number.
pub(in crate::attention) fn descending(values: &[f64], a: usize, b: usize) -> Ordering {
    // Zeros of both signs are equal.
    (values[b] + 0.0).total_cmp(&(values[a] + 0.0)).then(a.cmp(&b))
}

/// The `l` highest of those `numbers`, in ascending order, whose `values` are given; in ascending order of the numbers.
pub(in crate::attention) fn highest(values: &[f64], mut numbers: Vec<usize>, l: usize) -> Vec<usize> {
    if l == 0 || l >= numbers.len() {
        numbers.truncate(l);
        return numbers;
    }
    // The values alone, as integers of the same order, are selected from several times as fast as numbers by their values.
    let mut ranks: Vec<u64> = numbers.iter().map(|number| rank(values[*number])).collect();
    let (above, lowest, _) = ranks.select_nth_unstable_by(l - 1, |a, b| b.cmp(a));
    let lowest = *lowest;
    let mut ties = l - above.iter().filter(|rank| **rank > lowest).count();
    numbers.retain(|number| match rank(values[*number]).cmp(&lowest) {
        Ordering::Greater => true,
        Ordering::Equal if ties > 0 => {
            ties -= 1;
            true
        }
        _ => false,
    });
    numbers
}

/// An integer in the order of the values; zeros of both signs are equal.
fn rank(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::highest;

    #[test]
    fn of_equal_values_the_first_are_highest() {
        let values = [0.5, 2.0, 1.0, 2.0, 0.5, 0.5];
        assert_eq!(highest(&values, (0..6).collect(), 2), [1, 3]);
        assert_eq!(highest(&values, (0..6).collect(), 4), [0, 1, 2, 3]);
        assert_eq!(highest(&values, vec![0, 4, 5], 2), [0, 4]);
        assert_eq!(highest(&values, vec![1, 4], 9), [1, 4]);
        assert!(highest(&values, vec![1, 4], 0).is_empty());
        assert_eq!(highest(&[-1.5, f64::NEG_INFINITY, -1.0, f64::INFINITY], (0..4).collect(), 3), [0, 2, 3]);
        assert_eq!(highest(&[-0.0, 0.0, -0.0], (0..3).collect(), 1), [0], "zeros of both signs are equal");
    }
}
