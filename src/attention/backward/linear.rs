//! Linear attention backwards (Katharopoulos et al. 2020): features `phi = elu + 1`, whose slope is `min(phi, 1)`.

use pulp::{Simd, WithSimd};

use super::by_features::{self, ByFeatures, Features};
use super::{Backward, Size};
use crate::attention::Mask;
use crate::attention::fused::share::lines;
use crate::attention::fused::{Given, Heads, refuse};
use crate::attention::linear::EPS;
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::linalg::lanes::{Path, exp2};

pub(super) const BACKWARD: Backward = Backward {
    name: "linear",
    masks: &[Mask::Full, Mask::Causal],
    of_p: false,
    fits,
    forward: |pass, _, kept, out, space| {
        ByFeatures::new(pass, &Elu { narrow: pass.narrow[0] }, pass.narrow[0]).forward(kept, out, space);
    },
    backward: |pass, _, kept, upstream, raw, space| {
        ByFeatures::new(pass, &Elu { narrow: pass.narrow[0] }, pass.narrow[0])
            .backward(kept, upstream, raw, space);
    },
    space: |size: &Size| by_features::space(size, size.shape.d_h),
    kept: |size: &Size| by_features::kept(size, size.shape.d_h),
    cost: |shape, _| {
        let Shape { n, m, d_h, .. } = *shape;
        let seen = if shape.causal { n.min(m) } else { m };
        // Under the causal mask the keys' are made for the sums and again on the way, all of them again backwards.
        let of_keys = if shape.causal { 2 * seen } else { seen };
        let again = if shape.causal { 2 * n } else { n };
        let [forward, backward] = by_features::cost(shape, d_h);
        [forward + Cost::exps((n + of_keys) * d_h), backward + Cost::exps((again + of_keys) * d_h)]
    },
};

fn fits(_: &Heads<'_>, given: &Given<'_>) -> Result<()> {
    if let Given::Nothing = given { Ok(()) } else { refuse(BACKWARD.name, given) }
}

struct Elu {
    /// Width of rows without the zeros behind them, which have no features.
    narrow: usize,
}

impl Features for Elu {
    fn make(&self, path: Path, _: usize, _: bool, x: &[f32], phi: &mut [f32]) {
        path.run(Make { x, phi });
        let wide = lines(self.narrow);
        if wide > self.narrow {
            phi.chunks_exact_mut(wide).for_each(|row| row[self.narrow..].fill(0.0));
        }
    }

    fn back(&self, path: Path, _: &[f32], phi: &[f32], d_phi: &mut [f32], dx: &mut [f32]) {
        path.run(Slope { phi, d_phi, dx });
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

struct Slope<'a> {
    phi: &'a [f32],
    d_phi: &'a [f32],
    dx: &'a mut [f32],
}

impl WithSimd for Slope<'_> {
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
