//! Dropout whose mask is computed and never stored (Srivastava et al. 2014).
//!
//! Whether the i-th element of an array survives is a function of a key and of i, so that the backward pass, a resumed run,
//! and any number of threads see the same mask. The function is the finalizer of `MurmurHash3`
//! (Appleby, public domain), twice: 32 bits in, 32 well-mixed bits out.

use ndarray::Array2;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

const CHUNK: usize = 1 << 14;

/// What decides every mask of one pass over a batch: a key, and how much is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    rate: f32,
    key: u32,
}

impl Dropout {
    /// Drops nothing.
    pub const OFF: Self = Self { rate: 0.0, key: 0 };

    /// Drops the share `rate` (0 to below 1) of all elements, in a pattern that follows from the seed, the step and the
    /// batch within the step.
    pub fn new(rate: f64, seed: u64, step: usize, batch: usize) -> Self {
        let mut key = mix(seed as u32 ^ 0x9e37_79b9) ^ mix((seed >> 32) as u32);
        for part in [step as u32, (step as u64 >> 32) as u32, batch as u32] {
            key = mix(key ^ mix(part.wrapping_add(0x85eb_ca6b)));
        }
        Self { rate: rate as f32, key }
    }

    /// Sets dropped elements to zero and divides the others by the rate of survival; `site` tells the arrays of a network
    /// apart. The same call on the gradient is its backward pass.
    pub(crate) fn apply(self, x: &mut Array2<f32>, site: usize) {
        if let Some(elements) = x.as_slice_mut().filter(|_| self.rate > 0.0) {
            let chunks = elements.par_chunks_mut(CHUNK).enumerate();
            chunks.for_each(|(chunk, elements)| self.apply_from(chunk * CHUNK, elements, site));
        }
    }

    /// The same for some elements of an array, of which the first is number `first`.
    pub(super) fn apply_from(self, first: usize, elements: &mut [f32], site: usize) {
        if self.rate <= 0.0 {
            return;
        }
        let key = mix(self.key ^ mix(site as u32));
        let threshold = (f64::from(self.rate) * 2f64.powi(32)) as u32;
        let scale = 1.0 / (1.0 - self.rate);
        pulp::Arch::new().dispatch(Masked { elements, first: first as u32, key, threshold, scale });
    }
}

struct Masked<'a> {
    elements: &'a mut [f32],
    first: u32,
    key: u32,
    threshold: u32,
    scale: f32,
}

impl WithSimd for Masked<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, _: S) {
        for (i, x) in self.elements.iter_mut().enumerate() {
            let draw = mix(mix(self.first.wrapping_add(i as u32)) ^ self.key);
            *x *= if draw < self.threshold { 0.0 } else { self.scale };
        }
    }
}

#[inline(always)]
#[allow(clippy::inline_always)] // inlined into the vector instructions of its caller
const fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 13;
    x = x.wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
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
