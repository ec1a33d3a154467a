//! How the mass of rows is spread over their largest entries: sums over rows that are sorted, many rows together.
//!
//! Each lane of a vector holds one row, and a sorting network (Batcher's merge exchange, Knuth 5.2.2 algorithm M) puts
//! all of them in order by minima and maxima alone: no branch depends on an entry, so the time is the same for every head.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched loop is compiled without its instructions

use std::ops::Range;

use ndarray::{ArrayView1, ArrayView2, Axis, s};

use super::row::LANES;

/// The shares of a row's mass whose keys are counted.
pub const SHARES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];
/// Columns that are looked at together for zeros at the ends.
const COLUMNS: usize = 64;

/// Sums over rows.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    /// Of the keys that hold each of [`SHARES`].
    pub(super) keys: [f64; SHARES.len()],
    /// For each l, ascending, the sum over rows of the share of a row's mass in its l largest entries.
    pub(super) top: Vec<(usize, f64)>,
}

impl Ranked {
    pub(super) fn new(at: &[usize]) -> Self {
        let mut top: Vec<(usize, f64)> = at.iter().map(|l| (*l, 0.0)).collect();
        top.sort_unstable_by_key(|(l, _)| *l);
        top.dedup_by_key(|(l, _)| *l);
        Self { keys: [0.0; SHARES.len()], top }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.keys.iter_mut().zip(&other.keys).for_each(|(keys, other)| *keys += other);
        self.top.iter_mut().zip(&other.top).for_each(|((_, top), (_, other))| *top += other);
    }

    /// Adds rows; those without mass count nothing.
    #[inline(always)]
    pub(super) fn add(&mut self, rows: ArrayView2<'_, f32>) {
        // Rows in lanes: bits of f32, which are ordered as the numbers are where these are not negative.
        let mut sorted = Vec::new();
        let mut sums = Vec::new();
        for rows in rows.axis_chunks_iter(Axis(0), LANES) {
            let columns = used(rows);
            sorted.clear();
            sorted.resize(columns.len(), [0; LANES]);
            for (lane, row) in rows.slice(s![.., columns]).rows().into_iter().enumerate() {
                if let Some(row) = row.to_slice() {
                    sorted.iter_mut().zip(row).for_each(|(all, p)| all[lane] = p.to_bits().cast_signed());
                }
            }
            sort(&mut sorted);
            cumulate(&sorted, &mut sums);
            self.read(&sums);
        }
    }

    /// Adds rows by the sums of their k largest entries for k = 0, 1, ...
    #[inline(always)]
    fn read(&mut self, sums: &[[f64; LANES]]) {
        let Some(all) = sums.last() else { return };
        for (l, top) in &mut self.top {
            let sum = &sums[(*l).min(sums.len() - 1)];
            *top +=
                sum.iter().zip(all).filter(|(_, all)| **all > 0.0).map(|(sum, all)| sum / all).sum::<f64>();
        }
        for (keys, share) in self.keys.iter_mut().zip(SHARES) {
            for (lane, all) in all.iter().enumerate() {
                // Rounding in the sums must not move an exact share (9 of 10 equal weights) to the next key.
                let goal = share * (1.0 - 1e-12) * all;
                *keys += sums.partition_point(|sum| sum[lane] < goal) as f64;
            }
        }
    }
}

/// Sums of the first k entries of each lane for k = 0, 1, ... up to all of them.
#[inline(always)]
fn cumulate(sorted: &[[i32; LANES]], sums: &mut Vec<[f64; LANES]>) {
    sums.resize(sorted.len() + 1, [0.0; LANES]);
    let mut sum = [0.0; LANES];
    sums[0] = sum;
    for (p, sums) in sorted.iter().zip(&mut sums[1..]) {
        let p = p.map(mass);
        (0..LANES).for_each(|lane| sum[lane] += p[lane]);
        *sums = sum;
    }
}

#[inline(always)]
fn mass(bits: i32) -> f64 {
    f64::from(f32::from_bits(bits.cast_unsigned()))
}

/// The columns without those at the ends that are zero in all of these rows: what a mask or window hides.
#[inline(always)]
fn used(rows: ArrayView2<'_, f32>) -> Range<usize> {
    let is_zero = |columns: Range<usize>| {
        let of_row = |row: ArrayView1<'_, f32>| row.fold(0, |all, p| all | p.to_bits()) == 0;
        rows.slice(s![.., columns]).rows().into_iter().all(of_row)
    };
    let (mut start, mut end) = (0, rows.ncols());
    while start < end && is_zero(end.saturating_sub(COLUMNS).max(start)..end) {
        end = end.saturating_sub(COLUMNS);
    }
    while start < end && is_zero(start..(start + COLUMNS).min(end)) {
        start += COLUMNS;
    }
    start..end
}

