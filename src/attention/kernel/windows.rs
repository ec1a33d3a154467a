//! Softmax in which every query sees a range of keys, by online softmax: exact attention and sliding windows.

use std::ops::Range;

use ndarray::Array2;

use super::arrays::Arrays;
use super::exact::{ExactArrays, ExactHead, Maxima, softmax};
use super::flash::{self, Attend, Block};
use super::flat::{Flat, Size};
use super::form::{BOTH, Backward, Form};
use super::pass::{Pass, Raw, Upstream};
use super::past::{Past, Rows};
use super::saved::Saved;
use super::share::{Space, aligned, in_parallel};
use super::windows_backward;
use crate::attention::mask::Mask;
use crate::cost::{Cost, Shape};

/// Softmax over a [`window`] of l keys at each query, out of those that the mask leaves; over all of them without one.
#[derive(Debug)]
pub(in crate::attention) struct Windows(pub(in crate::attention) Option<usize>);

impl Windows {
    /// As [`width`].
    fn width(&self) -> usize {
        width(self.0)
    }

    /// The keys that query i sees of m.
    fn sees(&self, i: usize, m: usize, mask: Mask) -> Range<usize> {
        self.0.map_or_else(|| 0..mask.visible(i, m), |l| window(i, l, m, mask))
    }
}

/// Queries of a block with windows of l keys, or with all of them. A block meets every key that any of its queries sees,
/// `width + l` of them, of which each sees l: wide blocks keep registers busier, narrow ones waste fewer pairs.
pub(super) fn width(l: Option<usize>) -> usize {
    match l {
        Some(0..=47) => 16,
        Some(48..=255) => 32,
        _ => 64,
    }
}

/// A window of l keys at position `i`, out of m: l/2 keys to each side of its own, and under a causal mask, which shows
/// none ahead, its own and the l - 1 before it.
pub(in crate::attention) fn window(i: usize, l: usize, m: usize, mask: Mask) -> Range<usize> {
    match (mask, l.checked_sub(1)) {
        (Mask::Full, _) => within(i, l / 2, m),
        (Mask::Causal, Some(before)) => within(i, before, mask.visible(i, m)),
        (Mask::Causal, None) => {
            let end = mask.visible(i, m);
            end..end
        }
    }
}

/// The keys within a distance of position `i`, out of the first `visible` ones: i - distance to i + distance, both
/// counted. Positions are compared as they are: a query after the last key may have none.
pub(in crate::attention) fn within(i: usize, distance: usize, visible: usize) -> Range<usize> {
    let start = i.saturating_sub(distance).min(visible);
    start..i.saturating_add(distance).saturating_add(1).min(visible)
}

impl Form for Windows {
    fn masks(&self) -> &'static [Mask] {
        BOTH
    }

    fn drops(&self) -> bool {
        true
    }

    fn forward(&self, heads: &Flat<'_>, _: &Arrays<'_>, saved: Option<&mut Saved>, out: &mut [f32]) {
        forward(heads, saved, out, self.width(), &[&|i| self.sees(i, heads.m, heads.mask)]);
    }

    fn space(&self, size: &Size) -> usize {
        space(size, self.width())
    }

    fn exact(&self, head: &ExactHead, _: &ExactArrays<'_>, _: &mut Maxima) -> Array2<f64> {
        let ExactHead { q, k, v, scale, mask } = head;
        let sees = |i: usize, j| self.sees(i, k.nrows(), *mask).contains(&j);
        softmax(q.view(), k.view(), v.view(), *scale, sees)
    }

    fn past(&self, _: usize, _: usize) -> Option<Box<dyn Past>> {
        Some(Box::new(Rows::new(self.0)))
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Windows {
    fn masks(&self) -> &'static [Mask] {
        BOTH
    }

    fn backward(
        &self,
        pass: &Pass<'_>,
        _: &Arrays<'_>,
        saved: &Saved,
        upstream: &Upstream<'_>,
        raw: Raw<'_>,
        space: &mut [f32],
    ) {
        let sees = |i: usize| self.sees(i, pass.m, pass.mask);
        windows_backward::backward(pass, saved, upstream, raw, space, &sees);
    }

    fn space(&self, size: &Size) -> usize {
        windows_backward::space(size)
    }

    fn saved(&self, size: &Size) -> usize {
        size.heads * size.shape.n
    }

    fn cost(&self, shape: &Shape) -> [Cost; 2] {
        let mask = Mask::of(shape);
        windows_backward::cost(shape, (0..shape.n).map(|i| self.sees(i, shape.m, mask).len()).sum())
    }
}

/// Elements of work space for blocks of `width` queries.
pub(super) fn space(size: &Size, width: usize) -> usize {
    let Shape { n, d_h, d_v, .. } = size.shape;
    aligned(size.threads.min(size.heads * n.div_ceil(width)) * flash::space(width, d_h, d_v))
}

/// Softmax where query i sees the keys of every `sees(i)`, which do not overlap and whose ends never fall from one query to
/// the next, by blocks of `width` queries (16, 32, 48 or 64). Saves the logarithm of each query's sum of weights.
pub(super) fn forward(
    heads: &Flat<'_>,
    saved: Option<&mut Saved>,
    out: &mut [f32],
    width: usize,
    sees: &[&(dyn Fn(usize) -> Range<usize> + Sync)],
) {
    let Flat { n, d_h, d_v, .. } = *heads;
    let each = flash::space(width, d_h, d_v);
    let workers = rayon::current_num_threads().min(heads.h * n.div_ceil(width));
    let mut space = Space::new(workers * each);
    let mut none = Vec::new();
    let logs = saved.map_or(&mut none, |saved| {
        saved.rows = vec![0.0; heads.h * n];
        &mut saved.rows
    });
    in_parallel(
        heads.blocks_saving(out, logs, width),
        space.all(),
        each,
        |((head, first, out), logs), space| {
            let mut block = Block::new(width, d_h, d_v, space);
            let last = first + out.len() / d_v - 1;
            block.begin(&heads.q(head)[first * d_h..(last + 1) * d_h], d_h, heads.scale);
            for sees in sees {
                let (of_first, of_last) = (sees(first), sees(last));
                block.see(|i| sees((first + i).min(last)));
                heads.path.run(Attend {
                    block: &mut block,
                    k: heads.k(head),
                    v: heads.v(head),
                    d_h,
                    d_v,
                    pack_keys: false,
                    dropped: (heads.dropout, head * n + first),
                    keys: of_first.start..of_last.end,
                    open: of_last.start..of_first.end,
                    tally: heads.tally.map(|tally| (tally, d_h + d_v)),
                });
            }
            for (log, (max, total)) in logs.iter_mut().zip(block.max.iter().zip(&*block.total)) {
                // Of a query that sees no key every weight is to be 0.
                *log = if *total == 0.0 { f32::INFINITY } else { max + total.log2() };
            }
            block.finish(out, d_v);
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_end_where_the_keys_do() {
        assert_eq!(window(10, 16, 64, Mask::Full), 2..19);
        assert_eq!(window(10, 16, 64, Mask::Causal), 0..11);
        assert_eq!(window(20, 16, 64, Mask::Causal), 5..21, "16 keys, its own among them");
        assert_eq!(window(3, 1, 64, Mask::Full), 3..4);
        assert_eq!(window(3, 1, 64, Mask::Causal), 3..4);
        assert!(window(20, 5, 5, Mask::Full).is_empty());
        assert_eq!(window(7, 5, 5, Mask::Causal), 3..5);
    }
}
