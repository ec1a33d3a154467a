//! The singular values of a matrix and of the same matrix without its mean row, both from one reduction.
//!
//! Centring subtracts from every row the mean of all rows: `C = (1 - u u^T) A` with `u = (1, ..., 1) / sqrt(n)`.
//! Let `A A^T = Q T Q^T` with `T` tridiagonal and `Q e_1 = u`. Then `C C^T = Q (1 - e_1 e_1^T) T (1 - e_1 e_1^T) Q^T`:
//! the spectrum of the centred matrix is that of `T` without its first row and column. So the reduction, which is
//! nearly all of the work, is done once for both.

use ndarray::{Array2, ArrayView2, Axis};

use super::engine::{Engine, singular_values};
use super::gemm::{Threads, gram_lower};
use super::rounding::{self, Rounding};
use super::{eigenvalues, tridiagonal};
use crate::error::Result;

/// The share of the largest plain value below which the largest centred one counts as small.
///
/// The eigenvalues of `A A^T` are exact to about `1e-16 sigma_max^2`, and so the singular values to `1e-8 sigma_max`. With
/// 512 values that far off, the sum of a centred spectrum of this size is off by 1e-4 of itself at most; below, both
/// spectra are decomposed without squaring.
const SMALL: f64 = 0.05;

/// Singular values, largest first; both lists have min(n, m) entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectra {
    /// Of the matrix itself.
    pub plain: Vec<f64>,
    /// Of the matrix minus the mean of its rows.
    pub centred: Vec<f64>,
    /// How much the rounding of the entries can change both.
    pub rounding: Rounding,
}

impl Spectra {
    /// Whether the mean row is nearly all of the matrix: the centred values are then small relative to the plain ones.
    fn is_nearly_its_mean(&self) -> bool {
        let first = |values: &[f64]| values.first().copied().unwrap_or(0.0);
        first(&self.centred) < SMALL * first(&self.plain)
    }
}

/// Both spectra of an f32 matrix (n, m), by `engine`.
///
/// The faer engine takes the eigenvalues of the f64 matrix `A A^T`: exact to about `1e-8 sigma_max`, which is below
/// the rounding of the f32 entries themselves (`6e-8` of each). A matrix that is nearly its mean row is decomposed as
/// an f64 matrix: its centred values are small, and `1e-8` of the largest plain one is large relative to them.
pub fn of_f32(a: ArrayView2<'_, f32>, engine: Engine) -> Result<Spectra> {
    of_f32_or(a, engine, || None)
}

/// As [`of_f32`] for a matrix that was made in f32 and that `precise` can make once more in f64: that one is
/// decomposed where the f32 matrix is nearly its mean row, so that the centred matrix is not mostly rounding error.
///
/// What `precise` makes counts only if it is the same matrix: no further from `a` than rounding and a hundredth of the
/// centred matrix.
pub fn of_f32_or(
    a: ArrayView2<'_, f32>,
    engine: Engine,
    precise: impl FnOnce() -> Option<Array2<f64>>,
) -> Result<Spectra> {
    let (n, m) = a.dim();
    let rounding = Rounding::of(a, rounding::unit(a));
    let whole = |a: ArrayView2<'_, f32>| -> Result<Spectra> {
        Ok(Spectra { rounding, ..of_f64(a.mapv(f64::from).view(), engine)? })
    };
    let fast = if engine == Engine::Lapack || n > m {
        whole(a)?
    } else {
        let gram = gram_lower(a.mapv(f64::from).view(), Threads::One);
        let mut gram = gram.into_raw_vec_and_offset().0;
        let t = tridiagonal::reduce(&mut gram, n, &vec![1.0; n]);
        let (plain, mut centred) = eigenvalues::pair(&t)?;
        centred.resize(n, 0.0);
        let root = |values: Vec<f64>| values.into_iter().map(|value| value.max(0.0).sqrt()).collect();
        Spectra { plain: root(plain), centred: root(centred), rounding }
    };
    if !fast.is_nearly_its_mean() {
        return Ok(fast);
    }
    match precise().filter(|made| is_same(made, a, &fast)) {
        Some(made) => {
            let found = of_f64(made.view(), engine)?;
            // The numerical rank still counts at the precision of what the matrix is made from.
            Ok(Spectra { rounding: Rounding { epsilon: rounding.epsilon, ..found.rounding }, ..found })
        }
        None => whole(a),
    }
}

/// Whether `made` is `a`, whose spectra these are, but for rounding.
fn is_same(made: &Array2<f64>, a: ArrayView2<'_, f32>, spectra: &Spectra) -> bool {
    if made.dim() != a.dim() {
        return false;
    }
    let apart = made.iter().zip(a).map(|(x, y)| (x - f64::from(*y)).powi(2)).sum::<f64>().sqrt();
    let centred = spectra.centred.iter().map(|s| s * s).sum::<f64>().sqrt();
    apart <= SAME * centred + 8.0 * spectra.rounding.frobenius
}

/// The distance of two matrices that are the same but for rounding, as a share of the centred one.
const SAME: f64 = 1e-2;

/// Both spectra of an f64 matrix (n, m), by two full decompositions of `engine`: small values are exact as well.
pub fn of_f64(a: ArrayView2<'_, f64>, engine: Engine) -> Result<Spectra> {
    Ok(Spectra {
        plain: singular_values(a, engine)?,
        centred: singular_values(centred(a).view(), engine)?,
        rounding: Rounding::of(a, rounding::F64),
    })
}

/// The matrix minus the mean of its rows.
pub fn centred(a: ArrayView2<'_, f64>) -> Array2<f64> {
    let less_mean = |a: ArrayView2<'_, f64>| match a.mean_axis(Axis(0)) {
        Some(mean) => &a - &mean,
        None => a.to_owned(),
    };
    // The mean of many rows is rounded; its error is the mean of the difference.
    less_mean(less_mean(a).view())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries that repeat nowhere, without a generator.
    fn matrix(n: usize, m: usize) -> Array2<f32> {
        Array2::from_shape_fn((n, m), |(i, j)| ((i * 37 + j * 101 + i * j) as f32 * 0.7).sin() + 0.3)
    }

    #[test]
    fn one_reduction_equals_two_decompositions() {
        for (n, m) in [(1, 1), (2, 2), (3, 3), (7, 5), (5, 7), (20, 20), (31, 31), (33, 64), (100, 100)] {
            let a = matrix(n, m);
            let fast = of_f32(a.view(), Engine::Faer).unwrap();
            let slow = of_f64(a.mapv(f64::from).view(), Engine::Faer).unwrap();
            let bound = 3e-8 * slow.plain[0];
            for (fast, slow) in [(&fast.plain, &slow.plain), (&fast.centred, &slow.centred)] {
                assert_eq!(fast.len(), n.min(m));
                for (x, y) in fast.iter().zip(slow) {
                    assert!((x - y).abs() <= bound, "{n} x {m}: {x} {y}");
                }
            }
        }
    }
}
