//! The singular values of a matrix and of the same matrix without its mean row, both from one reduction.
//!
//! Centring subtracts from every row the mean of all rows: `C = (1 - u u^T) A` with `u = (1, ..., 1) / sqrt(n)`.
//! Let `A A^T = Q T Q^T` with `T` tridiagonal and `Q e_1 = u`. Then `C C^T = Q (1 - e_1 e_1^T) T (1 - e_1 e_1^T) Q^T`:
//! the spectrum of the centred matrix is that of `T` without its first row and column. So the reduction, which is
//! nearly all of the work, is done once for both.

use ndarray::{Array2, ArrayView2, Axis};

use super::engine::{Engine, singular_values};
use super::gemm::{Threads, gram_lower};
use super::{eigenvalues, tridiagonal};
use crate::error::Result;

/// Singular values, largest first; both lists have min(n, m) entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectra {
    /// Of the matrix as it stands.
    pub plain: Vec<f64>,
    /// Of the matrix less the mean of its rows, subtracted from every row.
    pub centred: Vec<f64>,
}

/// Both spectra of an f32 matrix (n, m), by `engine`.
///
/// The faer engine takes the eigenvalues of the f64 matrix `A A^T`: exact to about `1e-8 sigma_max`, which is below
/// the rounding of the f32 entries themselves (`6e-8` of each).
pub fn of_f32(a: ArrayView2<'_, f32>, engine: Engine) -> Result<Spectra> {
    let (n, m) = a.dim();
    if engine == Engine::Lapack || n > m {
        return of_f64(a.mapv(f64::from).view(), engine);
    }
    let gram = gram_lower(a.mapv(f64::from).view(), Threads::One);
    let mut gram = gram.into_raw_vec_and_offset().0;
    let t = tridiagonal::reduce(&mut gram, n, &vec![1.0; n]);
    let (plain, mut centred) = eigenvalues::pair(&t);
    centred.resize(n, 0.0);
    let root = |values: Vec<f64>| values.into_iter().map(|value| value.max(0.0).sqrt()).collect();
    Ok(Spectra { plain: root(plain), centred: root(centred) })
}

/// Both spectra of an f64 matrix (n, m), by two full decompositions of `engine`: small values are exact as well.
pub fn of_f64(a: ArrayView2<'_, f64>, engine: Engine) -> Result<Spectra> {
    Ok(Spectra { plain: singular_values(a, engine)?, centred: singular_values(centred(a).view(), engine)? })
}

/// The matrix less the mean of its rows.
pub fn centred(a: ArrayView2<'_, f64>) -> Array2<f64> {
    match a.mean_axis(Axis(0)) {
        Some(mean) => &a - &mean,
        None => a.to_owned(),
    }
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
