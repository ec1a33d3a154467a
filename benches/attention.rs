//! Fused forward passes beside their reference implementations; `benches/peers` times them beside torch.
//!
//! With AVX-512, beside torch 2.15 on 2 threads of a Xeon by `benches/peers/attention.py --rounds 3`: medians, and the
//! median of the rounds' ratios with the smallest and the largest. 8 heads of 64 in f32, Luna with its keys as values.
//! torch's own product of 1024 x 1024 matrices reached 354 GFLOP/s on this machine: exact attention is at five sixths
//! of that here, torch's fused kernel at seven tenths, and nothing could be 1.8 times as fast as the latter. With l = 16
//! queries and keys are read and the output is written for 4 FLOPs a byte or so: at n = 8192 Luna's pass moves some 64
//! MB through memory in 3.3 ms.
//!
//! | | n | torch, ms | ours, ms | torch / ours | GFLOP/s, ours |
//! |---|---|---|---|---|---|
//! | softmax (torch: its fused kernel) | 1024 | 8.68 | 7.26 | 1.20 (1.18-1.21) | 296 |
//! | softmax | 4096 | 135 | 116 | 1.19 (1.16-1.26) | 296 |
//! | softmax | 8192 | 562 | 477 | 1.19 (1.08-1.22) | 288 |
//! | luna l=16 | 4096 | 2.35 | 1.64 | 1.42 (1.38-1.45) | 163 |
//! | luna l=16 | 8192 | 5.31 | 3.31 | 1.62 (1.57-1.75) | 162 |
//! | luna l=128 | 4096 | 19.7 | 7.45 | 2.65 (2.53-2.93) | 288 |
//! | luna l=128 | 8192 | 79.1 | 14.9 | 5.21 (5.20-5.30) | 288 |
//! | linformer l=16 | 4096 | 1.84 | 1.65 | 1.09 (1.09-1.13) | 163 |
//! | linformer l=16 | 8192 | 4.91 | 3.78 | 1.33 (1.28-1.38) | 142 |
//! | linformer l=128 | 4096 | 10.6 | 7.72 | 1.40 (1.33-1.68) | 278 |
//! | linformer l=128 | 8192 | 44.8 | 16.5 | 2.71 (2.57-3.03) | 260 |
//! | linear | 4096 | 9.57 | 2.77 | 3.45 (3.32-7.24) | 194 |
//! | linear | 8192 | 19.4 | 6.05 | 3.08 (3.06-3.22) | 177 |
//!
//! The same on an EPYC (Zen 4: AVX-512 by halves) whose two threads share a core, with torch's product of 1024 x 1024
//! matrices at 197 GFLOP/s: exact attention here reaches that product's rate, Luna with l = 128 nine tenths of it. Three
//! times torch's speed for Luna with l = 16 would be 1.3 and 2.9 ms, which is what its products alone take at that rate (1.4
//! and 2.7 ms), with no memory to read and no exponential.
//!
//! | | n | torch, ms | ours, ms | torch / ours | GFLOP/s, ours |
//! |---|---|---|---|---|---|
//! | softmax (torch: its fused kernel) | 1024 | 13.3 | 11.2 | 1.21 (1.17-1.26) | 191 |
//! | softmax | 4096 | 213 | 172 | 1.25 (1.23-1.27) | 200 |
//! | softmax | 8192 | 864 | 683 | 1.27 (1.27-1.28) | 201 |
//! | softmax, causal | 8192 | 476 | 355 | 1.36 (1.34-1.41) | 194 |
//! | luna l=16 | 4096 | 4.01 | 2.12 | 1.99 (1.74-2.04) | 126 |
//! | luna l=16 | 8192 | 8.79 | 6.18 | 1.42 (1.37-1.82) | 87 |
//! | luna l=128 | 4096 | 29.9 | 12.2 | 2.45 (2.36-4.11) | 176 |
//! | luna l=128 | 8192 | 103 | 23.6 | 4.36 (4.24-5.00) | 182 |
//! | linformer l=16 | 8192 | 8.12 | 5.44 | 1.56 (1.44-1.60) | 99 |
//! | linformer l=128 | 8192 | 60.8 | 22.6 | 2.76 (2.65-2.84) | 190 |
//! | linear | 4096 | 12.6 | 4.16 | 3.18 (2.99-6.11) | 129 |
//! | linear | 8192 | 24.1 | 7.90 | 2.70 (2.67-3.68) | 136 |
//!
//! # Without AVX-512
//! Beside torch 2.15 on 2 threads of an EPYC (Zen 3: AVX2) by `benches/peers/attention.py --rounds 5`: medians, and the
//! median of the five rounds' ratios with the smallest and the largest. The machine's own product of 1024 x 1024 matrices
//! reached 163 GFLOP/s in another run of the same hour: softmax and l = 128 are within a tenth or two of that, torch's
//! softmax as well, and no kernel could be 1.8 times as fast as that there.
//!
//! | | n | torch, ms | ours, ms | torch / ours | GFLOP/s, ours |
//! |---|---|---|---|---|---|
//! | softmax (torch: its fused kernel) | 1024 | 15.5 | 16.7 | 0.93 (0.61-1.10) | 129 |
//! | softmax | 4096 | 244 | 218 | 1.12 (1.11-1.15) | 157 |
//! | softmax | 8192 | 991 | 869 | 1.14 (1.12-1.16) | 158 |
//! | softmax, causal | 8192 | 522 | 436 | 1.19 (1.16-1.22) | 158 |
//! | luna l=16 | 4096 | 4.33 | 2.36 | 1.82 (1.75-1.91) | 114 |
//! | luna l=16 | 8192 | 8.80 | 5.01 | 1.74 (1.73-1.86) | 107 |
//! | luna l=128 | 4096 | 32.7 | 15.2 | 2.09 (1.63-3.94) | 141 |
//! | luna l=128 | 8192 | 124 | 28.8 | 4.32 (4.25-5.97) | 149 |
//! | linformer l=16 | 8192 | 7.41 | 5.86 | 1.25 (1.24-1.30) | 92 |
//! | linformer l=128 | 8192 | 76.0 | 29.2 | 2.61 (2.55-2.67) | 147 |
//! | linear | 8192 | 31.4 | 10.2 | 3.13 (2.79-6.30) | 105 |
//!
//! Windows of l = 16 and 128 keys took 7.4 and 14.0 ms at n = 4096 by blocks of 64 queries, 5.1 and 14.7 by blocks of 16
//! and 32 (two sweeps, not paired).
//!
//! What was tried for 8 lanes, on one thread of an EPYC (Zen 3: AVX2, 32 KiB of first cache; its multipliers reach 103
//! GFLOP/s, the passes of l = 128 and softmax 70 to 76 with their exponentials), 8 heads of 64 at n = 4096 (softmax:
//! 1024). Ratios are of CPU time, before over after: the second binary beside the first in turn, five times, or both
//! ways in one process; medians of tenth percentiles. Codegen alone moves a cell by 2 in 100 and more.
//!
//! | idea | luna 16 | luna 128 | linformer 16 | linformer 128 | linear | performer 64 | softmax | kept |
//! |---|---|---|---|---|---|---|---|---|
//! | one bounds check a product, not one a turn; whole tiles written without asking row by row | 0.98 | 1.00 | 0.88 | 0.98 | 1.08 | 1.03 | 1.01 | yes |
//! | and: Linformer's E six rows at a time through all panels (rows of a power of two share sets), 64 keys a tile | | | 1.21 | 1.04 | | | | yes |
//! | both together | 0.99 | | 1.06 | 1.02 | 1.13 | | | |
//! | registers of 4 x 3 in place of 6 x 2 (4 x 2 for sums by features) | | | 0.87 | | 0.83 | 0.87 | 0.64 | no |
//! | registers of 8 x 1 for l = 16 | 0.49 | | | | | | | no |
//! | registers of 4 x 2 where 6 divides no row count | | | 1.01 | 0.97 | | | | no |
//! | softmax's blocks of 48 or 96 queries (4 x 3) in place of 64 | | | | | | | 0.64 | no |
//! | tiles of 60, 48 or 36 keys in place of 96 | 1.00 to 1.02 | 1.00 | | | | | 0.98 to 1.00 | no |
//! | unpacking 24 or 12 queries at a time in place of 48 | 0.98 | 1.00 to 1.01 | | 1.02 | | | | no |
//! | an odd number of cache lines from row to row of the packed keys and values | 0.90 | 0.99 | | 0.98 | | | | no |
//!
//! Where the time of luna l = 16 goes (samples by line): 75 in 100 in the multiply-adds of the four products, 10 in
//! writing the output, 5 in softmax over the packed rows.
#![allow(clippy::print_stdout)] // one cell is a line for another program

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::Criterion;
use luna::attention::{ALL, Arrays, Attention, Heads, Input, Learned, Mask, Origin, Path, fused};
use luna::linalg::softmax::softmax_rows;
use luna::profile::clock::{Stopwatch, timed};
use luna::rng::{normal, stream};
use ndarray::{Array2, Array3, Axis};

