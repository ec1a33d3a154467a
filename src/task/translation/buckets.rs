//! Batches of pairs of similar length.
//!
//! A batch has as many pairs as fit into a number of tokens, so that steps with short and with long sentences cost about
//! the same.

use super::parallel::SentencePair;
use crate::task::batch::shuffle;
use crate::{Error, Result};

/// Which pairs form which batch: pairs of similar length, decided by the seed and the step alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    widths: Vec<usize>,
    sizes: Vec<usize>,
    seed: u64,
}

impl Buckets {
    /// Batches of these pairs whose wider side has at most `tokens` positions, padding included.
    pub fn new(pairs: &[SentencePair], tokens: usize, seed: u64) -> Result<Self> {
        let widths: Vec<usize> = pairs.iter().map(SentencePair::width).collect();
        if widths.is_empty() {
            return Err(Error::value("pairs to translate", 0, "1 or more"));
        }
        if let Some((width, number)) = widths.iter().zip(1_usize..).find(|(width, _)| **width > tokens) {
            let accepted = format!("at most {tokens}, the tokens of a batch");
            return Err(Error::Tokens { what: format!("pair {number}"), found: *width, accepted });
        }
        let mut sorted = widths.clone();
        sorted.sort_unstable();
        // From short to long: the last pair of a batch is its widest.
        let mut sizes = vec![0];
        for width in sorted {
            let last = sizes.len() - 1;
            if (sizes[last] + 1) * width > tokens {
                sizes.push(1);
            } else {
                sizes[last] += 1;
            }
        }
        Ok(Self { widths, sizes, seed })
    }

    /// How many batches an epoch has: the same in each.
    pub fn per_epoch(&self) -> usize {
        self.sizes.len()
    }

    /// The indices of the pairs in the batch of this step, from 0.
    pub fn batch(&self, step: usize) -> Vec<usize> {
        let per_epoch = self.per_epoch();
        self.epoch(step / per_epoch).swap_remove(step % per_epoch)
    }

    /// The batches of an epoch, from 0: every pair once, and the batches in any order.
    ///
    /// Which pairs of one width form a batch is drawn anew in each epoch.
    pub fn epoch(&self, number: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.widths.len()).collect();
        shuffle(&mut order, self.seed, &format!("pairs of epoch {number}"));
        let mut batches = self.split(order);
        shuffle(&mut batches, self.seed, &format!("batches of epoch {number}"));
        batches
    }

    /// Every pair once, from short to long, in a fixed order: for evaluation.
    pub fn sorted(&self) -> Vec<Vec<usize>> {
        self.split((0..self.widths.len()).collect())
    }

    /// Batches of the pairs, in the order of their widths, of equal widths in this order.
    fn split(&self, mut order: Vec<usize>) -> Vec<Vec<usize>> {
        order.sort_by_key(|pair| self.widths[*pair]);
        let mut rest = order.into_iter();
        self.sizes.iter().map(|size| rest.by_ref().take(*size).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::bpe::END;
    use proptest::prelude::*;

    /// Pairs of these lengths, of any tokens.
    fn pairs(lengths: &[(usize, usize)]) -> Vec<SentencePair> {
        let pair = |(source, target): &(usize, usize)| SentencePair {
            source: (0..*source as u32).map(|i| 10 + i).chain([END]).collect(),
            target: (0..*target as u32).map(|i| 20 + i).collect(),
        };
        lengths.iter().map(pair).collect()
    }

    #[test]
    fn the_order_is_pinned() {
        let lengths: Vec<(usize, usize)> = (0..10).map(|i| (i % 3 + 1, i % 4)).collect();
        let buckets = Buckets::new(&pairs(&lengths), 9, 0).unwrap();
        assert_eq!(buckets.sorted(), [vec![0, 9, 1], vec![4, 6], vec![2, 3], vec![5, 7], vec![8]]);
        let order: Vec<Vec<usize>> = (0..5).map(|step| buckets.batch(step)).collect();
        assert_eq!(order, buckets.epoch(0));
        let pinned = [vec![5, 3], vec![8], vec![2, 7], vec![1, 6], vec![0, 9, 4]];
        assert_eq!(order, pinned, "the order changed: every published run would change");
        assert_ne!(buckets.epoch(1), buckets.epoch(0));
        assert_eq!(buckets.batch(5 * 7 + 2), buckets.epoch(7)[2]);
    }

    #[test]
    fn pairs_that_do_not_fit() {
        let message = |lengths: &[(usize, usize)], tokens| {
            Buckets::new(&pairs(lengths), tokens, 0).unwrap_err().to_string()
        };
        assert_eq!(message(&[(3, 3), (2, 5)], 5), "pair 2: 6 tokens; at most 5, the tokens of a batch");
        assert!(message(&[(5, 3)], 5).contains("pair 1: 6 tokens"));
        assert!(message(&[], 5).contains("pairs to translate: '0'"));
        assert_eq!(Buckets::new(&pairs(&[(4, 4)]), 5, 0).unwrap().per_epoch(), 1);
    }

    proptest! {
        #[test]
        fn an_epoch_holds_every_pair_once_in_batches_that_fit(
            lengths in prop::collection::vec((0_usize..20, 0_usize..20), 1..60),
            (more, seed, epoch) in (0_usize..80, 0_u64..9, 0_usize..5),
        ) {
            let pairs = pairs(&lengths);
            let tokens = 20 + more;
            let buckets = Buckets::new(&pairs, tokens, seed).unwrap();
            for batches in [buckets.epoch(epoch), buckets.sorted()] {
                prop_assert_eq!(batches.len(), buckets.per_epoch());
                let mut all = batches.concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..pairs.len()).collect::<Vec<_>>());
                for batch in batches {
                    let widest = batch.iter().map(|pair| pairs[*pair].width()).max().unwrap_or(0);
                    prop_assert!(widest > 0 && batch.len() * widest <= tokens);
                }
            }
            prop_assert_eq!(buckets.epoch(epoch), Buckets::new(&pairs, tokens, seed).unwrap().epoch(epoch));
        }
    }
}
