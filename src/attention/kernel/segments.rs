//! Sums over all keys, cut into segments: as many whatever the length and the number of threads, so that neither
//! changes what a sum takes, and the number of threads changes no bit.

use std::ops::Range;

/// What the segments of all heads are at least: enough for many threads to share.
const MIN_SEGMENTS: usize = 16;
/// Keys that are not worth cutting.
const SHORT: usize = 256;

/// How many segments each of `heads` heads is cut into.
pub(in crate::attention) fn count(heads: usize, m: usize) -> usize {
    MIN_SEGMENTS.div_ceil(heads.max(1)).min(m.div_ceil(SHORT)).max(1)
}

/// Segments begin at multiples of this, so that the chunks of running sums are the same wherever a head is cut.
pub(in crate::attention) const CHUNK: usize = 64;

/// The keys of segment `i` of `count`: none, perhaps, where `count` was taken of a longer side.
pub(in crate::attention) fn keys(i: usize, count: usize, m: usize) -> Range<usize> {
    let chunks = m.div_ceil(CHUNK);
    let end = |i: usize| (i * chunks / count * CHUNK).min(m);
    end(i)..end(i + 1)
}