const HEADS: usize = 8;
const WIDTH: usize = 64;

/// Queries, keys, values and learned arrays, the same on every run.
struct Sample {
    q: Array3<f32>,
    k: Array3<f32>,
    v: Array3<f32>,
    p: Array3<f32>,
    e: Array2<f32>,
    w: Array2<f32>,
    l: usize,
}

impl Sample {
    fn new(n: usize, l: usize) -> Self {
        let mut rng = stream(0, "bench");
        let mut cube = |rows: usize| {
            let flat = normal(&mut rng, HEADS * rows, WIDTH);
            flat.into_shape_with_order((HEADS, rows, WIDTH)).expect("as many numbers")
        };
        let (q, k, v, p) = (cube(n), cube(n), cube(n), cube(l));
        let e = normal(&mut rng, l, n) / (n as f32).sqrt();
        let w = normal(&mut rng, l, WIDTH);
        Self { q, k, v, p, e, w, l }
    }

    fn arrays(&self, name: &str) -> Arrays<'_> {
        match name {
            "luna" | "luna-causal" => Arrays::none().with("p", self.p.view()),
            "linformer" => Arrays::none().shared("e", self.e.view()),
            "performer" => Arrays::none().shared("features", self.w.view()),
            _ => Arrays::none(),
        }
    }

    /// One pass; Luna's keys are its values, as in a tied layer.
    fn run(&self, name: &str, mask: Mask, path: Path, out: &mut Array3<f32>) {
        let v = if name == "luna" { &self.k } else { &self.v };
        let heads = Heads::new(self.q.view(), self.k.view(), v.view(), mask);
        let form = fused(name, Some(self.l)).expect("a fused implementation");
        form.forward_into(path, &heads, &self.arrays(name), out.view_mut()).expect("shapes that fit");
    }
}

