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

/// Softmax over the first `sinks` keys and a [`window`] of `window` keys at each query, out of those that the mask leaves.
#[derive(Clone, Copy, Debug)]
pub(in crate::attention) struct Sinks {
    pub(in crate::attention) sinks: usize,
    pub(in crate::attention) window: usize,
}

impl Sinks {
    /// What query i sees of m keys: the sinks that its window does not hold or lie before, and the window.
    pub(in crate::attention) fn sees(self, i: usize, m: usize, mask: Mask) -> [Range<usize>; 2] {
        let window = window(i, self.window, m, mask);
        let sinks = self.sinks.min(mask.visible(i, m));
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
        forward(heads, saved, out, width(Some(self.window)), &[&part(0), &part(1)]);
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
        let sinks = Sinks { sinks: 3, window: 4 };
        assert_eq!(sinks.sees(9, 20, Mask::Causal), [0..3, 6..10]);
        assert_eq!(sinks.sees(5, 20, Mask::Causal), [0..0, 0..6], "the window begins among the sinks");
        assert_eq!(sinks.sees(1, 20, Mask::Causal), [0..0, 0..2]);
        assert_eq!(sinks.sees(0, 20, Mask::Full), [0..0, 0..3], "the window ends among the sinks");
        assert_eq!(sinks.sees(15, 10, Mask::Full), [0..3, 10..10], "after the last key");
        assert_eq!(Sinks { sinks: 3, window: 0 }.sees(9, 20, Mask::Causal), [0..3, 10..10]);
    }
}
