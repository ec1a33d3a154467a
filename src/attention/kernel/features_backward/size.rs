//! What attention by features takes: work space, what it leaves for the way back, and operations.

use crate::attention::kernel::chunk::{self, CHUNK};
use crate::attention::kernel::flat::Size;
use crate::attention::kernel::segments;
use crate::attention::kernel::share::whole_lines;
use crate::cost::{Cost, Shape};

/// Operations of one head with `f` features, but for those of making them.
pub(in crate::attention) fn cost(shape: &Shape, f: usize) -> [Cost; 2] {
    let Shape { n, m, d_v, causal, .. } = *shape;
    let (seen, w) = (if causal { n.min(m) } else { m }, d_v + 1);
    let forward = Cost::product(seen, f, d_v) + Cost::product(n, f, w) + Cost::divs(n);
    let backward = Cost::product(n, d_v, 1) + Cost::product(2 * n + seen, f, w) + Cost::product(seen, f, d_v);
    if !causal {
        return [forward, backward];
    }
    // What is inside a chunk meets, and the running sums are taken beside those of the segments.
    let inside = chunk::inside(n, m);
    let sums = Cost::product(2 * seen, f, w);
    let back = Cost::product(2 * n, f, w) + Cost::product(inside, 3 * f + 2 * w + d_v, 1);
    [forward, backward + sums + back]
}

/// Elements of a cache line.
pub(in crate::attention) const LINE: usize = whole_lines(1);

/// Elements of one worker with `f` features.
pub(in crate::attention) fn each(f: usize, w: usize) -> usize {
    CHUNK * (4 * f + 3 * w + 2 * CHUNK) + 2 * f * w
}

/// Elements of the work space for `f` features in whole cache lines.
pub(in crate::attention) fn space(size: &Size, f: usize) -> usize {
    let Size { shape: Shape { n, m, d_v, causal, .. }, heads, threads, .. } = *size;
    let (w, parts) = (d_v + LINE, heads * count(causal, heads, n, m));
    let states = if causal { 2 * parts } else { parts };
    whole_lines(heads * n) + states * f * w + threads.min(parts) * each(f, w)
}

/// Numbers that the forward pass leaves: what divides each query, and the sums of each head without a mask.
pub(in crate::attention) fn saved(size: &Size, f: usize) -> usize {
    let Size { shape: Shape { n, d_v, causal, .. }, heads, .. } = *size;
    heads * (n + if causal { 0 } else { f * (d_v + LINE) })
}

/// How many segments a head is cut into.
pub(in crate::attention) fn count(causal: bool, heads: usize, n: usize, m: usize) -> usize {
    segments::count(heads, if causal { n } else { n.max(m) })
}
