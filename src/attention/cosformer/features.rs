//! The feature map.

use crate::attention::kernel::features::{Features, Rows};
use crate::attention::kernel::share::whole_lines;
use crate::linalg::lanes::Path;

/// Added to each denominator.
pub(super) const EPS: f32 = 1e-6;

/// cos and sin of `pi i / 2 M`.
pub(super) fn angle(i: usize, max: usize) -> [f64; 2] {
    let x = std::f64::consts::FRAC_PI_2 * i as f64 / max as f64;
    [x.cos(), x.sin()]
}

/// `ReLU` of rows times cos and sin of their positions.
pub(super) struct Cosine {
    /// Width of rows, and how far apart they begin.
    pub(super) width: usize,
    pub(super) stride: usize,
    /// M.
    pub(super) max: usize,
}

impl Features for Cosine {
    fn make(&self, _: Path, rows: Rows, x: &[f32], phi: &mut [f32]) {
        let wide = whole_lines(2 * self.width);
        for (i, (x, phi)) in x.chunks_exact(self.stride).zip(phi.chunks_exact_mut(wide)).enumerate() {
            let [cos, sin] = angle(rows.first + i, self.max).map(|x| x as f32);
            let (of_cos, rest) = phi.split_at_mut(self.width);
            let (of_sin, rest) = rest.split_at_mut(self.width);
            for ((c, s), x) in of_cos.iter_mut().zip(of_sin).zip(x) {
                (*c, *s) = (x.max(0.0) * cos, x.max(0.0) * sin);
            }
            rest.fill(0.0);
        }
    }

    fn back(&self, _: Path, rows: Rows, x: &[f32], _: &[f32], d_phi: &mut [f32], dx: &mut [f32]) {
        let wide = whole_lines(2 * self.width);
        let of_rows = x.chunks_exact(self.stride).zip(dx.chunks_exact_mut(self.stride));
        for (i, ((x, dx), d_phi)) in of_rows.zip(d_phi.chunks_exact(wide)).enumerate() {
            let [cos, sin] = angle(rows.first + i, self.max).map(|x| x as f32);
            let (of_cos, of_sin) = d_phi.split_at(self.width);
            dx.fill(0.0);
            for ((dx, x), (c, s)) in dx.iter_mut().zip(x).zip(of_cos.iter().zip(of_sin)) {
                *dx = if *x > 0.0 { c * cos + s * sin } else { 0.0 };
            }
        }
    }

    fn eps(&self) -> f32 {
        EPS
    }

    fn macs(&self) -> [usize; 2] {
        [0, 0]
    }
}
