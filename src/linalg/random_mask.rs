//! A mask of dropout (Srivastava et al. 2014) that is computed and never stored.
//!
//! Whether the i-th element of an array survives is a function of a key and of i, so that the backward pass, a resumed run,
//! and any number of threads see the same mask. The function is the finalizer of `MurmurHash3`
//! (Appleby, public domain), twice: 32 bits in, 32 well-mixed bits out.

use pulp::{Simd, WithSimd};

/// What decides which elements of an array are dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomMask {
    rate: f32,
    key: u32,
}

impl RandomMask {
    /// Drops nothing.
    pub const OFF: Self = Self { rate: 0.0, key: 0 };

    /// Drops the share `rate` (0 to below 1) of all elements, in a pattern that follows from the key.
    pub const fn new(rate: f32, key: u32) -> Self {
        Self { rate, key }
    }

    /// Whether nothing is dropped.
    pub fn is_off(self) -> bool {
        self.rate <= 0.0
    }

    /// The share that survives.
    pub fn survival(self) -> f32 {
        1.0 - self.rate
    }

    /// An independent mask for one part of what this one is for: an array of a network, a row of a matrix.
    #[inline]
    #[must_use]
    pub const fn part(self, part: usize) -> Self {
        Self { key: mix(self.key ^ mix(part as u32)), ..self }
    }

    /// Sets dropped elements to zero and divides the others by the rate of survival; the first is number `first` of the
    /// array. The same call on the gradient is its backward pass.
    pub fn apply(self, first: usize, elements: &mut [f32]) {
        if !self.is_off() {
            pulp::Arch::new().dispatch(Masked { mask: self, first: first as u32, elements });
        }
    }

    /// Applies the masks of the parts from `part` on to rows of so many elements, of which each one's first is number
    /// `first` of its part.
    pub fn rows(self, part: usize, first: usize, (elements, width): (&mut [f32], usize)) {
        if !self.is_off() {
            let rows = elements.chunks_exact_mut(width).enumerate();
            rows.for_each(|(row, elements)| self.part(part + row).apply(first, elements));
        }
    }

    /// As [`apply`](Self::apply) to one element of each of several arrays, number `element`; `keys` are those of their
    /// masks, which share this one's rate.
    #[inline(always)]
    #[allow(clippy::inline_always)] // inlined into the vector instructions of its caller
    pub fn across(self, keys: &[u32], element: usize, elements: &mut [f32]) {
        let (element, (threshold, scale)) = (mix(element as u32), self.numbers());
        for (x, key) in elements.iter_mut().zip(keys) {
            *x *= if mix(element ^ *key) < threshold { 0.0 } else { scale };
        }
    }

    /// What decides the mask.
    pub fn key(self) -> u32 {
        self.key
    }

    /// Draws below the first number are dropped; survivors are scaled by the second.
    #[inline(always)]
    #[allow(clippy::inline_always)] // inlined into the vector instructions of its caller
    fn numbers(self) -> (u32, f32) {
        ((f64::from(self.rate) * 2f64.powi(32)) as u32, 1.0 / (1.0 - self.rate))
    }
}

struct Masked<'a> {
    mask: RandomMask,
    first: u32,
    elements: &'a mut [f32],
}

impl WithSimd for Masked<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, _: S) {
        let (threshold, scale) = self.mask.numbers();
        for (i, x) in self.elements.iter_mut().enumerate() {
            let draw = mix(mix(self.first.wrapping_add(i as u32)) ^ self.mask.key);
            *x *= if draw < threshold { 0.0 } else { scale };
        }
    }
}

/// 32 well-mixed bits of 32 bits.
#[inline(always)]
#[allow(clippy::inline_always)] // inlined into the vector instructions of its caller
pub const fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 13;
    x = x.wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_have_the_masks_of_their_parts() {
        let mask = RandomMask::new(0.3, 5);
        let mut rows = vec![1.0; 7 * 11];
        mask.rows(40, 3, (&mut rows, 11));
        let keys: Vec<u32> = (40..47).map(|part| mask.part(part).key()).collect();
        for j in 0..11 {
            let mut column = [1.0; 7];
            mask.across(&keys, 3 + j, &mut column);
            assert!((0..7).all(|i| column[i] == rows[i * 11 + j]), "column {j}");
        }
        for (i, row) in rows.chunks(11).enumerate() {
            let mut one = [1.0; 11];
            mask.part(40 + i).apply(3, &mut one);
            assert_eq!(row, one);
        }
        assert!(rows.contains(&0.0) && rows.contains(&(1.0 / 0.7)));
        let mut all = vec![1.0; 5];
        RandomMask::OFF.apply(0, &mut all);
        assert_eq!(all, [1.0; 5]);
    }
}
