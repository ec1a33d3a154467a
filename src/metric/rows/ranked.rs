//! How the mass of rows is spread over their largest entries: sums over rows that are sorted, many rows together. Long rows are
//! not sorted (see [`super::histogram`]).
//!
//! Each lane of a vector holds one row, and a sorting network (Batcher's merge exchange, Knuth 5.2.2 algorithm M) puts
//! all of them in order by minima and maxima alone: no branch depends on an entry, so the time is the same for every head.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched loop is compiled without its instructions

use std::ops::Range;

use ndarray::{ArrayView1, ArrayView2, Axis, s};

use super::concentration::{Ranked, goals};
use super::histogram::{Histogram, MAX_ENTRIES, is_countable};
use super::row::LANES;

/// Rows of so many entries are not sorted.
const LONG: usize = 2048;
/// Columns that are looked at together for zeros at the ends.
const COLUMNS: usize = 64;

impl Ranked {
    /// Adds rows; those without mass count nothing.
    #[inline(always)]
    pub(super) fn add(&mut self, rows: ArrayView2<'_, f32>) {
        // Rows in lanes: bits of f32, which are ordered as the numbers are where these are not negative.
        let mut sorted = Vec::new();
        let mut sums = Vec::new();
        let mut histogram = Histogram::default();
        for rows in rows.axis_chunks_iter(Axis(0), LANES) {
            let columns = used(rows);
            let long = (LONG..=MAX_ENTRIES).contains(&columns.len());
            let rows = rows.slice_move(s![.., columns.clone()]);
            let slices = rows.rows().into_iter().filter_map(|row| row.to_slice());
            if long && slices.clone().all(is_countable) {
                for row in slices {
                    histogram.add(row, self);
                }
                continue;
            }
            sorted.clear();
            sorted.resize(columns.len(), [0; LANES]);
            for (lane, row) in slices.enumerate() {
                sorted.iter_mut().zip(row).for_each(|(all, p)| all[lane] = p.to_bits().cast_signed());
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
        for (lane, all) in all.iter().enumerate() {
            for (keys, goal) in self.keys.iter_mut().zip(goals(*all)) {
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

    use super::super::concentration::SHARES;
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
        for (n, m, first, last) in [
            (1, 1, 0, 1),
            (5, 3, 0, 3),
            (16, 16, 0, 9),
            (40, 300, 70, 211),
            (17, 513, 0, 513),
            (18, 3000, 300, 2900),
            (2, LONG, 0, LONG),
        ] {
            let mut a = normal(&mut rng, n, m).mapv(|x| (2.0 * x).exp());
            a.indexed_iter_mut().for_each(|((i, j), x)| {
                *x *= if (first..last).contains(&j) && (i + j) % 7 != 3 && i % 5 != 4 { 1.0 } else { 0.0 };
            });
            assert_sorted(&a, "zeros");
        }
    }

    #[test]
    fn long_rows_of_every_kind_have_the_figures_of_sorted_rows() {
        type Entry<'a> = &'a dyn Fn(usize, usize) -> f32;

        let (n, m) = (3, LONG + 37);
        let noise = normal(&mut stream(4, "long"), n, m);
        let kinds: [(&str, Entry<'_>); 10] = [
            ("equal", &|_, _| 1.0 / m as f32),
            ("one entry", &|i, j| if i == j { 1.0 } else { 0.0 }),
            ("one large entry", &|i, j| if i == j { 1.0 } else { 1e-7 * noise[[i, j]].exp() }),
            ("two values", &|_, j| if j % 3 == 0 { 0.5 } else { 0.25 }),
            ("few values", &|i, j| (noise[[i, j]].abs() * 4.0).floor() / 64.0),
            ("one bin", &|i, j| 1.0 + 1e-4 * noise[[i, j]].abs()),
            ("far apart", &|i, j| (20.0 * noise[[i, j]]).exp()),
            ("below normal numbers", &|i, j| noise[[i, j]].abs() * 1e-39),
            ("ten equal", &|_, j| if j % 200 == 5 && j < 2000 { 0.1 } else { 0.0 }),
            ("negative", &|i, j| if j == 7 { -1e-3 } else { noise[[i, j]].exp() }),
        ];
        for (what, of) in kinds {
            assert_sorted(&Array2::from_shape_fn((n, m), |(i, j)| of(i, j)), what);
        }
        let mut odd = noise.mapv(f32::exp);
        odd[[1, 3]] = f32::NAN;
        let mut found = Ranked::new(&[]);
        found.add(odd.slice(s![1..2, ..]));
        assert_eq!(found.keys, [0.0; SHARES.len()], "no share of NaN");
    }

    fn assert_sorted(a: &Array2<f32>, what: &str) {
        let mut found = Ranked::new(&[2, 1, 64, 0, 64, 1000, 5000]);
        found.add(a.view());
        let (keys, top) = by_sorting(a, &[0, 1, 2, 64, 1000, 5000]);
        assert_eq!(found.keys, keys, "{what}, {:?}", a.dim());
        for ((l, found), exact) in found.top.iter().zip(&top) {
            let off = (found - exact).abs();
            assert!(off < 1e-12 * exact.max(1.0), "{what}, {:?}, l = {l}: {found} {exact}", a.dim());
        }
    }

    fn by_sorting(a: &Array2<f32>, at: &[usize]) -> ([f64; 4], Vec<f64>) {
        let (mut keys, mut top) = ([0.0; 4], vec![0.0; at.len()]);
        for row in a.rows() {
            let mut row: Vec<f64> = row.iter().map(|p| f64::from(*p)).collect();
            row.sort_unstable_by(|a, b| b.total_cmp(a));
            let sums = row.iter().scan(0.0, |sum, p| {
                *sum += p;
                Some(*sum)
            });
            let sums: Vec<f64> = std::iter::once(0.0).chain(sums).collect();
            let all = sums[row.len()];
            if all > 0.0 {
                for (keys, share) in keys.iter_mut().zip(SHARES) {
                    let goal = share * (1.0 - 1e-12) * all;
                    *keys += sums.iter().position(|sum| *sum >= goal).unwrap() as f64;
                }
                top.iter_mut().zip(at).for_each(|(top, l)| *top += sums[(*l).min(row.len())] / all);
            }
        }
        (keys, top)
    }
}
