//! Forgetting: an exponential average in the place of the mean over all tokens so far.
//!
//! ```text
//! (1/t) sum_{j<=t} x_j   becomes   (1/Z_t) sum_{j<=t} a^(t-j) x_j,   Z_t = sum_{j<=t} a^(t-j) = (1 - a^t) / (1 - a)
//! ```
//! for a decay a of a head, above 0 and below 1; as a goes to 1, `Z_t` goes to t. A variant of our own: the authors' causal
//! Luna (Ma et al. 2021) has the mean, which every new token moves by 1/t, less and less. As in `RetNet`
//! (Sun et al. 2023), heads that learn their decay begin with memories of different lengths.

use ndarray::{Array2, ArrayViewMut1, s};

use crate::attention::Mask;
use crate::attention::kernel::chunk::CHUNK;

/// How much of the packed context one head keeps from token to token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decay {
    /// ln a; 0 for the mean over all tokens.
    log: f64,
}

impl Decay {
    /// Nothing is forgotten: the mean over all tokens.
    pub const NONE: Self = Self { log: 0.0 };

    /// The decay a, above 0 and at most 1.
    pub fn of(decay: f64) -> Self {
        Self { log: decay.ln() }
    }

    /// The decay `1 / (1 + e^-x)` of a learned logit x.
    pub fn of_logit(x: f64) -> Self {
        Self { log: x.min(0.0) - (-x.abs()).exp().ln_1p() }
    }

    /// Whether it is the mean over all tokens.
    pub fn is_none(self) -> bool {
        self.log == 0.0
    }

    /// 1 - a, the derivative of ln a by the logit.
    pub fn lost(self) -> f64 {
        -self.log.exp_m1()
    }

    /// What is left of a token after so many more.
    pub(super) fn power(self, tokens: usize) -> f32 {
        (self.log * tokens as f64).exp() as f32
    }

    /// `Z_t` of t tokens.
    pub(super) fn total(self, tokens: usize) -> f64 {
        if self.is_none() { tokens as f64 } else { (self.log * tokens as f64).exp_m1() / self.log.exp_m1() }
    }

    /// The mean age of t tokens as the average weighs them, 0 for the last one: the derivative of `ln Z_t` by ln a.
    pub fn age(self, tokens: usize) -> f64 {
        let t = tokens as f64;
        // Both terms go to infinity as a goes to 1, and their difference to this.
        if -self.log * t < 1e-5 {
            return 0.5 * (t - 1.0);
        }
        let of = |log: f64| log.exp() / -log.exp_m1();
        of(self.log) - t * of(self.log * t)
    }

    /// A row of pairs that sees its first `seen` columns, averaged: others become zeros.
    pub fn average(self, mut row: ArrayViewMut1<'_, f32>, seen: usize) {
        row.slice_mut(s![seen..]).fill(0.0);
        let total = self.total(seen) as f32;
        row.iter_mut().take(seen).enumerate().for_each(|(j, x)| *x = *x * self.power(seen - 1 - j) / total);
    }

    /// What n queries average of m keys, in f64: rows sum to 1.
    pub(super) fn averages(self, n: usize, m: usize) -> Array2<f64> {
        Array2::from_shape_fn((n, m), |(t, j)| {
            let seen = Mask::Causal.visible(t, m);
            if j < seen { (self.log * (seen - 1 - j) as f64).exp() / self.total(seen) } else { 0.0 }
        })
    }
}

/// The powers of a decay that the tokens of one chunk need; queries after the last key see what the last key left.
pub(super) struct Powers {
    decay: Decay,
    /// `a^CHUNK` to `a^0`.
    descending: [f32; CHUNK + 1],
}

impl Powers {
    pub(super) fn of(decay: Decay) -> Self {
        Self { decay, descending: std::array::from_fn(|i| decay.power(CHUNK - i)) }
    }

