//! Sums over all keys, cut into segments: as many whatever the length and the number of threads, so that neither
//! changes what a sum takes, and the number of threads changes no bit.

use std::ops::Range;

/// What the segments of all heads are at least: enough for many threads to share.
const PIECES: usize = 16;
/// Keys that are not worth cutting.
const SHORT: usize = 256;

/// How many segments each of `heads` heads is cut into.
pub(in crate::attention) fn count(heads: usize, m: usize) -> usize {
    PIECES.div_ceil(heads.max(1)).min(m.div_ceil(SHORT)).max(1)
}

/// Keys that are never cut: of every kernel's chunks only the last one of a length is a part of one.
const CHUNK: usize = 64;

/// The keys of segment `i` of `count`.
pub(in crate::attention) fn keys(i: usize, count: usize, m: usize) -> Range<usize> {
    let chunks = m.div_ceil(CHUNK);
    let end = |i: usize| (i * chunks / count * CHUNK).min(m);
    end(i)..end(i + 1)
}
