//! Attention by features that follow from each row and its position alone: linear attention and cosFormer.

use ndarray::Array2;

use super::arrays::Arrays;
use super::exact::{ExactArrays, ExactHead, Maxima};
use super::features::{self, Features, Map};
use super::features_backward::{self as by_features, ByFeatures};
use super::flat::{Flat, Size};
use super::form::{BOTH, Backward, Form};
use super::pass::{Pass, Raw, Upstream};
use super::past::Past;
use super::saved::Saved;
use crate::attention::Mask;
use crate::cost::{Cost, Shape};

/// The feature map of a mechanism, and what else it is told apart by.
pub(in crate::attention) trait FeatureMap: std::fmt::Debug + Send + Sync {
    /// What makes features.
    type Maker: Features;

    /// Features of a row of width `d_h`.
    fn count(&self, d_h: usize) -> usize;

    /// For so many queries and keys; rows have a width, and begin so far apart.
    fn maker(&self, mask: Mask, lengths: (usize, usize), row: [usize; 2]) -> Self::Maker;

    /// Operations of making features and of going back, of one head, forward and backward.
    fn making(&self, _shape: &Shape) -> [Cost; 2] {
        [Cost::default(); 2]
    }

    /// As [`Form::longest`].
    fn longest(&self, _mask: Mask) -> Option<usize> {
        None
    }

    /// As [`Form::exact`].
    fn exact(&self, head: &ExactHead) -> Array2<f64>;

    /// As [`Form::past`].
    fn past(&self, _d_h: usize, _d_v: usize) -> Option<Box<dyn Past>> {
        None
    }
}

/// The fused implementation of a feature map.
#[derive(Debug)]
pub(in crate::attention) struct Mapped<M>(pub(in crate::attention) M);

impl<M: FeatureMap> Form for Mapped<M> {
    fn masks(&self) -> &'static [Mask] {
        BOTH
    }

    fn longest(&self, mask: Mask) -> Option<usize> {
        self.0.longest(mask)
    }

    fn forward(&self, heads: &Flat<'_>, _: &Arrays<'_>, saved: Option<&mut Saved>, out: &mut [f32]) {
        let maker = self.0.maker(heads.mask, (heads.n, heads.m), [heads.d_h; 2]);
        features::attend(heads, self.0.count(heads.d_h), Map::By(&maker), saved, out);
    }

    fn space(&self, size: &Size) -> usize {
        features::space(size, self.0.count(size.shape.d_h), 0)
    }

    fn exact(&self, head: &ExactHead, _: &ExactArrays<'_>, _: &mut Maxima) -> Array2<f64> {
        self.0.exact(head)
    }

    fn past(&self, d_h: usize, d_v: usize) -> Option<Box<dyn Past>> {
        self.0.past(d_h, d_v)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl<M: FeatureMap> Backward for Mapped<M> {
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
        let maker = self.0.maker(pass.mask, (pass.n, pass.m), [pass.narrow[0], pass.d_h]);
        ByFeatures::new(pass, &maker, self.0.count(pass.narrow[0])).backward(saved, upstream, raw, space);
    }

    fn space(&self, size: &Size) -> usize {
        by_features::space(size, self.0.count(size.shape.d_h))
    }

    /// An upper bound where features are more than one for each number of a row whose width is no whole number of cache
    /// lines.
    fn saved(&self, size: &Size) -> usize {
        by_features::saved(size, self.0.count(size.shape.d_h))
    }

    fn cost(&self, shape: &Shape) -> [Cost; 2] {
        let [forward, backward] = by_features::cost(shape, self.0.count(shape.d_h));
        let [making, making_again] = self.0.making(shape);
        [forward + making, backward + making_again]
    }
}
