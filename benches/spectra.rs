//! The plain and the centred spectrum of attention matrices, by every method considered:
//! `cargo bench --features bench --bench spectra`.
//!
//! TABLE

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
