//! The feature map `phi = elu + 1`, whose derivative is `min(phi, 1)`.

use pulp::{Simd, WithSimd};

use super::phi::EPS;
use crate::attention::kernel::features::{Features, Rows};
use crate::attention::kernel::share::whole_lines;
use crate::linalg::lanes::{Path, elu};

/// elu + 1 of rows.
pub(super) struct Elu {
    /// Width of rows, and how far apart they begin.
    pub(super) width: usize,
    pub(super) stride: usize,
}

impl Features for Elu {
    fn make(&self, path: Path, _: Rows, x: &[f32], phi: &mut [f32]) {
        let Self { width, stride } = *self;
        path.run(Make { x, phi, width, stride });
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
    width: usize,
    stride: usize,
}

impl WithSimd for Make<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.phi.chunks_exact_mut(whole_lines(self.width));
        for (phi, x) in rows.zip(self.x.chunks_exact(self.stride)) {
            phi[..self.width].copy_from_slice(&x[..self.width]);
            for x in S::as_mut_simd_f32s(phi).0 {
                *x = elu(simd, *x);
            }
            phi[self.width..].fill(0.0);
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
