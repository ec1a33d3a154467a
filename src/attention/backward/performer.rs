//! Performer backwards (Choromanski et al. 2021): positive features, of which the subtracted maxima are constants.
//!
//! ```text
//! u = sqrt(s) x W^T - s |x|^2 / 2 - max      phi = exp(u) + eps
//! du = dphi * exp(u)                         dx  = sqrt(s) du W - s rowsum(du) x
//! ```

use pulp::{Simd, WithSimd};

use super::by_features::{self, ByFeatures, Features};
use super::chunk::{CHUNK, chunks};
use super::pass::{Pass, Raw};
use super::tiles::{Set, product};
use super::{Backward, Kept, Size, Upstream};
use crate::attention::Mask;
use crate::attention::fused::flash::transpose;
use crate::attention::fused::share::{among, cut, lines};
use crate::attention::fused::{Given, Heads, refuse, segments};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::linalg::lanes::{Path, exp2};

pub(super) const BACKWARD: Backward = Backward {
    name: "performer",
    masks: &[Mask::Full],
    of_p: false,
    fits,
    forward,
    backward,
    space,
    kept,
    cost,
};

const LOG2_E: f32 = std::f32::consts::LOG2_E;

fn fits(heads: &Heads<'_>, given: &Given<'_>) -> Result<()> {
    let Given::Performer { w, .. } = given else { return refuse(BACKWARD.name, given) };
    let d_h = heads.q.dim().2;
    if w.nrows() == 0 || w.ncols() != d_h {
        return Err(Error::Shape {
            what: "features of attention 'performer'".into(),
            found: w.shape().to_vec(),
            expected: format!("(l, {d_h}) with l 1 or more"),
        });
    }
    Ok(())
}

fn cost(shape: &Shape, l: usize) -> [Cost; 2] {
    let Shape { n, m, d_h, .. } = *shape;
    // Features and the squares of rows; the largest of the keys' is sought beforehand.
    let features = Cost::product(n + m, d_h, l + 1) + Cost::exps((n + m) * l);
    let [forward, backward] = by_features::cost(shape, l);
    [forward + features + Cost::product(m, d_h, l), backward + features + Cost::product(n + m, d_h, l)]
}

fn kept(size: &Size) -> usize {
    // The largest exponent of each head's keys beside what every mechanism by features leaves.
    by_features::kept(size, lines(size.l)) + size.heads
}

fn space(size: &Size) -> [usize; 2] {
    let Size { shape: Shape { m, d_h, .. }, heads, l, .. } = *size;
    let (turned, rows) = (d_h * lines(l), l * d_h);
    let tops = lines(heads * segments::count(heads, m));
    let [forward, backward] = by_features::space(size, lines(l));
    [forward + turned + rows + tops, backward + turned + rows]
}

fn forward(pass: &Pass<'_>, given: &Given<'_>, kept: &mut Kept, out: &mut [f32], mut space: &mut [f32]) {
    let Pass { h, m, d_h, l, path, .. } = *pass;
    let mut positive = Positive::new(pass, given, &mut space);
    let segments = segments::count(h, m);
    let tops = cut(&mut space, h * segments);
    let (wide, each) = (lines(l), CHUNK * lines(l));
    let spaces = &mut space[..rayon::current_num_threads().min(h * segments) * each];
    among(tops.iter_mut().enumerate(), spaces, each, |(task, top), space| {
        let keys = segments::keys(task % segments, segments, m);
        *top = f32::NEG_INFINITY;
        for keys in chunks(&keys) {
            let k = &pass.k(task / segments)[keys.start * d_h..keys.end * d_h];
            let found = &mut space[..keys.len() * wide];
            product(
                path,
                (keys.len(), d_h, wide),
                (k, d_h),
                (positive.turned, wide),
                (&mut *found, wide),
                Set,
            );
            pass.count(keys.len() * l, [1, 0, 0]);
            let rows = found.chunks_exact(wide).map(|row| path.run(Largest(row, l)));
            *top = rows.fold(*top, f32::max);
        }
    });
    // One number a head, beside which the numbers of packed rows of other mechanisms stand.
    kept.pack_logs =
        tops.chunks_exact(segments).map(|tops| tops.iter().copied().fold(f32::MIN, f32::max)).collect();
    positive.tops.clone_from(&kept.pack_logs);
    ByFeatures::new(pass, &positive, l).forward(kept, out, space);
}

