//! Many heads by positive features.

use ndarray::{Array2, Axis, s};

use super::past::Features;
use crate::attention::Mask;
use crate::attention::kernel::arrays::{Arrays, Draw, Part};
use crate::attention::kernel::exact::{ExactArrays, ExactHead, Maxima, dot, weighted};
use crate::attention::kernel::features::{self, Map};
use crate::attention::kernel::flat::{Flat, STANDARD, Size};
use crate::attention::kernel::form::{BOTH, Backward, Form};
use crate::attention::kernel::past::Past;
use crate::attention::kernel::saved::Saved;

#[derive(Debug)]
pub(super) struct Performer {
    pub(super) l: usize,
    /// Added to each feature.
    pub(super) eps: f32,
}

impl Form for Performer {
    fn masks(&self) -> &'static [Mask] {
        BOTH
    }

    fn parts(&self, _: usize, d_h: usize) -> Vec<Part> {
        let (shape, draw) = ((self.l, d_h), Draw::Normal);
        vec![Part { name: "features", shape, per_head: false, longer: false, trained: false, draw }]
    }

    fn forward(&self, heads: &Flat<'_>, arrays: &Arrays<'_>, saved: Option<&mut Saved>, out: &mut [f32]) {
        let w = arrays.matrix("features");
        let w = w.as_standard_layout();
        let map = Map::Positive { w: w.as_slice().expect(STANDARD), eps: self.eps };
        features::attend(heads, self.l, map, saved, out);
    }

    fn space(&self, size: &Size) -> usize {
        features::space(size, self.l, self.l)
    }

    /// Under the causal mask the maximum is that of the keys so far.
    fn exact(&self, head: &ExactHead, arrays: &ExactArrays<'_>, maxima: &mut Maxima) -> Array2<f64> {
        let ExactHead { q, k, v, scale, mask } = head;
        let (w, eps) = (arrays.get("features"), f64::from(self.eps));
        let exponents = |x: &Array2<f64>| {
            let norms = x.map_axis(Axis(1), |row| -0.5 * scale * row.dot(&row)).insert_axis(Axis(1));
            (dot(x.view(), w.t()) * scale.sqrt(), norms)
        };
        let ((of_q, norms_q), (of_k, norms_k)) = (exponents(q), exponents(k));
        let mut phi_q = &of_q + &norms_q;
        for (mut row, of_q) in phi_q.outer_iter_mut().zip(of_q.outer_iter()) {
            let max = maxima.of(of_q.iter().copied());
            row.mapv_inplace(|x| (x - max).exp() + eps);
        }
        let whole = &of_k + &norms_k;
        let features = |seen: usize, max: f64| whole.slice(s![..seen, ..]).mapv(|x| (x - max).exp() + eps);
        if *mask == Mask::Full {
            let max = maxima.of(of_k.iter().copied());
            return weighted(&dot(phi_q.view(), features(k.nrows(), max).t()), 0.0, v.view());
        }
        let mut a = Array2::zeros((q.nrows(), k.nrows()));
        for (i, mut row) in a.outer_iter_mut().enumerate() {
            let seen = mask.visible(i, k.nrows());
            let max = maxima.of(of_k.slice(s![..seen, ..]).iter().copied());
            row.slice_mut(s![..seen]).assign(&features(seen, max).dot(&phi_q.row(i)));
        }
        weighted(&a, 0.0, v.view())
    }

    fn past(&self, _: usize, d_v: usize) -> Option<Box<dyn Past>> {
        Some(Box::new(Features::new(self.l, d_v, self.eps)))
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}
