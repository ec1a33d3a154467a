//! Fused forward passes, 8 heads of 64, f32, one call of each kernel over all heads on the current pool.
//!
//! Beside torch 2.15 on 2 threads of the same machine (Xeon with AVX-512; luna with K = V as there), medians of one run
//! each way on a shared machine: a first look and no ratio of paired runs.
//!
//! | | n | ours, ms | torch, ms | GFLOP/s, ours |
//! |---|---|---|---|---|
//! | softmax (torch: its fused kernel) | 1024 | 6.2 | 16.0 | 349 |
//! | softmax | 4096 | 102 | 240 | 336 |
//! | softmax | 8192 | 405 | 503 | 339 |
//! | luna l=16 | 4096 | 1.6 | 14.7 | 165 |
//! | luna l=16 | 8192 | 3.1 | 5.1 | 171 |
//! | luna l=128 | 4096 | 6.8 | 72.0 | 317 |
//! | luna l=128 | 8192 | 13.2 | 71.8 | 326 |
//! | linformer l=16 | 8192 | 3.3 | 4.1 | 165 |
//! | linformer l=128 | 8192 | 14.6 | 42.8 | 294 |
//! | linear | 8192 | 5.5 | 38.4 | 194 |
#![allow(missing_docs)] // criterion's macros

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use luna::attention::Mask;
use luna::attention::fused::{self, Given, Heads, Path};
use luna::rng::{normal, stream};
use ndarray::Array3;

const HEADS: usize = 8;
const WIDTH: usize = 64;

fn heads(label: &str, n: usize) -> Array3<f32> {
    let flat = normal(&mut stream(0, label), HEADS * n, WIDTH);
    flat.into_shape_with_order((HEADS, n, WIDTH)).expect("as many numbers")
}

fn kernels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fused");
    for n in [1024, 4096] {
        let (q, k, v) = (heads("q", n), heads("k", n), heads("v", n));
        let given = Heads::new(q.view(), k.view(), v.view(), Mask::Full);
        let mut out = Array3::zeros((HEADS, n, WIDTH));
        for l in [16, 128] {
            let p = heads("p", l);
            let e = normal(&mut stream(0, "e"), l, n) / (n as f32).sqrt();
            for (name, pieces) in [
                ("luna", Given::Luna { p: p.view() }),
                ("linformer", Given::Linformer { e: e.view(), f: e.view() }),
            ] {
                let fused = fused::find(name).expect("a fused form");
                group.bench_function(BenchmarkId::new(format!("{name} l={l}"), n), |bencher| {
                    bencher
                        .iter(|| fused.forward_by(Path::Widest, black_box(&given), &pieces, out.view_mut()));
                });
            }
        }
        for name in ["softmax", "linear"] {
            let fused = fused::find(name).expect("a fused form");
            group.bench_function(BenchmarkId::new(name, n), |bencher| {
                bencher.iter(|| {
                    fused.forward_by(Path::Widest, black_box(&given), &Given::Nothing, out.view_mut())
                });
            });
        }
    }
}

criterion_group! {
    name = attention;
    config = Criterion::default().sample_size(10);
    targets = kernels
}
criterion_main!(attention);
