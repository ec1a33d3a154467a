//! Vertical and slash lines (`MInference`, Jiang et al. 2024): columns that many queries read, and diagonals, keys at one
//! distance from the query. The last queries choose both for all.
//!
//! The choice belongs to a prompt that is there as a whole: no row reads a key ahead of it, yet which keys it reads is known
//! only after the last queries.

use std::ops::Range;

use ndarray::{Array2, Axis, s};

use super::kernel::chosen::{Chooses, Chosen, ROWS};
use super::kernel::flat::Size;
use super::kernel::fused::Fused;
use super::reference::pattern::{Pattern, ReadsBy, runs};
use super::softmax::rows::{highest, weigh};
use super::{Input, Kind, Mask, Mechanism, Origin, Under};
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::linalg::gemm::{Threads, product_into};
use crate::name::{Param, Params};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "vertical-slash",
    about: "columns and diagonals of the largest mass in the rows of the last queries (MInference)",
    equation: "softmax over the j in C or i - j in D of q_i k_j / sqrt(d_h); C: the l/2 best columns, D: the best diagonals",
    paper: "Jiang et al. 2024",
    takes: &[
        Param {
            name: "l",
            default: Some("64"),
            about: "lines: l/2 columns (the first always), else diagonals (the own key always)",
        },
        Param { name: "probe", default: Some("64"), about: "last queries whose exact rows choose the lines" },
    ],
    full: Under::Refused("block-top-k"),
    causal: Under::Leaks(
        "chooses its keys for all rows by the last queries: what a row reads depends on later tokens",
    ),
    stochastic: true,
    terms: &[],
    by_default: false,
    fit: None,
    build,
};

/// Keys that are there in f64 at a time.
const CHUNK: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct VerticalSlash {
    l: usize,
    probe: usize,
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    Ok(Box::new(VerticalSlash { l: params.at_least("l", 1)?, probe: params.at_least("probe", 1)? }))
}

/// The first line, and those of the highest sums: `kept` in all, one at least.
fn lines(mut sums: Vec<f64>, kept: usize) -> Vec<usize> {
    sums[0] = f64::INFINITY;
    highest(&sums, (0..sums.len()).collect(), kept.max(1))
}

/// What query i reads on these columns and diagonals of the keys that it sees.
fn read([columns, diagonals]: &[Vec<usize>; 2], seen: Range<usize>, i: usize) -> Vec<Range<usize>> {
    let slashes = diagonals.iter().filter_map(|distance| i.checked_sub(*distance));
    let mut keys: Vec<usize> = columns.iter().copied().chain(slashes).filter(|j| seen.contains(j)).collect();
    keys.sort_unstable();
    keys.dedup();
    runs(&keys)
}

impl VerticalSlash {
    /// The queries whose rows choose, of n.
    fn probed(&self, n: usize) -> Range<usize> {
        n.saturating_sub(self.probe)..n
    }

    /// The columns and the diagonals, in ascending order.
    fn choice(&self, input: &Input<'_>) -> [Vec<usize>; 2] {
        let (n, m) = (input.q.nrows(), input.k.nrows());
        let (mut columns, mut diagonals) = (vec![0.0; m], vec![0.0; n]);
        let probed = self.probed(n);
        let q = input.q.slice(s![probed.clone(), ..]).mapv(f64::from);
        let mut rows = Array2::zeros((probed.len(), m));
        let chunks = rows.axis_chunks_iter_mut(Axis(1), CHUNK).zip(input.k.axis_chunks_iter(Axis(0), CHUNK));
        for (logits, k) in chunks {
            let (k, scale) = (k.mapv(f64::from), f64::from(input.scale));
            product_into(logits, 0.0, q.view(), k.t(), scale, Threads::One);
        }
        for (i, mut row) in probed.zip(rows.rows_mut()) {
            weigh(input, i, row.as_slice_mut().expect("rows of a new array lie together"));
            for j in input.sees(i) {
                columns[j] += row[j];
                diagonals[i - j] += row[j];
            }
        }
        [lines(columns, self.l / 2), lines(diagonals, self.l - self.l / 2)]
    }
}

impl Pattern for VerticalSlash {
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> ReadsBy<'a> {
        let lines = self.choice(input);
        Box::new(move |i, _| read(&lines, input.sees(i), i))
    }

    /// As if no column crossed a diagonal.
    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_> {
        let (mask, m) = (Mask::of(shape), shape.m);
        // One column at least, also where l is 1.
        Box::new(move |i| self.l.max(2).min(mask.visible(i, m)))
    }

    /// The exact rows of the last queries.
    fn choosing(&self, shape: &Shape) -> Option<Cost> {
        let cells = self.scanned(shape) / shape.d_h;
        Some(Cost::product(cells, shape.d_h, 1) + Cost::softmax(self.probed(shape.n).len(), cells))
    }

    /// The keys of those rows.
    fn scanned(&self, shape: &Shape) -> usize {
        let seen = self.probed(shape.n).map(|i| Mask::of(shape).visible(i, shape.m));
        seen.sum::<usize>() * shape.d_h
    }

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::new(KIND.name, Chosen(*self)))
    }
}

impl Chooses for VerticalSlash {
    type On = [Vec<usize>; 2];

    fn masks(&self) -> &'static [Mask] {
        &[Mask::Causal]
    }

    fn on(&self, input: &Input<'_>) -> [Vec<usize>; 2] {
        self.choice(input)
    }

    fn choose(&self, on: &Self::On, input: &Input<'_>, queries: Range<usize>) -> Vec<Vec<Range<usize>>> {
        queries.map(|i| read(on, input.sees(i), i)).collect()
    }

    fn bytes(&self, size: &Size) -> [usize; 2] {
        let Shape { n, m, d_h, .. } = size.shape;
        let probed = self.probed(n).len();
        // Queries and some keys in f64, the exact rows, and the sums over lines.
        [(probed + m.min(CHUNK)) * d_h + probed * m + n + m, ROWS * 2 * self.l.min(m)]
            .map(|numbers| numbers * size_of::<f64>())
    }
}
