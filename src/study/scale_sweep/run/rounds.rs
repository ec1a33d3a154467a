//! Rounds: everything of one length is timed once, in an order drawn anew, together with the machine's own work.

use std::cell::RefCell;

use rayon::prelude::*;

use super::super::plan::Budget;
use super::super::record::{LengthRecord, MachineRecord, State};
use super::super::settings::Settings;
use super::super::subject::Subject;
use crate::error::Result;
use crate::linalg::gemm::Threads;
use crate::profile::calibrate::{Product, Triad};
use crate::profile::clock::Stopwatch;
use crate::profile::rounds::{Piece, order, warm_up};
use crate::rng::stream;
use crate::study::Context;

/// Rows of the matrix product, and elements of the triad's arrays.
const PRODUCT: usize = 1024;
const TRIAD: usize = 1 << 24;

/// Pieces of a round beside the mechanisms: a second copy of the fastest, and three of the machine's own work.
pub(super) const BESIDE: usize = 4;

/// A mechanism that has run alone.
pub(super) struct Ready<'a> {
    pub(super) key: String,
    pub(super) subject: Box<dyn Subject + 'a>,
    pub(super) first_s: f64,
}

/// Times the mechanisms of one length round by round until the rounds or the budget are used up, into the record; returns
/// how many pieces were timed.
pub(super) fn run(
    ready: Vec<Ready<'_>>,
    n: usize,
    record: &mut LengthRecord,
    (budget, settings, later): (&Budget<'_>, &Settings, &[usize]),
    context: Context<'_>,
) -> Result<usize> {
    let (mut product, mut triad) = (Product::<f32>::new(PRODUCT), Triad::new(TRIAD));
    let threads = rayon::current_num_threads();
    let mut products: Vec<_> = (0..threads).map(|_| Product::<f32>::new(PRODUCT)).collect();
    let (flops, bytes) = (product.flops(), triad.bytes());
    let gemm_s = warm_up(0.2, || product.run(Threads::All));
    let triad_s = warm_up(0.1, || triad.run());

    // The fastest runs twice: its second copy shows the timing noise, which is largest for short times.
    let first_s: Vec<f64> = ready.iter().map(|one| one.first_s).collect();
    let fastest = (0..ready.len()).min_by(|a, b| first_s[*a].total_cmp(&first_s[*b])).unwrap_or(0);
    let (keys, subjects): (Vec<String>, Vec<_>) =
        ready.into_iter().map(|one| (one.key, RefCell::new(one.subject))).unzip();
    let failed = RefCell::new(None);
    let run = |i: usize| {
        if let Err(error) = subjects[i].borrow_mut().run(None) {
            failed.replace(Some(error));
        }
    };
    let run = &run;
    let copies = (0..subjects.len()).chain([fastest]);
    let mut pieces: Vec<Piece<'_>> = copies.map(|i| Piece::new(move || run(i), first_s[i])).collect();
    pieces.push(Piece::new(|| product.run(Threads::All), gemm_s));
    let each = || products.par_iter_mut().with_max_len(1).for_each(|product| product.run(Threads::One));
    pieces.push(Piece::new(each, gemm_s));
    pieces.push(Piece::new(|| triad.run(), triad_s));

    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); pieces.len()];
    let mut rng = stream(context.seed, &format!("scale-sweep order n {n}"));
    let mut slowest: f64 = 0.0;
    for round in 0..settings.rounds {
        if round >= budget.min_rounds() && !budget.has_time_for_round(slowest, later) {
            record.cut_at = Some(settings.budget);
            break;
        }
        let watch = Stopwatch::start();
        for at in order(pieces.len(), &mut rng) {
            context.watch.check()?;
            samples[at].push(pieces[at].sample());
            context.watch.step(1, &format!("n = {n}, round {}", round + 1));
        }
        slowest = slowest.max(watch.seconds());
    }
    drop(pieces);
    if let Some(error) = failed.take() {
        return Err(error);
    }
    let timed = samples.iter().map(Vec::len).sum();
    let rates = |samples: Option<Vec<f64>>, work: f64| -> Vec<f64> {
        samples.into_iter().flatten().map(|seconds| work / seconds / 1e9).collect()
    };
    let triad = rates(samples.pop(), bytes);
    let gemm_per_thread = rates(samples.pop(), threads as f64 * flops);
    let gemm = rates(samples.pop(), flops);
    record.machine = MachineRecord { gemm, gemm_per_thread, triad };
    let second = samples.pop().unwrap_or_default();
    for (at, (key, times)) in keys.iter().zip(samples).enumerate() {
        if let Some(found) = record.cells.get_mut(key) {
            found.state = State::Measured;
            found.times = times;
            if at == fastest {
                found.second.clone_from(&second);
            }
        }
    }
    Ok(timed)
}