/// Sorts each lane, largest first.
#[inline(always)]
fn sort(x: &mut [[i32; LANES]]) {
    let highest = x.len().next_power_of_two() / 2;
    let mut p = highest;
    while p > 0 {
        let (mut q, mut r, mut distance) = (highest, 0, p);
        loop {
            let mut start = r;
            while start + distance < x.len() {
                let (left, right) = x.split_at_mut(start + distance);
                let run = p.min(right.len());
                exchange(&mut left[start..start + run], &mut right[..run]);
                start += 2 * p;
            }
            if q == p {
                break;
            }
            (distance, q, r) = (q - p, q / 2, p);
        }
        p /= 2;
    }
}

/// Puts the larger of each two entries into `left`.
#[inline(always)]
fn exchange(left: &mut [[i32; LANES]], right: &mut [[i32; LANES]]) {
    for (left, right) in left.iter_mut().zip(right) {
        let (a, b) = (*left, *right);
        for lane in 0..LANES {
            left[lane] = a[lane].max(b[lane]);
            right[lane] = a[lane].min(b[lane]);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::rng::{normal, stream};

    /// Every pattern of zeros and ones of up to 12 entries: what a sorting network puts in order, it puts in order for all
    /// numbers (Knuth 5.3.4, theorem Z).
    #[test]
    fn the_network_sorts_every_pattern_of_zeros_and_ones() {
        for length in 0..13 {
            for patterns in (0..1_u32 << length).collect::<Vec<_>>().chunks(LANES) {
                let mut x = vec![[0; LANES]; length];
                for (lane, pattern) in patterns.iter().enumerate() {
                    (0..length).for_each(|at| x[at][lane] = i32::from(pattern >> at & 1 == 1));
                }
                sort(&mut x);
                for (lane, pattern) in patterns.iter().enumerate() {
                    let ones = pattern.count_ones() as usize;
                    assert!((0..length).all(|at| x[at][lane] == i32::from(at < ones)), "{pattern:b}");
                }
            }
        }
    }

    /// Against rows that are sorted one by one: any shape, zeros at the ends and within, rows of zeros.
    #[test]
    fn figures_are_those_of_sorted_rows() {
        let mut rng = stream(3, "ranked");
        for (n, m, first, last) in
            [(1, 1, 0, 1), (5, 3, 0, 3), (16, 16, 0, 9), (40, 300, 70, 211), (17, 513, 0, 513)]
        {
            let mut a = normal(&mut rng, n, m).mapv(|x| (2.0 * x).exp());
            a.indexed_iter_mut().for_each(|((i, j), x)| {
                *x *= if (first..last).contains(&j) && (i + j) % 7 != 3 && i % 5 != 4 { 1.0 } else { 0.0 };
            });
            let at = [2, 1, 64, 64, 1000];
            let mut found = Ranked::new(&at);
            found.add(a.view());
            let (keys, top) = by_sorting(&a, &[1, 2, 64, 1000]);
            assert_eq!(found.keys, keys, "{n} x {m}");
            for ((l, found), exact) in found.top.iter().zip(&top) {
                assert!(
                    (found - exact).abs() < 1e-12 * exact.max(1.0),
                    "{n} x {m}, l = {l}: {found} {exact}"
                );
            }
        }
    }

    fn by_sorting(a: &Array2<f32>, at: &[usize]) -> ([f64; 4], Vec<f64>) {
        let (mut keys, mut top) = ([0.0; 4], vec![0.0; at.len()]);
        for row in a.rows() {
            let mut row: Vec<f64> = row.iter().map(|p| f64::from(*p)).collect();
            row.sort_unstable_by(|a, b| b.total_cmp(a));
            let all: f64 = row.iter().sum();
            let sum = |k: usize| row.iter().take(k).sum::<f64>();
            if all > 0.0 {
                for (keys, share) in keys.iter_mut().zip(SHARES) {
                    *keys += (1..=row.len()).find(|k| sum(*k) >= share * (1.0 - 1e-12) * all).unwrap() as f64;
                }
                top.iter_mut().zip(at).for_each(|(top, l)| *top += sum(*l) / all);
            }
        }
        (keys, top)
    }
}
