//! The singular values of a matrix and of the same matrix without its mean row, both from one reduction.
//!
//! Centring subtracts from every row the mean of all rows: `C = (1 - u u^T) A` with `u = (1, ..., 1) / sqrt(n)`.
//! Let `A A^T = Q T Q^T` with `T` tridiagonal and `Q e_1 = u`. Then `C C^T = Q (1 - e_1 e_1^T) T (1 - e_1 e_1^T) Q^T`:
//! the spectrum of the centred matrix is that of `T` without its first row and column. So the reduction, which is
//! nearly all of the work, is done once for both. A reflection maps `u` to `e_1` before the Gram matrix is made, and both
//! stages of the reduction (`band`, `chase`) leave `e_1` alone.
//!
//! With more rows than columns `C^T C = Q T Q^T` is the smaller one. With the mean row `r` and `Q e_1` along it,
//! `A^T A = C^T C + n r r^T = Q (T + n |r|^2 e_1 e_1^T) Q^T`: `T` with another first element.
//!
//! In neither case is the centred Gram matrix a difference of large ones: the centred values are exact relative to their own
//! largest, however small that is beside the mean row.

use std::cell::Cell;

use ndarray::{Array2, ArrayView2, Axis};

use super::engine::{Engine, singular_values};
use super::gemm::Threads;
use super::gram::Less;
use super::rounding::{self, Rounding};
use super::{eigenvalues, gram, ql, reduction};
use crate::error::Result;

/// What a decomposition calls again and again while it works, a few times a second: its error ends the decomposition.
pub type Alive<'a> = &'a dyn Fn() -> Result<()>;

/// The [`Alive`] of a decomposition that nothing interrupts.
#[allow(clippy::unnecessary_wraps)] // it is one of the functions that may fail
pub fn uninterrupted() -> Result<()> {
    Ok(())
}

/// The share of the largest plain value below which the largest centred one counts as small: what the f32 rounding of the entries
/// adds to a centred spectrum of this size is 1e-4 of its sum at most, for 512 values.
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
/// The faer engine takes the eigenvalues of Gram matrices in f64, by this project's own reduction: exact to about 1e-8 of the
/// largest value of either list, which is below the rounding of the f32 entries themselves (`6e-8` of each).
///
/// `alive` is called for every block of the Gram matrix, every panel of the reduction and every few sweeps of the two
/// iterations.
pub fn of_f32(a: ArrayView2<'_, f32>, engine: Engine, alive: Alive<'_>) -> Result<Spectra> {
    of_f32_or(a, engine, || None, alive)
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
    alive: Alive<'_>,
) -> Result<Spectra> {
    let rounding = Rounding::of(a, rounding::unit(a));
    let found = match engine {
        Engine::Lapack => Spectra { rounding, ..of_f64(a.mapv(f64::from).view(), engine, alive)? },
        Engine::Faer => of_gram(a, rounding, alive)?,
    };
    if !found.is_nearly_its_mean() {
        return Ok(found);
    }
    let Some(made) = precise().filter(|made| is_same(made, a, &found)) else { return Ok(found) };
    // The numerical rank still counts at the precision of what the matrix is made from.
    let rounding = Rounding { epsilon: rounding.epsilon, ..Rounding::of(made.view(), rounding::F64) };
    // By full decompositions: what is zero in the centred matrix is 1e-8 of its largest value in a Gram matrix, and counts in its
    // effective rank.
    Ok(Spectra { rounding, ..of_f64(made.view(), engine, alive)? })
}

thread_local! {
    static WORK: Cell<gram::Work> = Cell::default();
}

/// Elements of the largest Gram matrix whose memory a thread keeps for the next one (64 MiB).
const KEPT: usize = 1 << 23;

/// Below this order the QL iteration is the faster one.
const SMALL_ORDER: usize = 128;

/// Below this order threads that wait for each other gain nothing (`benches/spectra.rs`).
const SHARED_ORDER: usize = 1024;

/// All threads for a large matrix of a caller who is not one of the pool's: theirs have a matrix each.
fn threads(order: usize) -> Threads {
    let alone = rayon::current_thread_index().is_none() && rayon::current_num_threads() > 1;
    if alone && order >= SHARED_ORDER { Threads::All } else { Threads::One }
}

