//! How much the rounding of a matrix's entries can change its singular values.
//!
//! Rounding adds a matrix N of small random entries. By Weyl no singular value moves by more than `||N||_2`, by Mirsky the
//! sum of all moves by no more than `||N||_*`, the sum of squares by the triangle inequality of `||.||_F`. Beside a whole
//! attention matrix all three are negligible. A matrix that nearly equals its mean row leaves little after centring; there
//! they may be as large as the values themselves, and a rank is then a rank of the rounding.

use ndarray::{ArrayView2, Axis};

/// Estimated norms of the rounding error N, and the precision of the entries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rounding {
    /// The distance from 1 to the next number in the type of the entries (2^-23 for f32, 2^-52 for f64).
    pub epsilon: f64,
    /// `||N||_2`.
    pub spectral: f64,
    /// `||N||_*`, the sum of its singular values.
    pub nuclear: f64,
    /// `||N||_F`.
    pub frobenius: f64,
}

/// How far rounding may move an entry: a relative part, and an absolute one below the smallest normal number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EntryRounding {
    epsilon: f64,
    relative: f64,
    absolute: f64,
}

/// Entries computed in f64.
pub const F64: EntryRounding =
    EntryRounding { epsilon: f64::EPSILON, relative: 0.5 * f64::EPSILON, absolute: 0.0 };

/// Entries computed in f32.
pub const F32: EntryRounding =
    EntryRounding { epsilon: f32::EPSILON as f64, relative: 0.5 * f32::EPSILON as f64, absolute: 0.0 };

/// float16 (11 bits; its smallest number is 2^-24) and bfloat16 (8 bits), stored as f32.
const F16: EntryRounding = EntryRounding { relative: 1.0 / 2048.0, absolute: 0.5 / 16_777_216.0, ..F32 };
const BF16: EntryRounding = EntryRounding { relative: 1.0 / 256.0, ..F32 };

/// Fewer entries than this may have few significant bits by coincidence.
const MIN_ENTRIES: usize = 256;

/// How the entries of an f32 matrix are rounded: as f32, or as the shorter type that represents all of them and whose
/// last bit at least one of them uses.
pub fn unit(a: ArrayView2<'_, f32>) -> EntryRounding {
    let bits = a.iter().fold(0, |bits, x| bits | (x.to_bits() & 0x007f_ffff));
    match bits.trailing_zeros() {
        13 if a.len() >= MIN_ENTRIES => F16,
        16 if a.len() >= MIN_ENTRIES => BF16,
        _ => F32,
    }
}

impl Rounding {
    /// For a matrix whose entries have independent errors with a root mean square of `unit`.
    ///
    /// That is 2.4 times the error of rounding alone (uniform over half a unit), because entries are also computed.
    /// `||N||_2` is estimated by the largest norm of a row plus that of a column (what random entries of any pattern reach,
    /// up to a small factor), `||N||_*` by the smallest of three bounds.
    pub fn of<T: Copy + Into<f64>>(a: ArrayView2<'_, T>, unit: EntryRounding) -> Self {
        let mut columns = vec![0.0_f64; a.ncols()];
        let mut rows = Vec::with_capacity(a.nrows());
        let mut squares = vec![0.0; a.ncols()];
        pulp::Arch::new().dispatch(|| {
            for row in a.axis_iter(Axis(0)) {
                for (square, x) in squares.iter_mut().zip(row) {
                    let x: f64 = (*x).into();
                    *square = x * x;
                }
                for (column, square) in columns.iter_mut().zip(&squares) {
                    *column += square;
                }
                // Eight sums: one alone waits for each addition.
                let (mut sums, eights) = ([0.0; 8], squares.chunks_exact(8));
                let rest: f64 = eights.remainder().iter().sum();
                for eight in eights {
                    for (sum, square) in sums.iter_mut().zip(eight) {
                        *sum += square;
                    }
                }
                rows.push(sums.iter().sum::<f64>() + rest);
            }
        });
        Self::of_squares(&rows, &columns, unit)
    }

    /// As [`of`](Self::of), from the sums of squares of every row and every column.
    pub fn of_squares(rows: &[f64], columns: &[f64], unit: EntryRounding) -> Self {
        let (relative, absolute) = (unit.relative * unit.relative, unit.absolute * unit.absolute);
        let noise = |squares: &[f64], length: usize| -> Vec<f64> {
            squares.iter().map(|square| relative * square + absolute * length as f64).collect()
        };
        let rank = rows.len().min(columns.len()) as f64;
        let (rows, columns) = (noise(rows, columns.len()), noise(columns, rows.len()));
        let largest = |squares: &[f64]| squares.iter().copied().fold(0.0, f64::max).sqrt();
        let norms = |squares: &[f64]| squares.iter().map(|square| square.sqrt()).sum::<f64>();
        let frobenius = rows.iter().sum::<f64>().sqrt();
        Self {
            epsilon: unit.epsilon,
            spectral: largest(&rows) + largest(&columns),
            nuclear: (rank.sqrt() * frobenius).min(norms(&rows)).min(norms(&columns)),
            frobenius,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::engine::{Engine, singular_values};
    use crate::rng::{normal, stream};
    use ndarray::Array2;

    /// Rounds random matrices of several patterns and compares with the true norms of the rounding error.
    #[test]
    fn estimates_hold_and_are_not_far_above() {
        let spread = normal(&mut stream(1, "rounding"), 96, 96).mapv(|x| f64::from(x).exp() / 96.0);
        let sink =
            Array2::from_shape_fn((96, 96), |(i, j)| spread[[i, j]] * if j == 0 { 96.0 } else { 1e-4 });
        let band =
            Array2::from_shape_fn((96, 96), |(i, j)| if i.abs_diff(j) < 3 { spread[[i, j]] } else { 0.0 });
        for a in [spread, sink, band] {
            let rounded = a.mapv(|x| x as f32);
            let noise = &rounded.mapv(f64::from) - &a;
            let sigma = singular_values(noise.view(), Engine::Faer).unwrap();
            let found = Rounding::of(rounded.view(), unit(rounded.view()));
            for (estimate, true_norm) in [
                (found.spectral, sigma[0]),
                (found.nuclear, sigma.iter().sum()),
                (found.frobenius, sigma.iter().map(|s| s * s).sum::<f64>().sqrt()),
            ] {
                let ratio = estimate / true_norm;
                assert!((1.0..8.0).contains(&ratio), "{estimate:e} for {true_norm:e}");
            }
        }
    }

    #[test]
    fn short_types_are_seen_in_the_bits() {
        let a = normal(&mut stream(1, "bits"), 20, 20);
        let truncated = |bits: u32| a.mapv(|x| f32::from_bits(x.to_bits() >> bits << bits));
        assert_eq!(unit(a.view()), F32);
        assert_eq!(unit(truncated(13).view()), F16);
        assert_eq!(unit(truncated(16).view()), BF16);
        assert_eq!(unit(Array2::from_elem((64, 64), 1.0 / 64.0_f32).view()), F32);
        assert_eq!(unit(truncated(16).slice(ndarray::s![..5, ..5])), F32, "too few to tell");
    }
}
