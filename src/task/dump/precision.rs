//! Number formats of dumped matrices, and how much rounding to them changes a softmax.

use half::{bf16, f16};

/// A binary floating-point format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// Eight bits of significand, the exponents of single precision.
    BF16,
}

impl Precision {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
        }
    }

    /// Bytes of one value.
    pub(super) fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// The narrowest format that represents all these values, at most this one: an array that was converted to a wider format
    /// before it was saved has the rounding of the original format.
    pub(super) fn narrowest(self, values: impl Iterator<Item = f64> + Clone) -> Self {
        let narrower: &[Self] = match self {
            Self::F64 => &[Self::BF16, Self::F16, Self::F32],
            Self::F32 => &[Self::BF16, Self::F16],
            Self::F16 | Self::BF16 => return self,
        };
        let holds = |format: &Self| values.clone().all(|x| !x.is_finite() || format.round(x) == x);
        narrower.iter().copied().find(holds).unwrap_or(self)
    }

    /// The nearest number of this format.
    pub fn round(self, x: f64) -> f64 {
        match self {
            Self::F64 => x,
            Self::F32 => f64::from(x as f32),
            Self::F16 => f16::from_f64(x).to_f64(),
            Self::BF16 => bf16::from_f64(x).to_f64(),
        }
    }

    /// How far the sum of a row of m probabilities may be from 1 by rounding alone.
    ///
    /// Let u be half the distance from 1 to the next number. Rounding changes each probability by at most a fraction u, and
    /// so the sum of a row by at most u, whatever m is. The rounded normaliser changes the row by another u; if it was summed
    /// in the format itself, in a tree as vector code does, by one more u for each doubling of m. Values too small for the
    /// format are rounded by a fixed amount, which adds up over the row. Never below 1e-3, to accept matrices that were
    /// printed with few digits.
    pub fn row_tolerance(self, m: usize) -> f64 {
        let (unit, smallest) = match self {
            Self::F64 | Self::F32 => return 1e-3,
            Self::F16 => (2.0_f64.powi(-11), 2.0_f64.powi(-24)),
            Self::BF16 => (2.0_f64.powi(-9), 0.0),
        };
        let m = m.max(1) as f64;
        (unit * (2.0 + m.log2()) + m * smallest / 2.0).max(1e-3)
    }

    /// Below this, probabilities of a sharp softmax become 0 in this format, or nearly so: two to three orders of magnitude
    /// above the smallest number of half precision, and above all that single precision flushes to 0. (Double precision
    /// is treated as single: softmax is rarely computed in it.)
    pub fn underflow(self) -> f64 {
        match self {
            Self::F64 | Self::F32 | Self::BF16 => 1e-30,
            Self::F16 => 6e-6,
        }
    }
}
