//! Many heads by features elu + 1.

use ndarray::Array2;

use super::features::Elu;
use super::past::Sums;
use super::phi::EPS;
use crate::attention::Mask;
use crate::attention::kernel::exact::{ExactHead, dot, hidden, weighted};
use crate::attention::kernel::mapped::FeatureMap;
use crate::attention::kernel::past::Past;
use crate::cost::{Cost, Shape};

#[derive(Debug)]
pub(super) struct Linear;

impl FeatureMap for Linear {
    type Maker = Elu;

    fn count(&self, d_h: usize) -> usize {
        d_h
    }

    fn maker(&self, _: Mask, _: (usize, usize), [width, stride]: [usize; 2]) -> Elu {
        Elu { width, stride }
    }

    fn making(&self, shape: &Shape) -> [Cost; 2] {
        let Shape { n, m, d_h, .. } = *shape;
        let seen = if shape.causal { n.min(m) } else { m };
        // Under the causal mask the way back makes those of keys for the sums too, and each again in its second half.
        let again = if shape.causal { 2 * n + 3 * seen } else { n + seen };
        [Cost::exps((n + seen) * d_h), Cost::exps(again * d_h)]
    }

    fn exact(&self, head: &ExactHead) -> Array2<f64> {
        let [q, k] = [&head.q, &head.k].map(|x| x.mapv(|x| if x > 0.0 { x + 1.0 } else { x.exp() }));
        weighted(&hidden(dot(q.view(), k.t()), head.mask), f64::from(EPS), head.v.view())
    }

    fn past(&self, d_h: usize, d_v: usize) -> Option<Box<dyn Past>> {
        Some(Box::new(Sums::new(d_h, d_v)))
    }
}