fn backward(
    pass: &Pass<'_>,
    given: &Given<'_>,
    kept: &Kept,
    upstream: &Upstream<'_>,
    raw: Raw<'_>,
    mut space: &mut [f32],
) {
    let mut positive = Positive::new(pass, given, &mut space);
    positive.tops.clone_from(&kept.pack_logs);
    ByFeatures::new(pass, &positive, pass.l).backward(kept, upstream, raw, space);
}

struct Positive<'a> {
    /// W, rows of `d_h` in whole cache lines.
    rows: &'a [f32],
    /// `W^T` with the root of the scale and `log2 e` in it, (`d_h`, l in whole cache lines).
    turned: &'a [f32],
    l: usize,
    /// Width of rows with the zeros behind them, and without.
    d_h: usize,
    narrow: usize,
    scale: f32,
    eps: f32,
    /// The largest exponent of the keys of each head.
    tops: Vec<f32>,
}

impl<'a> Positive<'a> {
    #[allow(clippy::mut_mut)] // the slice itself is moved on
    fn new(pass: &Pass<'_>, given: &Given<'_>, space: &mut &'a mut [f32]) -> Self {
        let Pass { d_h, l, scale, .. } = *pass;
        let (rows, turned) = (cut(space, l * d_h), cut(space, d_h * lines(l)));
        let mut eps = 0.0;
        if let Given::Performer { w, eps: added } = given {
            eps = *added;
            for (row, w) in rows.chunks_exact_mut(d_h).zip(w.rows()) {
                row.iter_mut().zip(w).for_each(|(x, w)| *x = *w);
            }
        }
        transpose((rows, d_h), (turned, lines(l)), (l, d_h), |_| scale.sqrt() * LOG2_E);
        Self { rows, turned, l, d_h, narrow: pass.narrow[0], scale, eps, tops: Vec::new() }
    }
}

impl Features for Positive<'_> {
    fn make(&self, path: Path, head: usize, keys: bool, x: &[f32], phi: &mut [f32]) {
        let (rows, wide, d_h) = (x.len() / self.d_h, lines(self.l), self.d_h);
        product(path, (rows, d_h, wide), (x, d_h), (self.turned, wide), (&mut *phi, wide), Set);
        let norm = -0.5 * self.scale * LOG2_E;
        for (x, phi) in x.chunks_exact(d_h).zip(phi.chunks_exact_mut(wide)) {
            let top = if keys { self.tops[head] } else { path.run(Largest(phi, self.l)) };
            path.run(Feature { x, phi: &mut *phi, norm, top, eps: self.eps });
            phi[self.l..].fill(0.0);
        }
    }

    fn back(&self, path: Path, x: &[f32], phi: &[f32], d_phi: &mut [f32], dx: &mut [f32]) {
        let (rows, wide, d_h) = (x.len() / self.d_h, lines(self.l), self.d_h);
        let each = phi.chunks_exact(wide).zip(d_phi.chunks_exact_mut(wide));
        let each = each.zip(x.chunks_exact(d_h).zip(dx.chunks_exact_mut(d_h)));
        for ((phi, slopes), (x, dx)) in each {
            let root = self.scale.sqrt();
            let sum = path.run(Slope { phi, slopes: &mut *slopes, l: self.l, eps: self.eps, root });
            // `slopes` have the root of the scale in them already.
            dx.iter_mut().zip(x).for_each(|(dx, x)| *dx = -root * sum * x);
        }
        product(path, (rows, self.l, d_h), (d_phi, wide), (self.rows, d_h), (dx, d_h), super::tiles::Add);
    }

    fn eps(&self) -> f32 {
        0.0
    }

    fn macs(&self) -> [usize; 2] {
        // The square of the row beside its products.
        [self.narrow * (self.l + 1), self.narrow * self.l]
    }
}

/// The largest of the first numbers of a row in whole cache lines, behind which nothing is known.
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
struct Slope<'a> {
    phi: &'a [f32],
    slopes: &'a mut [f32],
    l: usize,
    eps: f32,
    root: f32,
}

impl WithSimd for Slope<'_> {
    type Output = f32;

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        self.slopes[self.l..].fill(0.0);
        let (eps, root) = (simd.splat_f32s(self.eps), simd.splat_f32s(self.root));
        let mut sum = simd.splat_f32s(0.0);
        for (slope, phi) in S::as_mut_simd_f32s(self.slopes).0.iter_mut().zip(S::as_simd_f32s(self.phi).0) {
            *slope = simd.mul_f32s(simd.mul_f32s(*slope, root), simd.sub_f32s(*phi, eps));
            sum = simd.add_f32s(sum, *slope);
        }
        simd.reduce_sum_f32s(sum)
    }
}
