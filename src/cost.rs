//! The cost of attention: shapes and counts of operations.
//!
//! A multiply-add is one MAC and counts as 2 FLOPs. Exponentials and divisions are counted separately.
//! Additions, comparisons and sorting outside products are not counted: they are fewer by a factor of the head width, and no
//! paper's table has them.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Range};
use std::sync::atomic::{AtomicU64, Ordering};

/// The keys within a distance of each query: `back` before it and `ahead` after it, its own among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Keys before the query's own.
    pub back: usize,
    /// Keys after it.
    pub ahead: usize,
}

impl Window {
    /// The keys that query i sees, out of the first `visible` ones.
    pub fn keys(&self, i: usize, visible: usize) -> Range<usize> {
        let start = i.saturating_sub(self.back).min(visible);
        start..i.saturating_add(self.ahead).saturating_add(1).min(visible).max(start)
    }
}

/// The shape of one head's attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Queries.
    pub n: usize,
    /// Keys and values.
    pub m: usize,
    /// Width of queries and keys.
    pub d_h: usize,
    /// Width of values, usually `d_h`.
    pub d_v: usize,
    /// Whether query i sees keys 0 to i only.
    pub causal: bool,
    /// The keys that are near enough to be seen, where a layer slides.
    pub window: Option<Window>,
}

impl Shape {
    /// Self-attention of one head: n tokens, one width for queries, keys and values, every key seen.
    pub fn square(n: usize, d_h: usize) -> Self {
        Self { n, m: n, d_h, d_v: d_h, causal: false, window: None }
    }

    /// The keys that query i sees: those that mask and window leave.
    pub fn sees(&self, i: usize) -> Range<usize> {
        let visible = if self.causal { self.m.min(i + 1) } else { self.m };
        self.window.map_or(0..visible, |window| window.keys(i, visible))
    }

    /// Pairs of a query and a key that it sees.
    pub fn pairs(&self) -> usize {
        if self.window.is_some() {
            return (0..self.n).map(|i| self.sees(i).len()).sum();
        }
        if !self.causal {
            return self.n * self.m;
        }
        let rising = self.n.min(self.m);
        rising * (rising + 1) / 2 + (self.n - rising) * self.m
    }
}

/// Operations of one forward pass of one head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-adds in products.
    pub macs: u64,
    /// Exponentials (a logarithm of 1 + an exponential counts as one).
    pub exps: u64,
    /// Divisions; dividing a row by its sum counts as one.
    pub divs: u64,
}

impl Cost {
    /// FLOPs of the products: 2 a multiply-add.
    pub fn flops(&self) -> u64 {
        2 * self.macs
    }

    /// A product of shapes (n, d) and (d, m).
    pub fn product(n: usize, d: usize, m: usize) -> Self {
        Self { macs: n as u64 * d as u64 * m as u64, ..Self::default() }
    }

    /// A softmax over `rows` rows of `cells` visible cells in total.
    pub fn softmax(rows: usize, cells: usize) -> Self {
        Self { exps: cells as u64, divs: rows as u64, macs: 0 }
    }

    /// This many exponentials.
    pub fn exps(count: usize) -> Self {
        Self { exps: count as u64, ..Self::default() }
    }

    /// This many divisions.
    pub fn divs(count: usize) -> Self {
        Self { divs: count as u64, ..Self::default() }
    }
}

/// A count of multiply-adds to which many threads add.
///
/// Kernels add what each tile contributes to the result, not recomputation or padding: the sum shows whether the tiles cover
/// the work exactly once.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Adds `macs` multiply-adds.
    pub fn add(&self, macs: usize) {
        self.0.fetch_add(macs as u64, Ordering::Relaxed);
    }

    /// Adds a product of shapes (n, d) and (d, m).
    pub fn product(&self, n: usize, d: usize, m: usize) {
        self.add(n * d * m);
    }

    /// The sum.
    pub fn macs(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { macs: self.macs + other.macs, exps: self.exps + other.exps, divs: self.divs + other.divs }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<usize> for Cost {
    type Output = Self;

    fn mul(self, times: usize) -> Self {
        let times = times as u64;
        Self { macs: self.macs * times, exps: self.exps * times, divs: self.divs * times }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_one_by_one() {
        for (n, m) in [(1, 1), (7, 5), (5, 7), (33, 64)] {
            for causal in [false, true] {
                for window in [None, Some(Window { back: 3, ahead: 0 }), Some(Window { back: 2, ahead: 4 })] {
                    let shape = Shape { n, m, d_h: 4, d_v: 4, causal, window };
                    let sees = |i: usize, j: usize| {
                        let near = |window: Window| j + window.back >= i && j <= i + window.ahead;
                        (!causal || j <= i) && window.is_none_or(near)
                    };
                    let counted: usize = (0..n).map(|i| (0..m).filter(|j| sees(i, *j)).count()).sum();
                    assert_eq!(shape.pairs(), counted, "{shape:?}");
                }
            }
        }
    }
}