/// `--cell MECHANISM N L`: the median seconds of one pass over a second, as a line of JSON.
fn cell(arguments: &[String]) {
    let [name, n, l] = arguments else { panic!("--cell MECHANISM N L") };
    let (name, mask) = match name.strip_suffix("+causal") {
        Some(name) => (name, Mask::Causal),
        None if name == "luna-causal" => (name.as_str(), Mask::Causal),
        None => (name.as_str(), Mask::Full),
    };
    let (n, l): (usize, usize) = (n.parse().expect("n"), l.parse().expect("l"));
    let sample = Sample::new(n, l.max(1));
    let mut out = Array3::zeros((HEADS, n, WIDTH));
    let watch = Stopwatch::start();
    let mut seconds = Vec::new();
    while seconds.len() < 5 || watch.seconds() < 1.0 {
        seconds.push(timed(|| sample.run(name, mask, Path::Widest, &mut out)).1);
    }
    seconds.sort_by(f64::total_cmp);
    println!("{{\"median_s\": {}, \"best_s\": {}}}", seconds[seconds.len() / 2], seconds[0]);
}

fn forms(criterion: &mut Criterion) {
    let (n, l) = (1024, 64);
    let sample = Sample::new(n, l);
    let mut out = Array3::zeros((HEADS, n, WIDTH));
    let mut group = criterion.benchmark_group("8 heads of 1024 x 64");
    group.sample_size(10);
    for form in ALL.iter().filter_map(|kind| fused(kind.name, Some(l)).ok()) {
        let name = form.name();
        for mask in [Mask::Full, Mask::Causal].into_iter().filter(|mask| form.honours(*mask)) {
            for path in [Path::Avx512, Path::Avx2, Path::Scalar] {
                group.bench_function(format!("{name} fused, {mask:?}, {path:?}"), |bench| {
                    bench.iter(|| sample.run(name, mask, path, &mut out));
                });
            }
        }
    }
    let pieces = [
        ("p", sample.p.index_axis(Axis(0), 0).to_owned()),
        ("e", sample.e.clone()),
        ("features", sample.w.clone()),
    ];
    let learned = Learned(BTreeMap::from(pieces));
    let origin = Origin { seed: 0, label: "bench", learned: Some(&learned) };
    for spec in
        ["softmax", "luna:p=fitted", "linformer:e=fitted", "linear", "performer:features=fitted", "local"]
    {
        let attention = Attention::build(&spec.parse().expect("a spec"), &origin).expect("pieces that fit");
        group.bench_function(format!("{spec}, the reference implementation"), |bench| {
            bench.iter(|| {
                for head in 0..HEADS {
                    let [q, k, v] = [&sample.q, &sample.k, &sample.v].map(|x| x.index_axis(Axis(0), head));
                    black_box(attention.forward(&Input::new(q, k, Mask::Full), v).expect("shapes that fit"));
                }
            });
        });
    }
    group.bench_function("softmax by ndarray's own product (matrixmultiply)", |bench| {
        bench.iter(|| {
            for head in 0..HEADS {
                let [q, k, v] = [&sample.q, &sample.k, &sample.v].map(|x| x.index_axis(Axis(0), head));
                let mut a = q.dot(&k.t()) * 0.125;
                softmax_rows(a.view_mut());
                black_box(a.dot(&v));
            }
        });
    });
    #[cfg(feature = "lapack")]
    group.bench_function("softmax by OpenBLAS's product", |bench| {
        bench.iter(|| {
            for head in 0..HEADS {
                let [q, k, v] = [&sample.q, &sample.k, &sample.v].map(|x| x.index_axis(Axis(0), head));
                let mut a = openblas::product(q, k.t(), 0.125);
                softmax_rows(a.view_mut());
                black_box(openblas::product(a.view(), v, 1.0));
            }
        });
    });
    group.finish();
}

