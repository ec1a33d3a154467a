//! The sums of one row, in f64 from f32 lanes.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched loop is compiled without its instructions

/// Values computed together.
pub(in crate::metric) const LANES: usize = 16;
/// Entries that are summed in f32 before the sum is added in f64.
pub(super) const CHUNK: usize = 1024;

/// What [`row_sums`] finds.
#[derive(Clone, Copy, Default)]
pub(super) struct RowSums {
    pub(super) sum: f64,
    pub(super) entropy: f64,
    pub(super) max: f32,
    /// Of `ln p - ln(1 / m)` over the entries that are not zero: how many, their sum, their sum of squares.
    pub(super) count: f64,
    pub(super) log: f64,
    pub(super) log_squared: f64,
}

/// The sums of a row; `shift` is ln(m).
#[inline(always)]
pub(super) fn row_sums(row: &[f32], shift: f32) -> RowSums {
    let mut sums = RowSums::default();
    let mut weighted = 0.0;
    for chunk in row.chunks(CHUNK) {
        let mut lanes = [[0.0_f32; LANES]; 6];
        let (whole, rest) = chunk.as_chunks::<LANES>();
        for part in whole {
            for (at, p) in part.iter().enumerate() {
                add(&mut lanes, at, *p, shift);
            }
        }
        for (at, p) in rest.iter().enumerate() {
            add(&mut lanes, at, *p, shift);
        }
        sums.sum += total(lanes[0]);
        weighted += total(lanes[1]);
        sums.max = lanes[2].iter().copied().fold(sums.max, f32::max);
        sums.count += total(lanes[3]);
        sums.log += total(lanes[4]);
        sums.log_squared += total(lanes[5]);
    }
    sums.entropy = f64::from(shift) * sums.sum - weighted;
    sums
}

/// Adds one entry to the sums of its lane.
#[inline(always)]
fn add(lanes: &mut [[f32; LANES]; 6], at: usize, p: f32, shift: f32) {
    let positive = p >= f32::MIN_POSITIVE;
    let weight = if positive { 1.0 } else { 0.0 };
    // ln(p m): small values, so that the variance is not lost in their squares.
    let log = if positive { ln(p) + shift } else { 0.0 };
    lanes[0][at] += p;
    lanes[1][at] += p * log;
    lanes[2][at] = if p > lanes[2][at] { p } else { lanes[2][at] };
    lanes[3][at] += weight;
    lanes[4][at] += log;
    lanes[5][at] += log * log;
}

/// The sum over the lanes in f64.
#[inline(always)]
pub(in crate::metric) fn total(lanes: [f32; LANES]) -> f64 {
    lanes.iter().map(|lane| f64::from(*lane)).sum()
}

/// The natural logarithm of a normal positive f32, to about 2e-7 relative: no branches, so that loops vectorise.
#[inline(always)]
pub(in crate::metric) fn ln(x: f32) -> f32 {
    // x = 2^e f with f in [sqrt(1/2), sqrt(2)): adding the distance to sqrt(1/2) moves the boundary of the exponent there.
    let bits = x.to_bits().wrapping_add(0x3f80_0000 - 0x3f35_04f3);
    let exponent = ((bits >> 23) as i32 - 127) as f32;
    let fraction = f32::from_bits((bits & 0x007f_ffff) + 0x3f35_04f3);
    let t = (fraction - 1.0) / (fraction + 1.0);
    let square = t * t;
    let series = 2.0 / 3.0 + square * (2.0 / 5.0 + square * (2.0 / 7.0 + square * (2.0 / 9.0)));
    exponent * std::f32::consts::LN_2 + (2.0 * t + t * square * series)
}

/// The sum of some entries.
#[inline(always)]
pub(super) fn sum(entries: &[f32]) -> f64 {
    weighted(entries, |_| 1.0)
}

/// The sum of `p |j - i|` over the entries p of a row, with j their place.
#[inline(always)]
pub(super) fn distances(row: &[f32], i: usize) -> f64 {
    weighted(row, |j| (j as f32 - i as f32).abs())
}

#[inline(always)]
fn weighted(row: &[f32], weight: impl Fn(usize) -> f32) -> f64 {
    let mut sum = 0.0;
    for (chunk, row) in row.chunks(CHUNK).enumerate() {
        let mut lanes = [0.0_f32; LANES];
        let (whole, rest) = row.as_chunks::<LANES>();
        let start = chunk * CHUNK;
        for (part, row) in whole.iter().enumerate() {
            for at in 0..LANES {
                lanes[at] += row[at] * weight(start + part * LANES + at);
            }
        }
        for (at, p) in rest.iter().enumerate() {
            lanes[at] += p * weight(start + whole.len() * LANES + at);
        }
        sum += total(lanes);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_that_of_the_library() {
        let mut x = f32::MIN_POSITIVE;
        while x < 4.0 {
            let exact = f64::from(x).ln();
            assert!(
                (f64::from(ln(x)) - exact).abs() <= 3e-7 * exact.abs().max(1e-1),
                "{x}: {} {exact}",
                ln(x)
            );
            x *= 1.000_37;
        }
    }

    #[test]
    fn sums_are_those_of_all_lengths() {
        for m in [0, 1, 15, 16, 40, 1023, 1024, 2100] {
            let row: Vec<f32> = (0..m).map(|j| 1.0 / (1 + j % 7) as f32).collect();
            let exact: f64 = row.iter().map(|p| f64::from(*p)).sum();
            assert!((sum(&row) - exact).abs() <= 1e-6 * exact, "{m}");
            let far = |(j, p): (usize, &f32)| f64::from(*p) * (j as f64 - 20.0).abs();
            let exact: f64 = row.iter().enumerate().map(far).sum();
            assert!((distances(&row, 20) - exact).abs() <= 1e-6 * exact, "{m}");
        }
    }
}
