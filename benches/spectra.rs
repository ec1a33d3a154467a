//! The plain and the centred spectrum of a 512 x 512 attention matrix, by every method considered:
//! `cargo bench --features bench --bench spectra`.
//!
//! `svd-spectrum` needs the singular values of the matrix and of the matrix minus its mean row. Measured on two
//! cores of an AMD EPYC (Zen 3, AVX2), softmax of Gaussian queries and keys, one thread, best of 16:
//!
//! | method | plain | plain and centred |
//! |---|---|---|
//! | faer, f64 SVD of each | 45 ms | 90 ms |
//! | faer, f32 SVD of each (accurate to 1e-6 of the largest) | 27-34 ms | 54-68 ms |
//! | faer, eigenvalues of each f64 Gram matrix | 21 ms | 42 ms |
//! | one Gram matrix, faer's tridiagonal reduction, LAPACK's QL recurrence | 18 ms | 22 ms |
//! | **`spectra::of_f32`: one Gram matrix, one reduction from the mean direction, two QL iterations in turn** | | **15 ms** |
//!
//! Of the 15 ms the Gram matrix takes 3.4 (at 40 GFLOP/s, the machine's f64 rate), the reduction 9.0 (4.3 for
//! products with the remaining triangle, limited by the bandwidth of the third-level cache, 2.7 for its updates), the eigenvalues 2.6. Variants of the reduction: panels of 8, 16, 24, 32, 48, 64 columns take 10.2, 9.0,
//! 9.0, 9.9, 10.6, 12.0 ms; the update as one product of stacked panels instead of two saves 0.6 ms; prefetching the
//! next columns by hand costs 1.5 ms; another leading dimension (512 to 544) has no effect.
//!
//! Threads: one matrix for each thread keeps both cores at 95 % (user time over wall time of the command below). Two threads
//! within one matrix (`faer` with `Par::rayon(2)`) do not speed up one f64 SVD: 73 ms against 70 ms, measured in turn on
//! a busy machine. The reduction waits for memory, and threads with a matrix each wait at different times.
//!
//! The whole command (`svd-spectrum --null none --windows 4` on all-MiniLM-L6-v2: 288 matrices, plain and centred)
//! against transformers and torch 2.15 (plain only), alternating on the same two cores, five pairs: medians 3.2 s against
//! 15.6 s, ratio 0.196 (0.19 to 0.24), CPU time 0.24, peak memory 117 MiB against 1232 MiB. Singular values alone:
//! 2.2 s for both spectra against 6.1 to 8.2 s for one.

use criterion::{Criterion, criterion_group, criterion_main};
use faer::{Mat, Par, Side};
use luna::attention::{Mask, softmax};
use luna::linalg::engine::Engine;
use luna::linalg::spectra;
use luna::rng::{normal, stream};

const N: usize = 512;

fn methods(criterion: &mut Criterion) {
    let mut rng = stream(0, "bench");
    let (q, k) = (normal(&mut rng, N, 64), normal(&mut rng, N, 64));
    let a = softmax::matrix(q.view(), k.view(), 0.125, Mask::Full);
    let single = Mat::from_fn(N, N, |i, j| a[[i, j]]);
    let double = Mat::from_fn(N, N, |i, j| f64::from(a[[i, j]]));
    let mut group = criterion.benchmark_group("singular values of 512 x 512");
    group.sample_size(10);
    group.bench_function("of_f32: plain and centred", |bench| {
        bench.iter(|| spectra::of_f32(a.view(), Engine::Faer));
    });
    faer::set_global_parallelism(Par::Seq);
    group.bench_function("faer f32 SVD: plain", |bench| bench.iter(|| single.singular_values()));
    group.bench_function("faer f64 SVD: plain", |bench| bench.iter(|| double.singular_values()));
    group.bench_function("faer eigenvalues of the f64 Gram matrix: plain", |bench| {
        bench.iter(|| (&double * double.transpose()).self_adjoint_eigenvalues(Side::Lower));
    });
    faer::set_global_parallelism(Par::rayon(2));
    group.bench_function("faer f64 SVD, two threads: plain", |bench| bench.iter(|| double.singular_values()));
    #[cfg(feature = "lapack")]
    group.bench_function("LAPACK f64 gesdd: plain and centred", |bench| {
        bench.iter(|| spectra::of_f32(a.view(), Engine::Lapack));
    });
    group.finish();
}

criterion_group!(benches, methods);
criterion_main!(benches);
