//! Gradients by cosine features.

use super::features::Cosine;
use super::fused::Cosformer;
use crate::attention::Mask;
use crate::attention::kernel::arrays::Arrays;
use crate::attention::kernel::features_backward::{self as by_features, ByFeatures};
use crate::attention::kernel::flat::Size;
use crate::attention::kernel::form::{BOTH, Backward, Saving};
use crate::attention::kernel::pass::{Pass, Raw, Upstream};
use crate::attention::kernel::saved::Saved;
use crate::cost::{Cost, Shape};

impl Cosformer {
    fn map(&self, pass: &Pass<'_>) -> Cosine {
        let max = self.period(pass.mask, pass.n, pass.m);
        Cosine { width: pass.narrow[0], stride: pass.d_h, max }
    }
}

impl Backward for Cosformer {
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
        let map = self.map(pass);
        ByFeatures::new(pass, &map, 2 * map.width).backward(saved, upstream, raw, space);
    }

    fn space(&self, size: &Size) -> usize {
        by_features::space(size, 2 * size.shape.d_h)[1]
    }

    /// An upper bound where the width of a head is no whole number of cache lines.
    fn saved(&self, size: &Size) -> usize {
        by_features::saved(size, 2 * size.shape.d_h)
    }

    fn cost(&self, shape: &Shape) -> [Cost; 2] {
        by_features::cost(shape, 2 * shape.d_h)
    }

    fn saving(&self) -> Option<&dyn Saving> {
        Some(self)
    }
}

impl Saving for Cosformer {
    fn forward(
        &self,
        pass: &Pass<'_>,
        _: &Arrays<'_>,
        saved: &mut Saved,
        out: &mut [f32],
        space: &mut [f32],
    ) {
        let map = self.map(pass);
        ByFeatures::new(pass, &map, 2 * map.width).forward(saved, out, space);
    }

    fn space(&self, size: &Size) -> usize {
        by_features::space(size, 2 * size.shape.d_h)[0]
    }
}
