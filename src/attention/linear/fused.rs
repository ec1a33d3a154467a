//! Many heads by features elu + 1.

use ndarray::Array2;

use super::past::Sums;
use super::phi::EPS;
use crate::attention::Mask;
use crate::attention::kernel::arrays::Arrays;
use crate::attention::kernel::exact::{ExactArrays, ExactHead, Maxima, dot, hidden, weighted};
use crate::attention::kernel::features::{self, Map};
use crate::attention::kernel::flat::{Flat, Size};
use crate::attention::kernel::form::{BOTH, Backward, Form};
use crate::attention::kernel::past::Past;
use crate::attention::kernel::saved::Saved;

#[derive(Debug)]
pub(super) struct Linear;

impl Form for Linear {
    fn masks(&self) -> &'static [Mask] {
        BOTH
    }

    fn forward(&self, heads: &Flat<'_>, _: &Arrays<'_>, _: Option<&mut Saved>, out: &mut [f32]) {
        features::attend(heads, heads.d_h, Map::Elu(EPS), out);
    }

    fn space(&self, size: &Size) -> usize {
        features::space(size, size.shape.d_h, 0)
    }

    fn exact(&self, head: &ExactHead, _: &ExactArrays<'_>, _: &mut Maxima) -> Array2<f64> {
        let [q, k] = [&head.q, &head.k].map(|x| x.mapv(|x| if x > 0.0 { x + 1.0 } else { x.exp() }));
        weighted(&hidden(dot(q.view(), k.t()), head.mask), f64::from(EPS), head.v.view())
    }

    fn past(&self, d_h: usize, d_v: usize) -> Option<Box<dyn Past>> {
        Some(Box::new(Sums::new(d_h, d_v)))
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}
