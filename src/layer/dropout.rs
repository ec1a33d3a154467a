//! Dropout of the arrays of a network, whose masks are computed and never stored ([`RandomMask`]).

use ndarray::{Array, Dimension};

use crate::linalg::arrays::each_part;
use crate::linalg::random_mask::{RandomMask, mix};

/// Tells the masks of attention from those of other arrays of the same site.
const ATTENTION: u32 = 0x27d4_eb2f;

/// What decides every mask of one pass over a batch: a key, and how much is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    rate: f32,
    attention: f32,
    key: u32,
}

impl Dropout {
    /// Drops nothing.
    pub const OFF: Self = Self { rate: 0.0, attention: 0.0, key: 0 };

    /// Drops the share `rate` (0 to below 1) of all elements, in a pattern that follows from the seed, the step and the
    /// batch within the step; of the weights of attention nothing.
    pub fn new(rate: f64, seed: u64, step: usize, batch: usize) -> Self {
        let mut key = mix(seed as u32 ^ 0x9e37_79b9) ^ mix((seed >> 32) as u32);
        for part in [step as u32, (step as u64 >> 32) as u32, batch as u32] {
            key = mix(key ^ mix(part.wrapping_add(0x85eb_ca6b)));
        }
        Self { rate: rate as f32, attention: 0.0, key }
    }

    /// The same, which also drops the share `rate` of the weights of attention.
    #[must_use]
    pub fn of_attention(self, rate: f64) -> Self {
        Self { attention: rate as f32, ..self }
    }

    /// Sets dropped elements to zero and divides the others by the rate of survival; `site` tells the arrays of a network
    /// apart. The same call on the gradient is its backward pass.
    pub(crate) fn apply<D: Dimension>(self, x: &mut Array<f32, D>, site: usize) {
        apply(RandomMask::new(self.rate, self.key).part(site), x);
    }

    /// The same for some elements of an array, of which the first is number `first`.
    pub(super) fn apply_from(self, first: usize, elements: &mut [f32], site: usize) {
        RandomMask::new(self.rate, self.key).part(site).apply(first, elements);
    }

    /// The mask of the weights of an attention; the second of two steps has another `step` than the first.
    pub(super) fn attention(self, site: usize, step: usize) -> RandomMask {
        RandomMask::new(self.attention, self.key ^ ATTENTION).part(site).part(step)
    }
}

/// Applies a mask to all elements of an array.
pub(super) fn apply<D: Dimension>(mask: RandomMask, x: &mut Array<f32, D>) {
    if !mask.is_off() {
        each_part(x, |first, elements| mask.apply(first, elements));
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn survives(dropout: Dropout, site: usize) -> Vec<bool> {
        let mut x = Array2::ones((100, 400));
        dropout.apply(&mut x, site);
        assert!(x.iter().all(|x| *x == 0.0 || (*x - 1.0 / 0.7).abs() < 1e-6));
        x.iter().map(|x| *x != 0.0).collect()
    }

    #[test]
    fn masks_are_those_of_their_key_and_independent() {
        let first = survives(Dropout::new(0.3, 1, 5, 0), 2);
        assert_eq!(first, survives(Dropout::new(0.3, 1, 5, 0), 2));
        let share = |x: &[bool]| x.iter().filter(|x| **x).count() as f64 / x.len() as f64;
        let bound = 4.0 * (0.21_f64 / 4e4).sqrt();
        assert!((share(&first) - 0.7).abs() < bound);
        let others = [(2, 5, 0, 2), (1, 6, 0, 2), (1, 5, 1, 2), (1, 5, 0, 3), (1 + (1 << 40), 5, 0, 2)];
        for (seed, step, batch, site) in others {
            let other = survives(Dropout::new(0.3, seed, step, batch), site);
            let both: Vec<bool> = first.iter().zip(&other).map(|(x, y)| *x && *y).collect();
            assert!((share(&other) - 0.7).abs() < bound, "{seed} {step} {batch} {site}");
            assert!(
                (share(&both) - 0.49).abs() < 4.0 * (0.25_f64 / 4e4).sqrt(),
                "{seed} {step} {batch} {site}"
            );
        }
        // Neighbours in a row, and in a column, are independent too.
        for lag in [1, 400] {
            let pairs: Vec<bool> = first.iter().zip(&first[lag..]).map(|(x, y)| *x && *y).collect();
            assert!((share(&pairs) - 0.49).abs() < 4.0 * (0.25_f64 / 4e4).sqrt(), "lag {lag}");
        }
    }

    #[test]
    fn masks_are_pinned() {
        let mut x = Array2::ones((2, 16));
        Dropout::new(0.3, 1, 5, 2).apply(&mut x, 3);
        let mask: String = x.iter().map(|x| if *x > 0.0 { '1' } else { '0' }).collect();
        assert_eq!(mask, PINNED, "the masks changed: every published run with dropout would change");
    }

    const PINNED: &str = "11111111110101001110100111010011";

    #[test]
    fn nothing_is_dropped_when_it_is_off() {
        let mut x = Array2::ones((3, 5));
        Dropout::OFF.apply(&mut x, 7);
        assert_eq!(x, Array2::<f32>::ones((3, 5)));
    }
}
