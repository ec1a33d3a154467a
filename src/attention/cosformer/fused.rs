//! Many heads by cosine features.

use ndarray::Array2;

use super::features::{Cosine, EPS, angle};
use crate::attention::Mask;
use crate::attention::kernel::arrays::Arrays;
use crate::attention::kernel::exact::{ExactArrays, ExactHead, Maxima, dot, hidden, weighted};
use crate::attention::kernel::features::{self, Map};
use crate::attention::kernel::flat::{Flat, Size};
use crate::attention::kernel::form::{BOTH, Backward, Form};
use crate::attention::kernel::saved::Saved;

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

impl Form for Cosformer {
    fn masks(&self) -> &'static [Mask] {
        BOTH
    }

    fn longest(&self, mask: Mask) -> Option<usize> {
        (mask == Mask::Causal).then_some(self.max)
    }

    fn forward(&self, heads: &Flat<'_>, _: &Arrays<'_>, _: Option<&mut Saved>, out: &mut [f32]) {
        let max = self.period(heads.mask, heads.n, heads.m);
        let map = Cosine { width: heads.d_h, stride: heads.d_h, max };
        features::attend(heads, 2 * heads.d_h, Map::By(&map), out);
    }

    fn space(&self, size: &Size) -> usize {
        features::space(size, 2 * size.shape.d_h, 0)
    }

    fn exact(&self, head: &ExactHead, _: &ExactArrays<'_>, _: &mut Maxima) -> Array2<f64> {
        let ExactHead { q, k, v, mask, .. } = head;
        let max = self.period(*mask, q.nrows(), k.nrows());
        let [of_q, of_k] = [q, k].map(|x| x.mapv(|x| x.max(0.0)));
        let mut a = hidden(dot(of_q.view(), of_k.t()), *mask);
        for ((i, j), x) in a.indexed_iter_mut() {
            *x *= angle(i.abs_diff(j), max)[0];
        }
        weighted(&a, f64::from(EPS), v.view())
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}
