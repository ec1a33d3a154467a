//! A symmetric matrix as `Q T Q^T` with `T` tridiagonal, in two stages, where `Q` leaves `e_1` alone.
//!
//! So projecting `e_1` out of the matrix is deleting the first row and column of `T` (see [`super::spectra`]).

use super::gemm::Threads;
use super::tridiagonal::Tridiagonal;
use super::{band, chase};
use crate::error::Result;

/// From this order on, a band twice as wide pays: the first stage then waits for memory.
const WIDE: usize = 1024;

/// Reduces the symmetric matrix of which what is on and above the diagonal is in `a` (n, n), row-major. `a` is overwritten.
///
/// `alive` is called for every panel and every few sweeps.
pub(super) fn tridiagonal(
    a: &mut [f64],
    n: usize,
    threads: Threads,
    alive: &dyn Fn() -> Result<()>,
) -> Result<Tridiagonal> {
    if n < WIDE {
        chase::tridiagonal(band::reduce::<16>(a, n, threads, alive)?, alive)
    } else {
        chase::tridiagonal(band::reduce::<32>(a, n, threads, alive)?, alive)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;
    use crate::linalg::band::Band;
    use crate::linalg::engine::symmetric_eigenvalues;
    use crate::linalg::gram::{self, Less};
    use crate::rng::{normal, stream};

    fn symmetric(n: usize) -> Array2<f64> {
        let a = normal(&mut stream(n as u64, "symmetric"), n, n).mapv(f64::from);
        &a + &a.t()
    }

    /// The same eigenvalues, whole and without the first row and column.
    fn assert_same(found: &Array2<f64>, a: &Array2<f64>) {
        let n = a.nrows();
        for first in [0, 1] {
            let values = |a: &Array2<f64>| symmetric_eigenvalues(a.slice(s![first.., first..])).unwrap();
            for (x, y) in values(found).iter().zip(values(a)) {
                assert!((x - y).abs() <= 1e-14 * n as f64, "n {n}, from {first}: {x} {y}");
            }
        }
    }

    fn check<const B: usize>(n: usize) {
        let a = symmetric(n);
        let mut work = a.clone().into_raw_vec_and_offset().0;
        let found: Band<B> = band::reduce(&mut work, n, Threads::One, &|| Ok(())).unwrap();
        let dense = |found: &Band<B>, reach: usize| {
            let entry = |(i, j): (usize, usize)| match i.abs_diff(j) {
                apart if apart <= reach => found.data[Band::<B>::at(i, j)],
                _ => 0.0,
            };
            Array2::from_shape_fn((n, n), entry)
        };
        assert_same(&dense(&found, B), &a);
        let entries = found.data.iter().filter(|x| **x != 0.0).count();
        let within = (0..n * n).filter(|at| (at / n).abs_diff(at % n) <= B).count();
        assert!(entries <= within, "n {n}: {entries} entries in a band of {within}");
        let t = chase::tridiagonal(found, &|| Ok(())).unwrap();
        let entry = |(i, j): (usize, usize)| match i.abs_diff(j) {
            0 => t.diagonal[i],
            1 => t.off_diagonal[i.min(j)],
            _ => 0.0,
        };
        assert_same(&Array2::from_shape_fn((n, n), entry), &a);
    }

    #[test]
    fn both_stages_keep_the_spectra_of_a_dense_matrix() {
        for n in (1..20).chain([31, 32, 33, 34, 47, 48, 49, 50, 63, 64, 65, 66, 97, 130]) {
            check::<16>(n);
            check::<32>(n);
        }
    }

    #[test]
    fn one_thread_and_several_give_the_same_bits() {
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (two, three) = (pool(2), pool(3));
        for (n, m) in [(127, 131), (700, 650), (1029, 1100), (1600, 1600)] {
            let a = normal(&mut stream(3, "threads"), n, m);
            let (zeros, ones, mean) = (vec![0.0; n], vec![1.0; n], gram::mean_row(a.view()));
            let of = |threads| {
                let mut work = gram::Work::default();
                let of = Less { a: a.view(), rows: &zeros, first: &ones, columns: &mean };
                gram::reflected(of, &mut work, threads, &|| Ok(())).unwrap();
                let t = tridiagonal(&mut work.gram, n, threads, &|| Ok(())).unwrap();
                [t.diagonal, t.off_diagonal].concat()
            };
            let one = of(Threads::One);
            assert_eq!(one, two.install(|| of(Threads::All)), "{n} x {m}");
            assert_eq!(one, three.install(|| of(Threads::All)), "{n} x {m}");
        }
    }

    #[test]
    fn an_error_of_the_caller_ends_either_stage() {
        let n = 200;
        for calls in [1, 5, 13, 20, 30] {
            let left = std::cell::Cell::new(calls);
            let stop = || match left.replace(left.get() - 1) {
                1 => Err(crate::error::Error::Interrupted),
                _ => Ok(()),
            };
            let mut a = symmetric(n).into_raw_vec_and_offset().0;
            assert!(tridiagonal(&mut a, n, Threads::One, &stop).is_err(), "{calls}");
            assert_eq!(left.get(), 0, "no work after the error");
        }
    }
}
