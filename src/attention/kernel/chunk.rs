//! Sums that run along a sequence: segments, whose sums are taken first, and chunks inside of them.

use std::ops::Range;

use super::segments;

/// Rows of a chunk.
pub(in crate::attention) const CHUNK: usize = 64;

// What is met inside of chunks has a closed form because no segment begins within one.
const _: () = assert!(segments::CHUNK.is_multiple_of(CHUNK));

/// A range, a chunk at a time.
pub(in crate::attention) fn chunks(
    range: &Range<usize>,
) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
    let Range { start, end } = *range;
    (0..range.len().div_ceil(CHUNK)).map(move |i| start + i * CHUNK..(start + (i + 1) * CHUNK).min(end))
}

/// Pairs of a query and a key at most a place of its chunk after it, that are met chunk by chunk.
pub(in crate::attention) fn inside(n: usize, m: usize) -> usize {
    chunks(&(0..n)).map(|queries| queries.len() * (queries.end.min(m) - queries.start.min(m))).sum()
}

/// Sums of the `count` segments of a head become the sums of those before each, or, backward, of those after it; a segment
/// leaves `left` of the sums on its other side.
pub(in crate::attention) fn running(
    sums: &mut [f32],
    count: usize,
    backward: bool,
    left: impl Fn(usize) -> f32,
) {
    let piece = sums.len() / count;
    let left: Vec<f32> = (0..count).map(left).collect();
    for at in 0..piece {
        let mut sum = 0.0;
        for i in 0..count {
            let i = if backward { count - 1 - i } else { i };
            let here = std::mem::replace(&mut sums[i * piece + at], sum);
            sum = here + left[i] * sum;
        }
    }
}

/// Zeros where a query of a chunk does not see a key of it: rows of [`CHUNK`] numbers.
pub(in crate::attention) fn triangle(met: &mut [f32], rows: usize) {
    for (i, row) in met.chunks_exact_mut(CHUNK).take(rows).enumerate() {
        row[i + 1..].fill(0.0);
    }
}

/// The first numbers of a slice, which continues after them.
#[allow(clippy::mut_mut)] // the slice itself is moved on
pub(in crate::attention) fn split_front<'a>(rest: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (here, others) = std::mem::take(rest).split_at_mut(len);
    *rest = others;
    here
}
