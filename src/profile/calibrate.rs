//! How fast this machine multiplies matrices: the yardstick beside which every other rate is read.

use ndarray::Array2;

use super::clock::timed;
use crate::linalg::gemm::{Real, Threads, product_into};

/// A rate of work, over several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// GFLOP/s of the fastest round: what the machine can do when nothing disturbs it.
    pub best: f64,
    /// GFLOP/s of the middle round: what it does.
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
    // Bounded values that are no powers of two: nothing overflows, and nothing is faster than true data.
    let filled = |step: usize| {
        Array2::from_shape_fn((n, n), |(i, j)| {
            T::from((i * 31 + j * step) % 97).map_or(T::one(), |value| value / (T::one() + T::one()))
        })
    };
    let (a, b) = (filled(17), filled(29));
    let mut c = Array2::zeros((n, n));
    let mut seconds =
        || timed(|| product_into(c.view_mut(), T::zero(), a.view(), b.view(), T::one(), threads)).1;
    // Once for the caches and the thread pool, and as long as the clock of an idle processor takes to rise.
    let mut warm = seconds();
    while warm < 0.05 {
        warm += seconds().max(1e-6);
    }
    let mut times: Vec<f64> = (0..rounds).map(|_| seconds()).collect();
    times.sort_by(f64::total_cmp);
    let flops = 2.0 * (n as f64).powi(3);
    let gflops = |seconds: f64| flops / seconds.max(1e-9) / 1e9;
    Rate { best: gflops(times[0]), median: gflops(times[rounds / 2]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_ordered_and_positive() {
        let gemm = gemm(64, 3);
        for rate in [gemm.f32_one, gemm.f32_all, gemm.f64_one, gemm.f64_all] {
            assert!(rate.best >= rate.median && rate.median > 0.0, "{rate:?}");
        }
    }
}