    pub(super) fn is_none(&self) -> bool {
        self.decay.is_none()
    }

    fn power(&self, tokens: usize) -> f32 {
        self.descending[CHUNK - tokens]
    }

    /// Sums before a chunk of so many keys become what is left of them after it.
    pub(super) fn pass(&self, keys: usize, sums: &mut [f32]) {
        if !self.is_none() {
            multiply(sums, self.power(keys));
        }
    }

    /// Row i of queries, of a chunk of so many keys, times what is left of the sums before it.
    pub(super) fn of_queries(&self, keys: usize, rows: &mut [f32], width: usize) {
        if !self.is_none() {
            self.fade_queries((keys, 1.0), rows, width);
        }
    }

    fn fade_queries(&self, (keys, times): (usize, f32), rows: &mut [f32], width: usize) {
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            multiply(row, times * self.power((i + 1).min(keys)));
        }
    }

    /// Row j of so many keys times what is left of it after the last.
    pub(super) fn of_keys(&self, keys: usize, rows: &mut [f32], width: usize) {
        if !self.is_none() {
            for (j, row) in rows.chunks_exact_mut(width).take(keys).enumerate() {
                multiply(row, self.power(keys - 1 - j));
            }
        }
    }

    /// Pairs of queries and of the keys up to them, rows of `width`: what is left of each key.
    pub(super) fn of_pairs(&self, keys: usize, pairs: &mut [f32], width: usize) {
        if self.is_none() || keys == 0 {
            return;
        }
        for (i, row) in pairs.chunks_exact_mut(width).enumerate() {
            let last = i.min(keys - 1);
            row.iter_mut().zip(&self.descending[CHUNK - last..]).for_each(|(x, left)| *x *= left);
        }
    }

    /// Rows of keys as [`of_keys`](Self::of_keys) has them: themselves, or a copy in `space`.
    pub(super) fn faded_keys<'a>(&self, rows: &'a [f32], width: usize, space: &'a mut [f32]) -> &'a [f32] {
        self.copied(rows, space, |space| self.of_keys(rows.len() / width, space, width))
    }

    /// Rows of queries as [`of_queries`](Self::of_queries) has them, times a number that is 1 where nothing is forgotten:
    /// themselves, or a copy in `space`.
    pub(super) fn faded_queries<'a>(
        &self,
        keys: (usize, f32),
        rows: &'a [f32],
        width: usize,
        space: &'a mut [f32],
    ) -> &'a [f32] {
        self.copied(rows, space, |space| self.fade_queries(keys, space, width))
    }

    fn copied<'a>(&self, rows: &'a [f32], space: &'a mut [f32], fade: impl FnOnce(&mut [f32])) -> &'a [f32] {
        if self.is_none() {
            return rows;
        }
        let space = &mut space[..rows.len()];
        space.copy_from_slice(rows);
        fade(space);
        space
    }
}

fn multiply(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_sum_to_one_and_age_is_their_mean_age() {
        for decay in [Decay::NONE, Decay::of(0.5), Decay::of(0.999), Decay::of_logit(20.0)] {
            let averages = decay.averages(9, 7);
            for (t, row) in averages.rows().into_iter().enumerate() {
                let seen = Mask::Causal.visible(t, 7);
                assert!((row.sum() - 1.0).abs() < 1e-12, "{decay:?}");
                let age: f64 =
                    row.iter().take(seen).enumerate().map(|(j, x)| x * (seen - 1 - j) as f64).sum();
                assert!((age - decay.age(seen)).abs() < 1e-5, "{decay:?} {t}: {age} and {}", decay.age(seen));
            }
        }
        assert_eq!(Decay::of(1.0), Decay::NONE);
        assert!((Decay::of_logit(0.0).lost() - 0.5).abs() < 1e-15);
        assert!((Decay::of_logit(-40.0).power(1) - (-40.0_f32).exp()).abs() < 1e-20);
    }
}
