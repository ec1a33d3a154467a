//! Rounds: everything is timed once, in an order drawn anew, together with the machine's own work.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rayon::prelude::*;

use super::super::plan::Budget;
use super::super::record::MachineRecord;
use super::super::subject::Subject;
use super::journal::{self, Journal};
use crate::error::Result;
use crate::linalg::gemm::Threads;
use crate::profile::calibrate::{Product, Triad};
use crate::profile::clock::timed;
use crate::profile::rounds::{Piece, order, warm_up};
use crate::rng::stream;
use crate::study::Context;

/// Rows of the matrix product, and elements of the triad's arrays.
const PRODUCT: usize = 1024;
const TRIAD: usize = 1 << 24;

/// A cell that has run alone.
pub(super) struct Ready<'a> {
    pub(super) key: String,
    pub(super) n: usize,
    pub(super) subject: Box<dyn Subject + 'a>,
    pub(super) first_s: f64,
}

/// How the rounds ended.
pub(super) struct Ended {
    pub(super) complete: bool,
    /// The cells that ran twice in each round.
    pub(super) copies: Vec<String>,
    pub(super) machine: MachineRecord,
}

/// Times the cells round by round until the rounds or the budget are used up; the times go to the journal.
pub(super) fn run(
    ready: Vec<Ready<'_>>,
    budget: &Budget<'_>,
    journal: &mut Journal,
    context: Context<'_>,
) -> Result<Ended> {
    let (mut product, mut triad) = (Product::<f32>::new(PRODUCT), Triad::new(TRIAD));
    let mut products: Vec<_> =
        (0..rayon::current_num_threads()).map(|_| Product::<f32>::new(PRODUCT)).collect();
    let machine =
        MachineRecord { gemm_flops: product.flops(), triad_bytes: triad.bytes(), ..MachineRecord::default() };
    let gemm_s = warm_up(0.2, || product.run(Threads::All));
    let triad_s = warm_up(0.1, || triad.run());

    let copies = fastest(&ready);
    // A cell and its second copy are the same subject.
    let cells: Vec<(String, f64)> = ready.iter().map(|one| (one.key.clone(), one.first_s)).collect();
    let subjects: Vec<_> = ready.into_iter().map(|one| RefCell::new(one.subject)).collect();
    let failed = RefCell::new(None);
    let run = |i: usize| {
        if let Err(error) = subjects[i].borrow_mut().run(None) {
            failed.replace(Some(error));
        }
    };
    let run = &run;
    let mut pieces: Vec<(String, Piece<'_>)> = Vec::new();
    for (i, (key, first_s)) in cells.iter().enumerate() {
        pieces.push((key.clone(), Piece::new(move || run(i), *first_s)));
    }
    for i in copies.iter().copied() {
        let (key, first_s) = &cells[i];
        pieces.push((journal::copy_of(key), Piece::new(move || run(i), *first_s)));
    }
    pieces.push((journal::GEMM.into(), Piece::new(|| product.run(Threads::All), gemm_s)));
    let each = || products.par_iter_mut().with_max_len(1).for_each(|product| product.run(Threads::One));
    pieces.push((journal::GEMM_PER_THREAD.into(), Piece::new(each, gemm_s)));
    pieces.push((journal::TRIAD.into(), Piece::new(|| triad.run(), triad_s)));
    let complete = all(&mut pieces, budget, journal, context)?;
    if let Some(error) = failed.take() {
        return Err(error);
    }
    Ok(Ended { complete, copies: copies.into_iter().map(|i| cells[i].0.clone()).collect(), machine })
}

/// Times every piece in every round that is not yet in the journal; whether none was stopped.
fn all(
    pieces: &mut [(String, Piece<'_>)],
    budget: &Budget<'_>,
    journal: &mut Journal,
    context: Context<'_>,
) -> Result<bool> {
    let mut rng = stream(context.seed, "scale-sweep order");
    // An earlier round counts if it has everything that is timed now.
    let has_all = |times: &BTreeMap<String, f64>| pieces.iter().all(|(name, _)| times.contains_key(name));
    let known: Vec<usize> =
        journal.rounds().iter().filter(|(_, times)| has_all(times)).map(|(round, _)| *round).collect();
    let mut slowest: f64 = 0.0;
    for round in 0..budget.settings.rounds {
        let order = order(pieces.len(), &mut rng);
        if known.contains(&round) {
            context.watch.skip(pieces.len());
            continue;
        }
        if round >= budget.min_rounds() && budget.left() < slowest {
            break;
        }
        let (times, seconds) = timed(|| {
            let mut times = BTreeMap::new();
            for at in order {
                if context.watch.stopped() {
                    return None;
                }
                let (name, piece) = &mut pieces[at];
                times.insert(name.clone(), piece.sample());
                context.watch.step(1, &format!("round {}", round + 1));
            }
            Some(times)
        });
        let Some(times) = times else { return Ok(false) };
        slowest = slowest.max(seconds);
        journal.write_round(round, times)?;
    }
    Ok(true)
}

/// The fastest cell of each length: a second copy of it shows the timing noise, which is largest for short times.
fn fastest(ready: &[Ready<'_>]) -> Vec<usize> {
    let mut fastest: BTreeMap<usize, usize> = BTreeMap::new();
    for (i, one) in ready.iter().enumerate() {
        let best = fastest.entry(one.n).or_insert(i);
        if one.first_s < ready[*best].first_s {
            *best = i;
        }
    }
    fastest.into_values().collect()
}
