//! The backward pass of Performer (Choromanski et al. 2021): positive features, of which the subtracted maxima are constants.
//!
//! ```text
//! u = sqrt(s) x W^T - s |x|^2 / 2 - max      phi = exp(u) + eps
//! du = dphi * exp(u)                         dx  = sqrt(s) du W - s rowsum(du) x
//! ```

use pulp::{Simd, WithSimd};

use super::fused::Performer;
use crate::attention::Mask;
use crate::attention::kernel::arrays::Arrays;
use crate::attention::kernel::features::{Features, Rows};
use crate::attention::kernel::features_backward::{self as by_features, ByFeatures};
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::flat::Size;
use crate::attention::kernel::form::Backward;
use crate::attention::kernel::pass::{Pass, Raw, Upstream};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::share::{carve, whole_lines};
use crate::attention::kernel::tiles::{Add, Set, product};
use crate::cost::{Cost, Shape};
use crate::linalg::lanes::{Path, exp2};

const LOG2_E: f32 = std::f32::consts::LOG2_E;

impl Backward for Performer {
    fn masks(&self) -> &'static [Mask] {
        &[Mask::Full]
    }

    fn backward(
        &self,
        pass: &Pass<'_>,
        arrays: &Arrays<'_>,
        saved: &Saved,
        upstream: &Upstream<'_>,
        raw: Raw<'_>,
        mut space: &mut [f32],
    ) {
        let mut positive = Positive::new(self, pass, arrays, &mut space);
        positive.tops.clone_from(&saved.pack_rows);
        ByFeatures::new(pass, &positive, self.l).backward(saved, upstream, raw, space);
    }

    fn space(&self, size: &Size) -> usize {
        let d_h = size.shape.d_h;
        by_features::space(size, whole_lines(self.l)) + d_h * whole_lines(self.l) + self.l * d_h
    }

    /// The largest exponent of each head's keys beside what every mechanism by features saves.
    fn saved(&self, size: &Size) -> usize {
        by_features::saved(size, whole_lines(self.l)) + size.heads
    }

    fn cost(&self, shape: &Shape) -> [Cost; 2] {
        let (Shape { n, m, d_h, .. }, l) = (*shape, self.l);
        // Features and the squares of rows.
        let features = Cost::product(n + m, d_h, l + 1) + Cost::exps((n + m) * l);
        let [forward, backward] = by_features::cost(shape, l);
        [forward + features, backward + features + Cost::product(n + m, d_h, l)]
    }
}

struct Positive<'a> {
    /// W, rows of `d_h` in whole cache lines.
    rows: &'a [f32],
    /// `W^T` with the root of the scale and `log2 e` in it, (`d_h`, l in whole cache lines).
    transposed: &'a [f32],
    l: usize,
    /// Width of rows with the zeros after them, and without.
    d_h: usize,
    narrow: usize,
    scale: f32,
    eps: f32,
    /// The largest exponent of the keys of each head.
    tops: Vec<f32>,
}

impl<'a> Positive<'a> {
    #[allow(clippy::mut_mut)] // the slice itself is moved on
    fn new(of: &Performer, pass: &Pass<'_>, arrays: &Arrays<'_>, space: &mut &'a mut [f32]) -> Self {
        let Pass { d_h, scale, .. } = *pass;
        let Performer { l, eps } = *of;
        let (rows, transposed) = (carve(space, l * d_h), carve(space, d_h * whole_lines(l)));
        for (row, w) in rows.chunks_exact_mut(d_h).zip(arrays.matrix("features").rows()) {
            row.iter_mut().zip(w).for_each(|(x, w)| *x = *w);
        }
        transpose((rows, d_h), (transposed, whole_lines(l)), (l, d_h), |_| scale.sqrt() * LOG2_E);
        Self { rows, transposed, l, d_h, narrow: pass.narrow[0], scale, eps, tops: Vec::new() }
    }
}

