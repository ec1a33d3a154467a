//! Many heads by cosine features.

use ndarray::Array2;

use super::features::{Cosine, EPS, angle};
use crate::attention::Mask;
use crate::attention::kernel::exact::{ExactHead, dot, hidden, weighted};
use crate::attention::kernel::mapped::FeatureMap;

#[derive(Debug)]
pub(super) struct Cosformer {
    pub(super) max: usize,
}

impl Cosformer {
    /// M for so many queries and keys.
    pub(super) fn period(&self, mask: Mask, n: usize, m: usize) -> usize {
        if mask == Mask::Full { n.max(m) } else { self.max }
    }
}

impl FeatureMap for Cosformer {
    type Maker = Cosine;

    fn count(&self, d_h: usize) -> usize {
        2 * d_h
    }

    fn maker(&self, mask: Mask, (n, m): (usize, usize), [width, stride]: [usize; 2]) -> Cosine {
        Cosine { width, stride, max: self.period(mask, n, m) }
    }

    fn longest(&self, mask: Mask) -> Option<usize> {
        (mask == Mask::Causal).then_some(self.max)
    }

    fn exact(&self, head: &ExactHead) -> Array2<f64> {
        let ExactHead { q, k, v, mask, .. } = head;
        let max = self.period(*mask, q.nrows(), k.nrows());
        let [of_q, of_k] = [q, k].map(|x| x.mapv(|x| x.max(0.0)));
        let mut a = hidden(dot(of_q.view(), of_k.t()), *mask);
        for ((i, j), x) in a.indexed_iter_mut() {
            *x *= angle(i.abs_diff(j), max)[0];
        }
        weighted(&a, f64::from(EPS), v.view())
    }
}
