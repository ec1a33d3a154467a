//! What causal Luna takes from weights on: work space, what it leaves for the way back, and operations.

use crate::attention::kernel::chunk::{self, CHUNK};
use crate::attention::kernel::flat::Size;
use crate::attention::kernel::segments;
use crate::attention::kernel::share::whole_lines;
use crate::cost::{Cost, Shape};

/// Elements of a worker, with l in whole cache lines.
pub(in crate::attention) fn each(d_h: usize, d_v: usize, wide: usize) -> usize {
    CHUNK * (5 * CHUNK + 2 * wide + d_h + d_v) + wide * CHUNK + 2 * wide * (d_h + d_v)
}

/// Elements of the sums that every segment begins with.
pub(in crate::attention) fn sums(size: &Size, l: usize) -> usize {
    let Size { shape: Shape { n, d_h, d_v, .. }, heads, .. } = *size;
    heads * segments::count(heads, n) * whole_lines(l) * (d_h + d_v)
}

/// Elements of the work space, forward and backward.
pub(in crate::attention) fn space(size: &Size, l: usize) -> [usize; 2] {
    let Size { shape: Shape { n, d_h, d_v, .. }, heads, threads } = *size;
    let (wide, parts) = (whole_lines(l), heads * segments::count(heads, n));
    let own = threads.min(parts) * each(d_h, d_v, wide);
    [own, whole_lines(heads * n) + 2 * heads * n * wide + sums(size, l) + own]
}

/// Numbers that the forward pass leaves: the sums that each segment begins with, and the logarithm of each query.
pub(in crate::attention) fn saved(size: &Size, l: usize) -> usize {
    sums(size, l) + size.heads * size.shape.n
}

/// Operations of one head, forward and backward.
pub(in crate::attention) fn cost(shape: &Shape, l: usize) -> [Cost; 2] {
    let Shape { n, m, d_h, d_v, .. } = *shape;
    let seen = n.min(m);
    let inside = chunk::inside(n, m);
    let (sums, read) = (Cost::product(seen, l, d_h + d_v), Cost::product(n, l, d_h + d_v));
    let forward = sums * 2 + read + Cost::product(inside, d_h + d_v + 2 * l, 1) + Cost::softmax(n, n * l);
    let first =
        sums + read * 2 + Cost::product(n + seen, l, d_h) + Cost::product(inside, 2 * d_h + d_v + 3 * l, 1);
    let second = sums * 2 + read * 2 + Cost::product(inside, 2 * d_h + 2 * d_v + 4 * l, 1);
    [forward, Cost::product(n, d_v, 1) + Cost::exps(n * l) + first + second]
}
