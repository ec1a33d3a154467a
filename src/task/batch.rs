//! Batches: which examples are in which, decided by the seed alone.

use crate::rng::{below, stream};
use crate::{Error, Result};

/// The padding token, which has no text.
pub const PAD: u32 = 0;

/// The target of a position that does not count: no vocabulary has a token of this number.
pub const IGNORED: u32 = u32::MAX;

/// An endless sequence of shuffled epochs, in batches of one size.
///
/// Every epoch is a permutation of its own and has each example once. A batch may reach from one epoch into the next, so
/// that all have the same size and no example is left out. The batch of a step depends on the seed and the step alone: a
/// run that is resumed at step s sees what it would have seen without the interruption.
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

/// Splits off `share` of every class (rounded; of two or more at least one and not all, of a single one none), drawn by the
/// seed, whatever the order of the items: the remainder, and what was split off, each in their order.
pub(super) fn hold_out<T>(
    items: Vec<T>,
    class: impl Fn(&T) -> usize,
    share: f64,
    seed: u64,
) -> (Vec<T>, Vec<T>) {
    let classes: Vec<usize> = items.iter().map(class).collect();
    let mut held = vec![false; classes.len()];
    for class in 0..classes.iter().max().map_or(0, |last| last + 1) {
        let mut of_class: Vec<usize> = (0..classes.len()).filter(|i| classes[*i] == class).collect();
        shuffle(&mut of_class, seed, &format!("hold out class {class}"));
        let count = (of_class.len() as f64 * share).round() as usize;
        let max = of_class.len().saturating_sub(1);
        for i in &of_class[..count.max(1).min(max)] {
            held[*i] = true;
        }
    }
    let (aside, rest): (Vec<_>, Vec<_>) = items.into_iter().zip(held).partition(|(_, held)| *held);
    let of = |items: Vec<(T, bool)>| items.into_iter().map(|(item, _)| item).collect();
    (of(rest), of(aside))
}

/// `max` of so many examples in their order, drawn by the seed; all of them where there are no more.
///
/// The first examples of a file would be a biased sample where the file is sorted.
pub(crate) fn sample(examples: usize, max: usize, seed: u64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..examples).collect();
    if max < examples {
        shuffle(&mut indices, seed, "sample");
        indices.truncate(max);
        indices.sort_unstable();
    }
    indices
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
    use proptest::prelude::*;

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

    #[test]
    fn every_class_gives_its_share_wherever_it_stands() {
        let class = |i: &usize| if *i < 100 { i / 10 } else { 10 };
        let (rest, aside) = hold_out((0..101).collect(), class, 0.3, 5);
        for of in 0..10 {
            assert_eq!(aside.iter().filter(|i| class(i) == of).count(), 3, "class {of}");
        }
        assert!(rest.contains(&100), "the only one of its class is learned from");
        assert_ne!(aside, hold_out((0..101).collect(), class, 0.3, 6).1);
        assert_eq!(hold_out(Vec::new(), class, 0.3, 5), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_sample_is_of_the_whole() {
        let drawn = sample(1000, 100, 1);
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]) && drawn.len() == 100);
        // Of ten equal stretches each gives about ten: the hypergeometric distribution's standard deviation is 2.8.
        for stretch in 0..10 {
            let count = drawn.iter().filter(|i| **i / 100 == stretch).count();
            assert!((1..=20).contains(&count), "{count} of stretch {stretch}");
        }
        assert_eq!(sample(3, 3, 1), [0, 1, 2]);
        assert_eq!(sample(0, 3, 1), [0; 0]);
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
    }
}