impl Features for Positive<'_> {
    fn make(&self, path: Path, Rows { head, keys, .. }: Rows, x: &[f32], phi: &mut [f32]) {
        let (rows, wide, d_h) = (x.len() / self.d_h, whole_lines(self.l), self.d_h);
        product(path, (rows, d_h, wide), (x, d_h), (self.transposed, wide), (&mut *phi, wide), Set);
        let norm = -0.5 * self.scale * LOG2_E;
        for (x, phi) in x.chunks_exact(d_h).zip(phi.chunks_exact_mut(wide)) {
            let top = if keys { self.tops[head] } else { path.run(Largest(phi, self.l)) };
            path.run(Feature { x, phi: &mut *phi, norm, top, eps: self.eps });
            phi[self.l..].fill(0.0);
        }
    }

    fn back(&self, path: Path, _: Rows, x: &[f32], phi: &[f32], d_phi: &mut [f32], dx: &mut [f32]) {
        let (rows, wide, d_h) = (x.len() / self.d_h, whole_lines(self.l), self.d_h);
        let each = phi.chunks_exact(wide).zip(d_phi.chunks_exact_mut(wide));
        let each = each.zip(x.chunks_exact(d_h).zip(dx.chunks_exact_mut(d_h)));
        for ((phi, gradient), (x, dx)) in each {
            let root = self.scale.sqrt();
            let sum = path.run(Derivative { phi, gradient: &mut *gradient, l: self.l, eps: self.eps, root });
            // `gradient` have the root of the scale in them already.
            dx.iter_mut().zip(x).for_each(|(dx, x)| *dx = -root * sum * x);
        }
        product(path, (rows, self.l, d_h), (d_phi, wide), (self.rows, d_h), (dx, d_h), Add);
    }

    fn eps(&self) -> f32 {
        0.0
    }

    fn macs(&self) -> [usize; 2] {
        // The square of the row beside its products.
        [self.narrow * (self.l + 1), self.narrow * self.l]
    }
}

/// The largest of the first numbers of a row in whole cache lines, after which nothing is known.
struct Largest<'a>(&'a [f32], usize);

impl WithSimd for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (whole, rest) = S::as_simd_f32s(&self.0[..self.1]);
        let mut max = simd.splat_f32s(f32::NEG_INFINITY);
        for x in whole {
            max = simd.max_f32s(*x, max);
        }
        let mut top = simd.reduce_max_f32s(max);
        for x in rest {
            top = if *x > top { *x } else { top };
        }
        top
    }
}

/// One row's exponents become features.
struct Feature<'a> {
    x: &'a [f32],
    phi: &'a mut [f32],
    norm: f32,
    top: f32,
    eps: f32,
}

impl WithSimd for Feature<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, simd: S) {
        let mut sum = simd.splat_f32s(0.0);
        for x in S::as_simd_f32s(self.x).0 {
            sum = simd.mul_add_e_f32s(*x, *x, sum);
        }
        let shift = simd.splat_f32s(simd.reduce_sum_f32s(sum) * self.norm - self.top);
        let eps = simd.splat_f32s(self.eps);
        for x in S::as_mut_simd_f32s(self.phi).0 {
            *x = simd.add_f32s(exp2(simd, simd.add_f32s(*x, shift)), eps);
        }
    }
}

/// One row's gradient of features becomes that of exponents, times `root`; returns their sum.
struct Derivative<'a> {
    phi: &'a [f32],
    gradient: &'a mut [f32],
    l: usize,
    eps: f32,
    root: f32,
}

impl WithSimd for Derivative<'_> {
    type Output = f32;

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        self.gradient[self.l..].fill(0.0);
        let (eps, root) = (simd.splat_f32s(self.eps), simd.splat_f32s(self.root));
        let mut sum = simd.splat_f32s(0.0);
        for (x_gradient, phi) in
            S::as_mut_simd_f32s(self.gradient).0.iter_mut().zip(S::as_simd_f32s(self.phi).0)
        {
            *x_gradient = simd.mul_f32s(simd.mul_f32s(*x_gradient, root), simd.sub_f32s(*phi, eps));
            sum = simd.add_f32s(sum, *x_gradient);
        }
        simd.reduce_sum_f32s(sum)
    }
}
