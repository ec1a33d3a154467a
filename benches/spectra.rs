//! The plain and the centred spectrum of attention matrices, by every method considered:
//! `cargo bench --features bench --bench spectra`.
//!
//! `svd-spectrum` needs the singular values of the matrix and of the matrix minus its mean row. Measured on two cores of an Intel
//! Xeon (Emerald Rapids, AVX-512, 2 MiB second-level cache), softmax of Gaussian queries and keys, one thread, the methods in turn
//! in one process while other work used the cores: medians of the ratios of times to `spectra::of_f32`, over 7 rounds.
//!
//! | method | values | n = 512 | n = 1024 |
//! |---|---|---|---|
//! | **`spectra::of_f32`: one Gram matrix, one reduction in two stages, roots of two polynomials** | plain, centred | 1 | 1 |
//! | before: reduction in one stage in panels of 20 columns, two QL iterations in turn | plain, centred | 1.5 to 1.8 | 1.7 to 2.0 |
//! | faer 0.24, f32 SVD (accurate to 1e-6 of the largest) | plain | 2.1 | 2.4 |
//! | faer 0.24, eigenvalues of the f64 Gram matrix | plain | 2.1 | 2.4 |
//! | `OpenBLAS`, `dsyrk` and `dsyevd` without vectors | plain | 2.5 | 3.2 |
//! | `OpenBLAS`, `dsyrk` and `dsytrd_2stage`, before any eigenvalue | none | 2.6 | 2.7 |
//! | faer 0.24, f64 SVD | plain | 3.3 | 4.2 |
//! | `OpenBLAS`, `dgesdd` without vectors | plain | 3.6 | 5.3 |
//!
//! The way before takes 1.95 times as long at n = 2048 (1.54 to 2.32, five pairs) and 1.84 at n = 4096 (two pairs); with a
//! matrix on each of two threads 1.6 (n = 512), 1.5 to 1.7 (1024) and 1.83 (2048, three pairs) times. `NumPy`'s Gram matrix with
//! `eigvalsh` (plain only, one thread) takes 1.24 s at n = 2048 where this takes 0.70 s for both spectra. Other work took most of
//! the two cores: all times here are about twice those of an idle machine, and ratios vary by a fifth.
//!
//! Parts in ms, before and now in turn in one process (at n = 512 and 2048, and 4096):
//!
//! | part | before | width 16 | width 32 |
//! |---|---|---|---|
//! | Gram matrix | 7.0, 229, 2297 | 4.3, 288, 2616 | 4.2, 264, 2379 |
//! | symmetric to band (before: to tridiagonal) | 17.6, 998, 8768 | 6.9, 374, 3635 | 7.2, 336, 3326 |
//! | band to tridiagonal | | 2.4, 41, 207 | 5.5, 69, 344 |
//! | eigenvalues of both | 5.0, 60, 229 | 2.4, 26, 95 | 2.5, 26, 104 |
//!
//! - Of the first stage at n = 512 and width 16, on the less busy machine: `A V` 1.6 ms, update 1.5, QR 0.3, the rest 1.1, of which
//!   own products instead of faer's small ones and one copy less saved about a half. Width 32: 1.3, 1.3, 0.7, 1.6.
//! - faer's products instead of own tiles: `A V` for 16 columns at 27 GFLOP/s and for 32 at 41, where both sides of a square in the
//!   cache are at 47 and 68; its Gram matrix at 50 GFLOP/s at n = 512 where the own tiles are at 74, and in blocks of 32 to 256
//!   columns it is slower. From n = 2048 on the Gram matrix is no faster than before.
//! - Sums over all rows of a panel in one chain lose two digits where few rows are large (a matrix with one row that is not
//!   zero): 1e-13 of the largest eigenvalue instead of 4e-15, hence sums of 16 terms.
//! - Memory for the Gram matrix that is used again: 2 ms less at n = 512, where pages are new each time.
//! - QL iterations that take couplings below the rounding of the matrix for zero: 8 % less. Sturm counts and interpolation: half the
//!   time of QL from n = 512 on; equal at 128, and six times that of QL at n = 8, where QL stayed.
//! - An f32 bidiagonalisation of A is too inexact, whatever it takes: `torch.linalg.svdvals` in f32 is off by 1.5e-7 to 1.8e-6 of the
//!   largest value, centred by 3e-7 to 2.4e-6, at n = 512 to 2048 on drawn, peaked and causal heads; the rounding of the
//!   entries themselves is 3e-8. (`numpy.linalg.svd` of f32 input computes in f64.)
//! - Threads within a matrix, for a caller outside the pool (the study's only cell): the update of rank `2 B` and the Gram matrix by
//!   rows, `A V` in one part for each 512 rows with sums of its own, the same on any number of threads. With two threads on two
//!   processors that share a core, medians: n = 2048 0.60 s for 0.70 (five pairs), 4096 3.8 s for 4.6 (three pairs), and at 1024
//!   nothing; there, two threads with a matrix each gain 1.25. The panel, the chase and the eigenvalues stay on one thread.
//! - Not tried: vectors of the chase that begin at whole cache lines.
//!
//! Accuracy: eigenvalues of the Gram matrix within 4e-15 of the largest of those of the way before, at n = 64 to 4096.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use faer::{Mat, Par, Side};
use luna::attention::{Mask, softmax};
use luna::linalg::engine::Engine;
use luna::linalg::spectra::{self, uninterrupted};
use luna::rng::{normal, stream};

fn methods(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("singular values");
    group.sample_size(10);
    for n in [64, 512, 1024, 2048] {
        let mut rng = stream(0, "bench");
        let (q, k) = (normal(&mut rng, n, 64), normal(&mut rng, n, 64));
        let a = softmax::matrix(q.view(), k.view(), 0.125, Mask::Full);
        let single = Mat::from_fn(n, n, |i, j| a[[i, j]]);
        let double = Mat::from_fn(n, n, |i, j| f64::from(a[[i, j]]));
        let id = |what: &str| BenchmarkId::new(what, n);
        group.bench_function(id("of_f32: plain and centred"), |bench| {
            bench.iter(|| spectra::of_f32(a.view(), Engine::Faer, &uninterrupted));
        });
        faer::set_global_parallelism(Par::Seq);
        group.bench_function(id("faer eigenvalues of the f64 Gram matrix: plain"), |bench| {
            bench.iter(|| (&double * double.transpose()).self_adjoint_eigenvalues(Side::Lower));
        });
        #[cfg(feature = "lapack")]
        group.bench_function(id("LAPACK eigenvalues of the f64 Gram matrix: plain"), |bench| {
            use ndarray_linalg::{EigValsh, UPLO};
            let a = a.mapv(f64::from);
            bench.iter(|| a.dot(&a.t()).eigvalsh(UPLO::Lower));
        });
        if n > 1024 {
            continue; // seconds each
        }
        group.bench_function(id("faer f32 SVD: plain"), |bench| bench.iter(|| single.singular_values()));
        group.bench_function(id("faer f64 SVD: plain"), |bench| bench.iter(|| double.singular_values()));
        #[cfg(feature = "lapack")]
        group.bench_function(id("LAPACK f64 gesdd: plain and centred"), |bench| {
            bench.iter(|| spectra::of_f32(a.view(), Engine::Lapack, &uninterrupted));
        });
    }
    group.finish();
}

criterion_group!(benches, methods);
criterion_main!(benches);
