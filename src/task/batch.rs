//! Batches: which examples stand in which, decided by the seed alone, and their tokens side by side.

use ndarray::Array2;

use crate::rng::{below, stream};
use crate::{Error, Result};

/// The token that fills a row behind the end of its sequence.
pub const PAD: u32 = 0;

/// The target of a place that does not count: no vocabulary has a token of this number.
pub const IGNORED: u32 = u32::MAX;

/// Labelled sequences side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Tokens, shape (b, n): a sequence a row, [`PAD`] behind its end.
    pub tokens: Array2<u32>,
    /// How many tokens of each row are the sequence's own, at most n.
    pub lengths: Vec<usize>,
    /// The class of each row.
    pub labels: Vec<usize>,
}

impl Batch {
    /// A batch of sequences, each with its class; each is cut to its first `n` tokens, or filled up to n with [`PAD`].
    pub fn padded<S>(sequences: impl IntoIterator<Item = (S, usize)>, n: usize) -> Self
    where
        S: IntoIterator<Item = u32>,
    {
        let sequences: Vec<(S, usize)> = sequences.into_iter().collect();
        let mut tokens = Array2::from_elem((sequences.len(), n), PAD);
        let (mut lengths, mut labels) = (Vec::new(), Vec::new());
        for (mut row, (sequence, label)) in tokens.rows_mut().into_iter().zip(sequences) {
            let places = row.iter_mut().zip(sequence);
            lengths.push(places.map(|(place, token)| *place = token).count());
            labels.push(label);
        }
        Self { tokens, lengths, labels }
    }
}

/// The endless row of shuffled epochs, cut into batches of one size.
///
/// Every epoch is a permutation of its own and holds each example once. A batch may reach from one epoch into the next,
/// so that none is short and nothing is left out. Which examples stand in the batch of a step depends on the seed and
/// the step alone: a run that goes on from step s sees what it would have seen without the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shuffled {
    examples: usize,
    size: usize,
    seed: u64,
}

impl Shuffled {
    /// Batches of `size` of that many examples.
    pub fn new(examples: usize, size: usize, seed: u64) -> Result<Self> {
        if examples == 0 {
            return Err(Error::value("examples to train on", 0, "1 or more"));
        }
        if size == 0 {
            return Err(Error::value("batch size", 0, "1 or more"));
        }
        Ok(Self { examples, size, seed })
    }

    /// The indices of the examples in the batch of this step, from 0: as many as the batch size.
    pub fn batch(&self, step: usize) -> Vec<usize> {
        let begin = step * self.size;
        let mut epoch = (usize::MAX, Vec::new());
        let mut example = |place: usize| {
            let number = place / self.examples;
            if epoch.0 != number {
                epoch = (number, self.epoch(number));
            }
            epoch.1[place % self.examples]
        };
        (begin..begin + self.size).map(&mut example).collect()
    }

    /// Every example once, in the order of this epoch, from 0.
    fn epoch(&self, number: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.examples).collect();
        shuffle(&mut order, self.seed, &format!("epoch {number}"));
        order
    }
}

/// Every order equally likely (Fisher and Yates), drawn from the stream of this label.
pub(super) fn shuffle<T>(items: &mut [T], seed: u64, label: &str) {
    let mut rng = stream(seed, label);
    for last in (1..items.len()).rev() {
        items.swap(last, below(&mut rng, last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn sequences_are_cut_and_filled() {
        let batch = Batch::padded([(vec![5, 6], 1), (vec![1, 2, 3, 4], 0), (vec![7, 8, 9], 2)], 3);
        assert_eq!(batch.tokens, array![[5, 6, 0], [1, 2, 3], [7, 8, 9]]);
        assert_eq!((batch.lengths, batch.labels), (vec![2, 3, 3], vec![1, 0, 2]));
        assert_eq!(Batch::padded([(vec![], 0)], 2).lengths, [0]);
        assert_eq!(Batch::padded(Vec::<(Vec<u32>, usize)>::new(), 4).tokens.dim(), (0, 4));
    }

    #[test]
    fn the_order_is_pinned() {
        let batches = Shuffled::new(7, 3, 0).unwrap();
        let order: Vec<usize> = (0..3).flat_map(|step| batches.batch(step)).collect();
        assert_eq!(order, [1, 4, 2, 0, 5, 3, 6, 4, 5], "the order changed: every published run would change");
    }

    #[test]
    fn nothing_to_shuffle_is_refused() {
        let message = |examples, size| Shuffled::new(examples, size, 0).unwrap_err().to_string();
        assert!(message(0, 1).contains("examples to train on: '0'"));
        assert!(message(1, 0).contains("batch size: '0' is not accepted; accepted: 1 or more"));
    }

    #[test]
    fn every_order_is_equally_likely() {
        let mut counts = std::collections::HashMap::new();
        let draws = 6000;
        for seed in 0..draws {
            let mut order = [0, 1, 2];
            shuffle(&mut order, seed, "test");
            *counts.entry(order).or_insert(0_u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| count.abs_diff(1000) < 120), "4 standard errors: {counts:?}");
    }

    proptest! {
        #[test]
        fn an_epoch_holds_every_example_once(examples in 1_usize..40, size in 1_usize..60, seed in 0_u64..9) {
            let batches = Shuffled::new(examples, size, seed).unwrap();
            let steps = 3 * examples.div_ceil(size);
            let order: Vec<usize> = (0..steps).flat_map(|step| batches.batch(step)).collect();
            prop_assert_eq!(order.len(), steps * size);
            for epoch in order.chunks_exact(examples) {
                let mut sorted = epoch.to_vec();
                sorted.sort_unstable();
                prop_assert_eq!(sorted, (0..examples).collect::<Vec<_>>());
            }
        }

        #[test]
        fn rows_are_the_beginnings_of_their_sequences(
            sequences in prop::collection::vec(prop::collection::vec(1_u32..300, 0..9), 0..6),
            n in 0_usize..12,
        ) {
            let batch = Batch::padded(sequences.iter().cloned().zip(0..), n);
            let rows = batch.tokens.rows().into_iter().zip(&batch.lengths);
            for ((row, length), sequence) in rows.zip(&sequences) {
                prop_assert_eq!(*length, n.min(sequence.len()));
                prop_assert_eq!(&row.to_vec()[..*length], &sequence[..*length]);
                prop_assert!(row.iter().skip(*length).all(|token| *token == PAD));
            }
        }
    }
}
