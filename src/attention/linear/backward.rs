//! The backward pass of linear attention (Katharopoulos et al. 2020): features `phi = elu + 1`, whose derivative is `min(phi, 1)`.

use pulp::{Simd, WithSimd};

use super::fused::Linear;
use super::phi::EPS;
use crate::attention::Mask;
use crate::attention::kernel::arrays::Arrays;
use crate::attention::kernel::features::{Features, Rows};
use crate::attention::kernel::features_backward::{self as by_features, ByFeatures};
use crate::attention::kernel::flat::Size;
use crate::attention::kernel::form::{BOTH, Backward, Saving};
use crate::attention::kernel::pass::{Pass, Raw, Upstream};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::share::whole_lines;
use crate::cost::{Cost, Shape};
use crate::linalg::lanes::{Path, exp2};

impl Backward for Linear {
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
        let narrow = pass.narrow[0];
        ByFeatures::new(pass, &Elu { narrow }, narrow).backward(saved, upstream, raw, space);
    }

    fn space(&self, size: &Size) -> usize {
        by_features::space(size, size.shape.d_h)[1]
    }

    fn saved(&self, size: &Size) -> usize {
        by_features::saved(size, size.shape.d_h)
    }

    fn cost(&self, shape: &Shape) -> [Cost; 2] {
        let Shape { n, m, d_h, .. } = *shape;
        let seen = if shape.causal { n.min(m) } else { m };
        // Under the causal mask the keys' features are made for the sums and again on the way, all of them again backward.
        let of_keys = if shape.causal { 2 * seen } else { seen };
        let again = if shape.causal { 2 * n } else { n };
        let [forward, backward] = by_features::cost(shape, d_h);
        [forward + Cost::exps((n + of_keys) * d_h), backward + Cost::exps((again + of_keys) * d_h)]
    }

    fn saving(&self) -> Option<&dyn Saving> {
        Some(self)
    }
}

impl Saving for Linear {
    fn forward(
        &self,
        pass: &Pass<'_>,
        _: &Arrays<'_>,
        saved: &mut Saved,
        out: &mut [f32],
        space: &mut [f32],
    ) {
        let narrow = pass.narrow[0];
        ByFeatures::new(pass, &Elu { narrow }, narrow).forward(saved, out, space);
    }

    fn space(&self, size: &Size) -> usize {
        by_features::space(size, size.shape.d_h)[0]
    }
}

struct Elu {
    /// Width of rows without the zeros after them, which have no features.
    narrow: usize,
}

impl Features for Elu {
    fn make(&self, path: Path, _: Rows, x: &[f32], phi: &mut [f32]) {
        path.run(Make { x, phi });
        let wide = whole_lines(self.narrow);
        if wide > self.narrow {
            phi.chunks_exact_mut(wide).for_each(|row| row[self.narrow..].fill(0.0));
        }
    }

    fn back(&self, path: Path, _: Rows, _: &[f32], phi: &[f32], d_phi: &mut [f32], dx: &mut [f32]) {
        path.run(Derivative { phi, d_phi, dx });
    }

    fn eps(&self) -> f32 {
        EPS
    }

    fn macs(&self) -> [usize; 2] {
        [0, 0]
    }
}

struct Make<'a> {
    x: &'a [f32],
    phi: &'a mut [f32],
}

impl WithSimd for Make<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, simd: S) {
        let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        let log2_e = simd.splat_f32s(std::f32::consts::LOG2_E);
        for (phi, x) in S::as_mut_simd_f32s(self.phi).0.iter_mut().zip(S::as_simd_f32s(self.x).0) {
            let below = exp2(simd, simd.mul_f32s(simd.min_f32s(*x, zero), log2_e));
            *phi = simd.select_f32s(simd.less_than_f32s(zero, *x), simd.add_f32s(*x, one), below);
        }
    }
}

struct Derivative<'a> {
    phi: &'a [f32],
    d_phi: &'a [f32],
    dx: &'a mut [f32],
}

impl WithSimd for Derivative<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, simd: S) {
        let one = simd.splat_f32s(1.0);
        let (phi, d_phi) = (S::as_simd_f32s(self.phi).0, S::as_simd_f32s(self.d_phi).0);
        for (dx, (phi, d_phi)) in S::as_mut_simd_f32s(self.dx).0.iter_mut().zip(phi.iter().zip(d_phi)) {
            *dx = simd.mul_f32s(*d_phi, simd.min_f32s(*phi, one));
        }
    }
}