/// Products by the system's `OpenBLAS`, which the second engine of decompositions brings along.
#[cfg(feature = "lapack")]
#[allow(unsafe_code)] // BLAS takes pointers; views say how far they reach
mod openblas {
    use std::ffi::c_int;

    use ndarray::{Array2, ArrayView2};

    const ROW_MAJOR: c_int = 101;
    const AS_IT_IS: c_int = 111;
    const TRANSPOSED: c_int = 112;

    unsafe extern "C" {
        #[allow(clippy::too_many_arguments)] // as BLAS has it
        fn cblas_sgemm(
            order: c_int,
            trans_a: c_int,
            trans_b: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: f32,
            a: *const f32,
            lda: c_int,
            b: *const f32,
            ldb: c_int,
            beta: f32,
            c: *mut f32,
            ldc: c_int,
        );
    }

    /// `scale a b`; `a` lies in rows, `b` in rows or in columns.
    pub(super) fn product(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, scale: f32) -> Array2<f32> {
        let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
        assert!(a.is_standard_layout() && (b.is_standard_layout() || b.t().is_standard_layout()));
        assert_eq!(k, b.nrows());
        let (trans_b, ldb) = if b.is_standard_layout() { (AS_IT_IS, n) } else { (TRANSPOSED, k) };
        let mut c = Array2::zeros((m, n));
        let [m, n, k, ldb] =
            [m, n, k, ldb].map(|size| c_int::try_from(size).expect("a size that BLAS takes"));
        // SAFETY: rows and columns lie as BLAS is told, in arrays of the sizes that it is told.
        unsafe {
            let (a, b) = (a.as_ptr(), b.as_ptr());
            cblas_sgemm(ROW_MAJOR, AS_IT_IS, trans_b, m, n, k, scale, a, k, b, ldb, 0.0, c.as_mut_ptr(), n);
        }
        c
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--cell") {
        let given = &arguments[at + 1..];
        return cell(&given[..given.len().min(3)]);
    }
    let mut criterion = Criterion::default().configure_from_args();
    forms(&mut criterion);
    criterion.final_summary();
}
