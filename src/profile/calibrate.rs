//! The rates of matrix products and of memory on this machine, beside which other rates are read.

use ndarray::Array2;
use rayon::prelude::*;

use super::clock::timed;
use crate::linalg::gemm::{Real, Threads, product_into};

/// A rate of work, over several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// GFLOP/s of the fastest round.
    pub best: f64,
    /// GFLOP/s of the median round.
    pub median: f64,
}

/// The four rates of [`gemm`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gemm {
    /// Rows and columns of the matrices.
    pub n: usize,
    /// f32 on one thread.
    pub f32_one: Rate,
    /// f32 on every thread.
    pub f32_all: Rate,
    /// f64 on one thread.
    pub f64_one: Rate,
    /// f64 on every thread.
    pub f64_all: Rate,
}

/// Measures products of square matrices in both precisions, on one thread and on all.
pub fn gemm(n: usize, rounds: usize) -> Gemm {
    Gemm {
        n,
        f32_one: rate::<f32>(n, rounds, Threads::One),
        f32_all: rate::<f32>(n, rounds, Threads::All),
        f64_one: rate::<f64>(n, rounds, Threads::One),
        f64_all: rate::<f64>(n, rounds, Threads::All),
    }
}

/// GFLOP/s of `n` x `n` products, of which each takes 2 n^3 FLOPs.
///
/// # Panics
/// If `n` or `rounds` is 0.
pub fn rate<T: Real>(n: usize, rounds: usize, threads: Threads) -> Rate {
    assert!(n > 0 && rounds > 0, "a rate needs work");
    let mut product = Product::<T>::new(n);
    let mut seconds = || timed(|| product.run(threads)).1;
    // Fills caches, starts threads, and waits until the clock of an idle processor has risen.
    let mut warm = seconds();
    while warm < 0.05 {
        warm += seconds().max(1e-6);
    }
    let mut times: Vec<f64> = (0..rounds).map(|_| seconds()).collect();
    times.sort_by(f64::total_cmp);
    let gflops = |seconds: f64| product.flops() / seconds.max(1e-9) / 1e9;
    Rate { best: gflops(times[0]), median: gflops(times[rounds / 2]) }
}

/// One square product, to be timed: 2 n^3 FLOPs.
#[derive(Debug)]
pub struct Product<T> {
    a: Array2<T>,
    b: Array2<T>,
    c: Array2<T>,
}

impl<T: Real> Product<T> {
    /// Of two n x n matrices.
    pub fn new(n: usize) -> Self {
        // Bounded values that are no powers of two: nothing overflows, and nothing is faster than with real data.
        let filled = |step: usize| {
            Array2::from_shape_fn((n, n), |(i, j)| {
                T::from((i * 31 + j * step) % 97).map_or(T::one(), |value| value / (T::one() + T::one()))
            })
        };
        Self { a: filled(17), b: filled(29), c: Array2::zeros((n, n)) }
    }

    /// Multiplies.
    pub fn run(&mut self, threads: Threads) {
        product_into(self.c.view_mut(), T::zero(), self.a.view(), self.b.view(), T::one(), threads);
    }

    /// FLOPs of one run.
    pub fn flops(&self) -> f64 {
        2.0 * (self.a.nrows() as f64).powi(3)
    }
}

/// `x = y + factor z` over arrays far larger than any cache, on every thread of the pool: the memory bandwidth (the triad of
/// `McCalpin`'s STREAM).
#[derive(Debug)]
pub struct Triad {
    x: Vec<f32>,
    y: Vec<f32>,
    z: Vec<f32>,
}

impl Triad {
    /// Three arrays of so many elements.
    pub fn new(elements: usize) -> Self {
        Self { x: vec![0.0; elements], y: vec![1.0; elements], z: vec![0.5; elements] }
    }

    /// Computes it once.
    pub fn run(&mut self) {
        const PIECE: usize = 1 << 16;
        let pieces = self.x.par_chunks_mut(PIECE).zip(self.y.par_chunks(PIECE)).zip(self.z.par_chunks(PIECE));
        pieces.for_each(|((x, y), z)| {
            for ((x, y), z) in x.iter_mut().zip(y).zip(z) {
                *x = y + 3.0 * z;
            }
        });
    }

    /// Bytes of one run as STREAM counts them: two arrays read and one written.
    pub fn bytes(&self) -> f64 {
        (3 * size_of::<f32>() * self.x.len()) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_triad_adds() {
        let mut triad = Triad::new(100_000);
        triad.run();
        assert!(triad.x.iter().all(|x| *x == 2.5));
        assert_eq!(triad.bytes(), 1.2e6);
    }

    #[test]
    fn rates_are_ordered_and_positive() {
        let gemm = gemm(64, 3);
        for rate in [gemm.f32_one, gemm.f32_all, gemm.f64_one, gemm.f64_all] {
            assert!(rate.best >= rate.median && rate.median > 0.0, "{rate:?}");
        }
    }
}
