//! Softmax in which every query sees the first keys and a window, by online softmax.

use std::ops::Range;

use ndarray::Array2;

use super::arrays::Arrays;
use super::exact::{ExactArrays, ExactHead, Maxima, softmax};
use super::flat::{Flat, Size};
use super::form::{BOTH, Form};
use super::saved::Saved;
use super::windows::{forward, space, width, window};
use crate::attention::mask::Mask;

/// Softmax over the first `leading` keys and a [`window`] of `window` keys at each query, out of those that the mask leaves.
#[derive(Clone, Copy, Debug)]
pub(in crate::attention) struct Sinks {
    pub(in crate::attention) leading: usize,
    pub(in crate::attention) window: usize,
    /// Whether the queries at the sinks read every key.
    pub(in crate::attention) global: bool,
}

impl Sinks {
    /// What query i sees of m keys: the sinks that its window does not hold or lie before, the window, and of a global query
    /// the keys after that. The ranges are in ascending order and do not overlap.
    pub(in crate::attention) fn sees(self, i: usize, m: usize, mask: Mask) -> [Range<usize>; 3] {
        let visible = mask.visible(i, m);
        let [sinks, window] = self.near(i, m, mask);
        let after = if self.global && i < self.leading { window.end } else { visible };
        [sinks, window, after..visible]
    }

    fn near(self, i: usize, m: usize, mask: Mask) -> [Range<usize>; 2] {
        let window = window(i, self.window, m, mask);
        let sinks = self.leading.min(mask.visible(i, m));
        // Where the window begins among the sinks the two are one range, which is longer than the window alone if it ends there.
        if window.start <= sinks { [0..0, 0..window.end.max(sinks)] } else { [0..sinks, window] }
    }
}

impl Form for Sinks {
    fn masks(&self) -> &'static [Mask] {
        BOTH
    }

    fn forward(&self, heads: &Flat<'_>, _: &Arrays<'_>, saved: Option<&mut Saved>, out: &mut [f32]) {
        let part = |part: usize| move |i| self.sees(i, heads.m, heads.mask)[part].clone();
        // Under the causal mask the window and the sinks are all that a query at a sink sees.
        let parts = if self.global && heads.mask == Mask::Full { 3 } else { 2 };
        let [sinks, window, after] = [part(0), part(1), part(2)];
        let sees: [&(dyn Fn(usize) -> Range<usize> + Sync); 3] = [&sinks, &window, &after];
        forward(heads, saved, out, width(Some(self.window)), &sees[..parts]);
    }

    fn space(&self, size: &Size) -> usize {
        space(size, width(Some(self.window)))
    }

    fn exact(&self, head: &ExactHead, _: &ExactArrays<'_>, _: &mut Maxima) -> Array2<f64> {
        let ExactHead { q, k, v, scale, mask } = head;
        let sees = |i: usize, j| self.sees(i, k.nrows(), *mask).iter().any(|range| range.contains(&j));
        softmax(q.view(), k.view(), v.view(), *scale, sees)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_and_window_are_disjoint() {
        let sinks = Sinks { leading: 3, window: 4, global: false };
        assert_eq!(sinks.near(9, 20, Mask::Causal), [0..3, 6..10]);
        assert_eq!(sinks.near(5, 20, Mask::Causal), [0..0, 0..6], "the window begins among the sinks");
        assert_eq!(sinks.near(1, 20, Mask::Causal), [0..0, 0..2]);
        assert_eq!(sinks.near(0, 20, Mask::Full), [0..0, 0..3], "the window ends among the sinks");
        assert_eq!(sinks.near(15, 10, Mask::Full), [0..3, 10..10], "after the last key");
        assert_eq!(Sinks { window: 0, ..sinks }.near(9, 20, Mask::Causal), [0..3, 10..10]);
    }

    #[test]
    fn global_queries_see_all_that_the_mask_leaves() {
        let longformer = Sinks { leading: 2, window: 4, global: true };
        assert_eq!(longformer.sees(1, 10, Mask::Full), [0..0, 0..4, 4..10]);
        assert_eq!(longformer.sees(1, 10, Mask::Causal), [0..0, 0..2, 2..2]);
        assert_eq!(longformer.sees(7, 10, Mask::Full), [0..2, 5..10, 10..10]);
        assert_eq!(longformer.sees(7, 10, Mask::Causal), [0..2, 4..8, 8..8]);
        assert_eq!(
            longformer.sees(3, 10, Mask::Full),
            [0..0, 0..6, 10..10],
            "the window reaches the global tokens"
        );
        assert_eq!(longformer.sees(20, 10, Mask::Full), [0..2, 10..10, 10..10], "after the last key");
    }
}
