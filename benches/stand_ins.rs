//! `luna approx-error` on one head: six mechanisms at n = 512, `d_h` = 32, l = 16 to 256 (26 cells).
//!
//! Beside a script in torch 2.15 (the same 72 heads of all-MiniLM-L6-v2, the same six mechanisms and five l, 2,160 cells,
//! its four metrics; ours are nine, and the best matrix of each rank), whole commands in turn, five pairs on 2 cores
//! (Xeon with AVX-512): ours 2.70 to 2.85 s, torch 22.0 to 32.5 s, ratio in the median 8.1 (7.8 to 11.8); peak memory 105
//! against 1,400 to 1,540 MB. In processor time 5.3 against 31 s.
//!
//! What was tried, in processor time of the whole command:
//!
//! | | seconds |
//! |---|---|
//! | first form | 14.1 |
//! | sums of `a ln a` in the vectorised pass and not entry by entry | 11.0 |
//! | Lanczos' row products written out: closures in a dispatched loop are compiled without vector instructions | 9.7 |
//! | Performer's features by the house's exponential: the library's is slow where results are subnormal | 5.3 |
//!
//! Of these, 2.2 s are the eigendecompositions of 72 Gram matrices (30 ms a head), which serve every l.
#![allow(missing_docs)] // criterion's macros

use std::hint::black_box;

use clap::Parser;
use criterion::{Criterion, criterion_group, criterion_main};
use luna::linalg::engine::Engine;
use luna::study::approx_error::{self, Config};
use luna::study::{Context, Unwatched};

#[derive(Parser)]
struct Asked {
    #[command(flatten)]
    config: Config,
}

fn one_head(criterion: &mut Criterion) {
    let flags =
        ["approx-error", "--synthetic", "gaussian:logit_sd=2,d_h=32", "--seq-len", "512", "--windows", "1"];
    let asked = ["--attention", "luna,linformer,nystrom,performer,linear,local"];
    let config = Asked::parse_from([&flags[..], &asked[..]].concat()).config;
    let context = Context { seed: 0, engine: Engine::Faer, watch: &Unwatched };
    criterion.bench_function("six mechanisms on a head of 512", |bencher| {
        bencher.iter(|| {
            approx_error::run(black_box(&config), context).map(|outcome| outcome.report.rows.rows.len())
        });
    });
}

criterion_group! {
    name = stand_ins;
    config = Criterion::default().sample_size(10);
    targets = one_head
}
criterion_main!(stand_ins);
