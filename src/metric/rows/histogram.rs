//! How the mass of a long row is spread over its largest entries, without sorting all of it.
//!
//! Entries are counted by their leading bits: exponent and five bits of the fraction. Within a bin they differ by the last bits only, so
//! that a count and a sum of these, in one integer, give its mass exactly. From the largest bin on, the bins are found in which a
//! share of the mass or a number of entries is reached, and the entries of these bins alone are sorted.
//!
//! Per entry and in ns on one core of an Intel Xeon (Emerald Rapids) that had other work, beside the network of [`super::ranked`], for
//! the shares and five numbers of entries: 3.8 and 8.1 at 2048 entries, 5.1 and 12 at 4096, 2.8 and 10 at 8192, 2.6 and 29 at
//! 65,536; at 1024 there is no difference.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched loop is compiled without its instructions

use super::concentration::{Ranked, goals};
use super::row::LANES;

/// Bits of an f32 that do not choose the bin.
const LOW_BITS: u32 = 18;
/// Bins of all numbers from 0 up to infinity.
const BINS: usize = (f32::INFINITY.to_bits() >> LOW_BITS) as usize;
/// One entry in a bin, whose lower bits hold the sum of the entries' low bits.
const ENTRY: u64 = 1 << 40;
/// Marks a bin whose entries are needed one by one.
const NEEDED: u64 = 1 << 63;
/// The most entries of a row, so that neither number of a bin reaches the next.
pub(super) const MAX_ENTRIES: usize = 1 << (40 - LOW_BITS);

/// What counting a row works in.
#[derive(Default)]
pub(super) struct Histogram {
    bins: Vec<u64>,
    crossings: Vec<Crossing>,
    needed: Vec<u32>,
}

/// A bin in which shares or numbers of entries are reached.
struct Crossing {
    bin: usize,
    /// Entries and mass of the bins above it.
    count: usize,
    mass: f64,
    /// How many of the shares and of the numbers are reached up to its end.
    shares: usize,
    tops: usize,
}

/// Whether all of these entries are finite and not negative (-0 counts as negative).
#[inline(always)]
pub(super) fn is_countable(row: &[f32]) -> bool {
    row.iter().fold(0, |largest, p| largest.max(p.to_bits())) < f32::INFINITY.to_bits()
}

#[inline(always)]
fn bin(bits: u32) -> usize {
    (bits >> LOW_BITS) as usize
}

impl Histogram {
    /// Adds a row of at most [`MAX_ENTRIES`] entries that are countable to the sums.
    #[inline(always)]
    pub(super) fn add(&mut self, row: &[f32], to: &mut Ranked) {
        let (mut smallest, mut largest, mut lanes) = (u32::MAX, 0, [0.0; LANES]);
        for part in row.chunks(LANES) {
            for (p, lane) in part.iter().zip(&mut lanes) {
                smallest = smallest.min(p.to_bits());
                largest = largest.max(p.to_bits());
                *lane += f64::from(*p);
            }
        }
        let all: f64 = lanes.iter().sum();
        if all <= 0.0 {
            return;
        }
        let (lowest, highest) = (bin(smallest), bin(largest));
        self.bins.resize(BINS, 0);
        self.bins[lowest..=highest].fill(0);
        for p in row {
            let bits = p.to_bits();
            self.bins[bin(bits)] += ENTRY + u64::from(bits & ((1 << LOW_BITS) - 1));
        }
        self.cross(lowest..=highest, all, to);
        self.collect(row);
        self.read(all, to);
    }

    /// Finds the bins in which something is reached, and marks them.
    fn cross(&mut self, bins: std::ops::RangeInclusive<usize>, all: f64, to: &Ranked) {
        let goals = goals(all);
        self.crossings.clear();
        let (mut count, mut mass, mut shares) = (0, 0.0, 0);
        let mut tops = to.top.partition_point(|(l, _)| *l == 0);
        for bin in bins.rev() {
            let found = self.bins[bin];
            if found == 0 {
                continue;
            }
            let smallest = (bin as u32) << LOW_BITS;
            let [smallest, next] = [smallest, smallest + 1].map(|bits| f64::from(f32::from_bits(bits)));
            let entries = (found / ENTRY) as usize;
            let below = (
                count + entries,
                mass + (entries as f64 * smallest + (found % ENTRY) as f64 * (next - smallest)),
            );
            let before = (shares, tops);
            shares += goals[shares..].iter().take_while(|goal| below.1 >= **goal).count();
            tops += to.top[tops..].iter().take_while(|(l, _)| *l <= below.0).count();
            if before != (shares, tops) {
                self.bins[bin] |= NEEDED;
                self.crossings.push(Crossing { bin, count, mass, shares, tops });
            }
            if (shares, tops) == (goals.len(), to.top.len()) {
                break;
            }
            (count, mass) = below;
        }
    }

    /// The entries of the marked bins, largest first.
    #[inline(always)]
    fn collect(&mut self, row: &[f32]) {
        self.needed.resize(row.len(), 0);
        let mut count = 0;
        for p in row {
            let bits = p.to_bits();
            self.needed[count] = bits;
            count += usize::from(self.bins[bin(bits)] >= NEEDED);
        }
        self.needed.truncate(count);
        self.needed.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Adds what is reached, entry by entry of these bins.
    fn read(&self, all: f64, to: &mut Ranked) {
        let goals = goals(all);
        let (mut share, mut top) = (0, to.top.partition_point(|(l, _)| *l == 0));
        let mut rest = &self.needed[..];
        for crossing in &self.crossings {
            let here;
            (here, rest) = rest.split_at(rest.partition_point(|bits| bin(*bits) == crossing.bin));
            let Crossing { mut count, mut mass, .. } = *crossing;
            for bits in here {
                count += 1;
                mass += f64::from(f32::from_bits(*bits));
                while share < crossing.shares && mass >= goals[share] {
                    to.keys[share] += count as f64;
                    share += 1;
                }
                while top < crossing.tops && to.top[top].0 <= count {
                    to.top[top].1 += mass / all;
                    top += 1;
                }
            }
            // What the sum of the whole bin reaches, and the rounded sum of its entries does not.
            to.keys[share..crossing.shares].iter_mut().for_each(|keys| *keys += count as f64);
            share = crossing.shares;
        }
        // More entries than the row has.
        to.top[top..].iter_mut().for_each(|(_, top)| *top += 1.0);
    }
}