/// Both spectra, from one reduction of the smaller Gram matrix.
fn of_gram<T: Copy + Into<f64>>(
    a: ArrayView2<'_, T>,
    rounding: Rounding,
    alive: Alive<'_>,
) -> Result<Spectra> {
    let (n, m) = a.dim();
    if a.is_empty() {
        return Ok(Spectra { plain: Vec::new(), centred: Vec::new(), rounding });
    }
    let order = n.min(m);
    let threads = threads(order);
    let reduced = |of: Less<'_, T>| {
        let mut work = WORK.take();
        gram::reflected(of, &mut work, threads, alive)?;
        let found = reduction::tridiagonal(&mut work.gram, order, threads, alive);
        if work.gram.len() <= KEPT {
            WORK.set(work);
        }
        found
    };
    let mean = gram::mean_row(a);
    let (zeros, ones) = (vec![0.0; n], vec![1.0; n]);
    let (plain, centred) = if n > m {
        let centred = reduced(Less { a: a.reversed_axes(), rows: &mean, first: &mean, columns: &zeros })?;
        (centred.with_more_first(n as f64 * mean.iter().map(|x| x * x).sum::<f64>()), centred)
    } else {
        let plain = reduced(Less { a, rows: &zeros, first: &ones, columns: &mean })?;
        let centred = plain.without_first();
        (plain, centred)
    };
    let (plain, mut centred) = if order < SMALL_ORDER {
        ql::pair(&plain, &centred, alive)?
    } else {
        (eigenvalues::of(&plain, alive)?, eigenvalues::of(&centred, alive)?)
    };
    centred.resize(order, 0.0);
    let root = |values: Vec<f64>| values.into_iter().map(|value| value.max(0.0).sqrt()).collect();
    let (mut plain, centred): (Vec<_>, Vec<_>) = (root(plain), root(centred));
    // Both differ by a matrix of rank one, so their values interlace (Cauchy): bounds for small plain values, which the largest
    // one has rounded.
    for (plain, bounds) in plain[1..].iter_mut().zip(centred.windows(2)) {
        *plain = plain.clamp(bounds[1], bounds[0]);
    }
    Ok(Spectra { plain, centred, rounding })
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
///
/// `alive` is called before each of the two; neither faer nor LAPACK can be interrupted within one.
pub fn of_f64(a: ArrayView2<'_, f64>, engine: Engine, alive: Alive<'_>) -> Result<Spectra> {
    alive()?;
    let plain = singular_values(a, engine)?;
    alive()?;
    let centred = singular_values(centred(a).view(), engine)?;
    Ok(Spectra { plain, centred, rounding: Rounding::of(a, rounding::F64) })
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
    use crate::linalg::tridiagonal::Tridiagonal;

    /// Entries that repeat nowhere, without a generator.
    fn matrix(n: usize, m: usize) -> Array2<f32> {
        Array2::from_shape_fn((n, m), |(i, j)| ((i * 37 + j * 101 + i * j) as f32 * 0.7).sin() + 0.3)
    }

    fn assert_right(a: &Array2<f32>, bound: f64, what: &str) {
        let fast = of_f32(a.view(), Engine::Faer, &uninterrupted).unwrap();
        assert_near(&fast, &a.mapv(f64::from), bound, what);
    }

    /// Compares with two decompositions by faer, each list within `bound` of its largest value.
    fn assert_near(fast: &Spectra, a: &Array2<f64>, bound: f64, what: &str) {
        let slow = of_f64(a.view(), Engine::Faer, &uninterrupted).unwrap();
        for (fast, slow, which) in
            [(&fast.plain, &slow.plain, "plain"), (&fast.centred, &slow.centred, "centred")]
        {
            assert_eq!(fast.len(), a.nrows().min(a.ncols()), "{what}");
            for (x, y) in fast.iter().zip(slow) {
                let off = (x - y).abs();
                assert!(off <= bound * slow[0].max(1e-300), "{what}, {:?}, {which}: {x} {y}", a.dim());
            }
        }
    }

    #[test]
    fn one_reduction_equals_two_decompositions() {
        let squares = (1..=40).chain([63, 64, 65, 66, 95, 96, 97, 100, 127, 128, 129, 257]).map(|n| (n, n));
        let wide = [(1, 9), (7, 31), (16, 17), (20, 300), (33, 64), (65, 129)];
        for (n, m) in squares.chain(wide).chain(wide.map(|(n, m)| (m, n))) {
            assert_right(&matrix(n, m), 3e-8, "no pattern");
        }
    }

    #[test]
    fn no_rows_or_no_columns_have_no_values() {
        for shape in [(0, 0), (0, 5), (5, 0)] {
            let found = of_f32(Array2::zeros(shape).view(), Engine::Faer, &uninterrupted).unwrap();
            assert!(found.plain.is_empty() && found.centred.is_empty());
        }
    }

    #[test]
    fn matrices_of_every_kind() {
        for n in [5, 33, 64, 100] {
            let causal =
                |i: usize, j: usize| if j <= i { (i as f32 * 0.3 + j as f32).sin().exp() } else { 0.0 };
            let softmax = |of: &dyn Fn(usize, usize) -> f32| {
                let mut a = Array2::from_shape_fn((n, n), |(i, j)| of(i, j));
                for mut row in a.rows_mut() {
                    let sum = row.sum();
                    row /= sum;
                }
                a
            };
            let kinds = [
                ("zero", Array2::zeros((n, n))),
                ("identity", Array2::eye(n)),
                ("rank one", Array2::from_shape_fn((n, n), |(i, j)| (1.0 + i as f32) / (2.0 + j as f32))),
                ("causal", softmax(&causal)),
                ("sink", softmax(&|i, j| if j == 0 { 40.0 } else { causal(i, j) })),
                ("tiny", matrix(n, n).mapv(|x| x * 1e-38)),
                ("huge", matrix(n, n).mapv(|x| x * 1e37)),
                ("a row", Array2::from_shape_fn((n, n), |(i, _)| if i == n / 2 { 1.0 } else { 0.0 })),
            ];
            for (what, a) in kinds {
                assert_right(&a, 1e-7, what);
            }
        }
    }

    /// Singular values over twelve decades, in f32 rounding of their matrix.
    #[test]
    fn a_graded_spectrum_is_right_to_a_share_of_its_largest_value() {
        for n in [40, 100, 130] {
            let basis = |seed: u64| {
                let a = crate::rng::normal(&mut crate::rng::stream(seed, "graded"), n, n).mapv(f64::from);
                crate::linalg::engine::thin_svd(a.view()).unwrap().0
            };
            let sigma = Array2::from_shape_fn((1, n), |(_, i)| 10.0_f64.powf(-12.0 * i as f64 / n as f64));
            let a = (basis(1) * sigma).dot(&basis(2).t()).mapv(|x| x as f32);
            assert_right(&a, 1e-7, "graded");
        }
    }

    /// The eigenvalues of a matrix and of the same without its first row, by QL and by Sturm counts.
    fn by_each(matrix: &Tridiagonal) -> [(Vec<f64>, Vec<f64>); 2] {
        let (rest, alive) = (matrix.without_first(), &uninterrupted);
        let of = |matrix| eigenvalues::of(matrix, alive).unwrap();
        [ql::pair(matrix, &rest, alive).unwrap(), (of(matrix), of(&rest))]
    }

    /// The second-difference matrix has the eigenvalues 2 - 2 cos(pi j / (n + 1)).
    #[test]
    fn second_differences_have_known_eigenvalues() {
        for n in [1_usize, 2, 3, 5, 64, 257] {
            let matrix = Tridiagonal { diagonal: vec![2.0; n], off_diagonal: vec![-1.0; n - 1] };
            for (values, n) in by_each(&matrix).into_iter().flat_map(|(all, rest)| [(all, n), (rest, n - 1)])
            {
                assert_eq!(values.len(), n);
                for (j, value) in values.iter().rev().enumerate() {
                    let angle = std::f64::consts::PI * (j + 1) as f64 / (n + 1) as f64;
                    assert!((value - (2.0 - 2.0 * angle.cos())).abs() < 1e-13, "n {n}, {j}: {value}");
                }
            }
        }
    }

    #[test]
    fn decoupled_zero_and_graded_matrices() {
        let of = |diagonal: &[f64], off_diagonal: &[f64]| {
            by_each(&Tridiagonal { diagonal: diagonal.to_vec(), off_diagonal: off_diagonal.to_vec() })
        };
        for found in of(&[0.0; 4], &[0.0; 3]) {
            assert_eq!(found, (vec![0.0; 4], vec![0.0; 3]));
        }
        for (all, _) in of(&[1e8, 1.0, 1e-8], &[0.0; 2]) {
            assert_eq!(all, [1e8, 1.0, 1e-8]);
        }
        let root = 2.0_f64.sqrt();
        for (all, _) in of(&[0.0; 3], &[1.0; 2]) {
            for (value, expected) in all.iter().zip([root, 0.0, -root]) {
                assert!((value - expected).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_an_error() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (n, at) in [(1, (0, 0)), (2, (1, 0)), (40, (0, 7)), (70, (69, 69))] {
                let mut a = matrix(n, n);
                a[at] = odd;
                assert!(of_f32(a.view(), Engine::Faer, &uninterrupted).is_err(), "{odd} of {n}");
            }
        }
    }

    #[test]
    fn an_error_of_the_caller_ends_the_work_wherever_it_is() {
        let a = matrix(700, 700);
        for calls in [1, 4, 30] {
            let left = std::cell::Cell::new(calls);
            let stop = || match left.replace(left.get() - 1) {
                1 => Err(crate::error::Error::Interrupted),
                _ => Ok(()),
            };
            let found = of_f32(a.view(), Engine::Faer, &stop);
            assert!(matches!(found, Err(crate::error::Error::Interrupted)), "{calls}");
            assert_eq!(left.get(), 0, "no work after the error");
        }
    }

    /// Whatever the mean row is, the centred values are right to a share of their own largest.
    #[test]
    fn centred_values_of_nearly_mean_matrices_are_right_relative_to_the_largest_of_them() {
        for (n, m) in [(36, 36), (36, 50), (50, 36), (129, 129), (140, 129)] {
            let noise = crate::rng::normal(&mut crate::rng::stream(5, "mean"), n, m).mapv(f64::from);
            let of = |entry: &dyn Fn(usize, f64) -> f64| {
                Array2::from_shape_fn((n, m), |(i, j)| entry(j, noise[[i, j]]))
            };
            let softmax = |scale: f64| {
                let a = of(&|_, x| (scale * x).exp());
                &a / &a.sum_axis(Axis(1)).insert_axis(Axis(1))
            };
            let product =
                Array2::from_shape_fn((n, m), |(i, j)| 1.0 + 1e-7 * (i as f64).sin() * (j as f64).cos());
            let kinds = [
                ("softmax", softmax(0.1)),
                ("even softmax", softmax(1e-3)),
                ("mean row and noise", of(&|j, x| 1.0 / (2.0 + j as f64) + 1e-5 * x)),
                ("mean row and less noise", of(&|j, x| 1.0 / (2.0 + j as f64) + 1e-9 * x)),
                ("mean row and hardly any noise", of(&|j, x| 1.0 / (2.0 + j as f64) + 1e-13 * x)),
                ("mean row only", of(&|j, _| 1.0 / (2.0 + j as f64))),
                ("sink", of(&|j, x| if j == 0 { 1.0 + 1e-5 * x } else { 1e-5 * x.exp() })),
                ("a mean row and one other dimension", product),
            ];
            for (what, a) in kinds {
                let fast = of_gram(a.view(), Rounding::default(), &uninterrupted).unwrap();
                assert_near(&fast, &a, 5e-8, what);
                let a = a.mapv(|x| x as f32);
                let fast = of_f32(a.view(), Engine::Faer, &uninterrupted).unwrap();
                assert_near(&fast, &a.mapv(f64::from), 5e-8, what);
            }
        }
    }
}
