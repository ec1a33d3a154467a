//! Register tiles of single-precision products and a vector exponential, for any vector instructions.
//!
//! Both tiles multiply broadcast scalars by rows of contiguous vectors, and hold `R` rows of `NV` vectors in registers.
//! Nothing is packed or allocated; the order of additions depends on the shapes only.
//! Everything here is inlined into a function that `Path::run` compiled for its instructions: closures are not, and
//! loops are written out for that reason.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions
#![allow(clippy::needless_range_loop)] // nor are the closures of iterators inlined there

use pulp::{Simd, WithSimd};

/// Which vector instructions a kernel uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// The widest that this machine has.
    #[default]
    Widest,
    /// AVX-512, or the widest that the machine has where it lacks that.
    Avx512,
    /// AVX2 with fused multiply-add, or plain scalars where the machine lacks that.
    Avx2,
    /// One value at a time.
    Scalar,
}

impl Path {
    /// Every path, to test them against each other.
    pub const ALL: [Self; 4] = [Self::Widest, Self::Avx512, Self::Avx2, Self::Scalar];

    /// Runs `work` compiled for the instructions of this path.
    pub(crate) fn run<W: WithSimd>(self, work: W) -> W::Output {
        match self {
            Self::Scalar => pulp::Scalar::new().vectorize(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => match pulp::x86::V3::try_new() {
                Some(simd) => Simd::vectorize(simd, work),
                None => pulp::Scalar::new().vectorize(work),
            },
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => match pulp::x86::V4::try_new() {
                Some(simd) => Simd::vectorize(simd, work),
                None => pulp::Arch::new().dispatch(work),
            },
            _ => pulp::Arch::new().dispatch(work),
        }
    }
}

/// `NV` vectors from the beginning of the slice.
#[inline(always)]
pub(crate) fn vectors<S: Simd, const NV: usize>(x: &[f32]) -> &[S::f32s; NV] {
    let (vectors, _) = S::as_simd_f32s(&x[..NV * S::F32_LANES]);
    vectors.first_chunk().expect("NV vectors")
}

/// As [`vectors`], mutable.
#[inline(always)]
pub(crate) fn vectors_mut<S: Simd, const NV: usize>(x: &mut [f32]) -> &mut [S::f32s; NV] {
    let (vectors, _) = S::as_mut_simd_f32s(&mut x[..NV * S::F32_LANES]);
    vectors.first_chunk_mut().expect("NV vectors")
}

/// Whether `depth` rows, `stride` elements apart and `len` elements long, lie within `count` elements.
///
/// Unchecked reads rely on this: no step of it may wrap.
#[inline(always)]
fn rows_lie_within(count: usize, depth: usize, stride: usize, len: usize) -> bool {
    let end = |last: usize| last.checked_mul(stride)?.checked_add(len);
    depth.checked_sub(1).is_none_or(|last| end(last).is_some_and(|end| end <= count))
}

/// `len` elements from `at` on, whose bounds the caller has checked.
///
/// # Safety
/// `at + len` is at most the slice's length.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn slice_at(x: &[f32], at: usize, len: usize) -> &[f32] {
    debug_assert!(at.checked_add(len).is_some_and(|end| end <= x.len()));
    // SAFETY: the caller's promise.
    unsafe { x.get_unchecked(at..at + len) }
}

/// `a b`, for `R` contiguous rows `a` of one length, and as many rows of `b` as that length, `ldb` elements apart: the
/// first `NV` vectors of each row of the result.
#[inline(always)]
pub(crate) fn dots<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    a: [&[f32]; R],
    b: &[f32],
    ldb: usize,
) -> [[S::f32s; NV]; R] {
    // One vector a row is too few sums to keep the multipliers busy: every second product gets sums of its own.
    let mut sums = [[simd.splat_f32s(0.0); NV]; R];
    let mut others = [[simd.splat_f32s(0.0); NV]; R];
    let depth = a[0].len();
    let mut rows = a;
    for row in &mut rows {
        *row = &row[..depth];
    }
    let pairs = if NV == 1 { depth / 2 } else { 0 };
    // One check for all rows of `b`: one in each turn costs up to a twelfth of a pass.
    let len = NV * S::F32_LANES;
    assert!(rows_lie_within(b.len(), depth, ldb, len));
    for pair in 0..pairs {
        let k = 2 * pair;
        let (first, second) = (vectors::<S, NV>(&b[k * ldb..]), vectors::<S, NV>(&b[(k + 1) * ldb..]));
        for r in 0..R {
            let (x, y) = (simd.splat_f32s(rows[r][k]), simd.splat_f32s(rows[r][k + 1]));
            sums[r][0] = simd.mul_add_e_f32s(x, first[0], sums[r][0]);
            others[r][0] = simd.mul_add_e_f32s(y, second[0], others[r][0]);
        }
    }
    for k in 2 * pairs..depth {
        // SAFETY: k is at most depth - 1, whose row was checked to end within `b`.
        #[allow(unsafe_code)]
        let b = vectors::<S, NV>(unsafe { slice_at(b, k * ldb, len) });
        for r in 0..R {
            let x = simd.splat_f32s(rows[r][k]);
            for c in 0..NV {
                sums[r][c] = simd.mul_add_e_f32s(x, b[c], sums[r][c]);
            }
        }
    }
    if NV == 1 {
        for r in 0..R {
            sums[r][0] = simd.add_f32s(sums[r][0], others[r][0]);
        }
    }
    sums
}

/// `a^T b`, for `depth` rows of `a` and `b` that are `lda` and `ldb` elements apart: `R` columns of `a`, `NV` vectors of
/// `b`, from the first of each.
#[inline(always)]
pub(crate) fn outers<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    depth: usize,
    a: &[f32],
    lda: usize,
    b: &[f32],
    ldb: usize,
) -> [[S::f32s; NV]; R] {
    let mut sums = [[simd.splat_f32s(0.0); NV]; R];
    // One check for all rows, as in `dots`.
    let len = NV * S::F32_LANES;
    assert!(rows_lie_within(a.len(), depth, lda, R) && rows_lie_within(b.len(), depth, ldb, len));
    for k in 0..depth {
        // SAFETY: k is at most depth - 1, whose rows were checked to end within `a` and `b`.
        #[allow(unsafe_code)]
        let (a, b) = unsafe { (slice_at(a, k * lda, R), slice_at(b, k * ldb, len)) };
        let a: &[f32; R] = a.first_chunk().expect("R columns");
        let b = vectors::<S, NV>(b);
        for r in 0..R {
            let x = simd.splat_f32s(a[r]);
            for c in 0..NV {
                sums[r][c] = simd.mul_add_e_f32s(x, b[c], sums[r][c]);
            }
        }
    }
    sums
}

/// 2^x within 2e-7 of relative error from -126 to 127; exactly 0 below -126, NaN for NaN.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Adding 1.5 * 2^23 rounds to a whole number and leaves that number in the lowest bits.
    let round = simd.splat_f32s(12_582_912.0);
    let shifted = simd.add_f32s(x, round);
    let r = simd.sub_f32s(x, simd.sub_f32s(shifted, round));
    // 2^r on |r| <= 1/2, the relative error spread evenly: 9e-8.
    let mut near = simd.splat_f32s(1.326_472_7e-3);
    near = simd.mul_add_e_f32s(near, r, simd.splat_f32s(9.671_513e-3));
    near = simd.mul_add_e_f32s(near, r, simd.splat_f32s(5.550_733_6e-2));
    near = simd.mul_add_e_f32s(near, r, simd.splat_f32s(0.240_222_42));
    near = simd.mul_add_e_f32s(near, r, simd.splat_f32s(std::f32::consts::LN_2));
    near = simd.mul_add_e_f32s(near, r, simd.splat_f32s(1.0));
    let bits = simd.transmute_u32s_f32s(shifted);
    let power = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23));
    let value = simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(near), power));
    let gone = simd.less_than_f32s(x, simd.splat_f32s(-126.0));
    simd.select_f32s(gone, simd.splat_f32s(0.0), value)
}

/// `log2(1 + 2^x)` within 4e-7 of relative error; x itself for large x, exactly 0 below -126.
#[inline(always)]
pub(crate) fn softplus2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    // log2(1 + u) for u = 2^-|x| is a series in s = u / (2 + u), which is 1/3 at most: five terms, within 2e-8.
    let u = exp2(simd, simd.sub_f32s(zero, simd.abs_f32s(x)));
    let s = simd.div_f32s(u, simd.add_f32s(u, simd.splat_f32s(2.0)));
    let square = simd.mul_f32s(s, s);
    let mut near = simd.splat_f32s(0.406_230_87);
    near = simd.mul_add_e_f32s(near, square, simd.splat_f32s(0.403_451_95));
    near = simd.mul_add_e_f32s(near, square, simd.splat_f32s(0.577_432_9));
    near = simd.mul_add_e_f32s(near, square, simd.splat_f32s(0.961_791_7));
    near = simd.mul_add_e_f32s(near, square, simd.splat_f32s(2.885_39));
    simd.mul_add_e_f32s(near, s, simd.max_f32s(x, zero))
}

/// `elu(x) + 1`.
#[inline(always)]
pub(crate) fn elu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let below = simd.mul_f32s(simd.min_f32s(x, zero), simd.splat_f32s(std::f32::consts::LOG2_E));
    simd.select_f32s(simd.less_than_f32s(zero, x), simd.add_f32s(x, one), exp2(simd, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_of_rows_does_not_wrap_around() {
        assert!(rows_lie_within(10, 2, 6, 4) && !rows_lie_within(9, 2, 6, 4));
        assert!(rows_lie_within(0, 0, usize::MAX, usize::MAX));
        // The product, and the sum after it, each beyond the largest usize.
        for stride in [usize::MAX, usize::MAX - 1, usize::MAX / 2 + 1] {
            for depth in [2, 3, usize::MAX] {
                assert!(!rows_lie_within(1 << 20, depth, stride, 8), "{depth} rows {stride} apart");
            }
        }
    }

    struct Far<'a>(&'a [f32], usize);

    impl WithSimd for Far<'_> {
        type Output = f32;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f32 {
            let found = dots::<S, 1, 1>(simd, [&[1.0, 1.0]], self.0, self.1);
            simd.reduce_sum_f32s(found[0][0])
        }
    }

    #[test]
    fn rows_so_far_apart_that_their_place_wraps_are_refused_by_every_path() {
        for path in Path::ALL {
            let found = std::panic::catch_unwind(|| path.run(Far(&[0.0; 64], usize::MAX)));
            assert!(found.is_err(), "{path:?}");
        }
    }

    struct Softplus<'a>(&'a mut [f32]);

    impl WithSimd for Softplus<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (vectors, rest) = S::as_mut_simd_f32s(self.0);
            assert!(rest.is_empty());
            for x in vectors {
                *x = softplus2(simd, *x);
            }
        }
    }

    #[test]
    fn softplus_is_accurate_everywhere() {
        let xs: Vec<f32> = (-(1 << 14)..1 << 14).map(|i| i as f32 * (130.0 / 16_384.0)).collect();
        for path in Path::ALL {
            let mut found = xs.clone();
            path.run(Softplus(&mut found));
            for (x, found) in xs.iter().zip(found) {
                let exact = f64::from(*x).exp2().ln_1p() / std::f64::consts::LN_2;
                if *x < -126.0 {
                    assert_eq!(found, 0.0, "{x}");
                } else {
                    let off = (f64::from(found) - exact).abs() / exact;
                    assert!(off <= 4e-7, "{path:?} {x}: {found}, off by {off}");
                }
            }
            let mut far = [[1e4, 3e38], [-1e4, -3e38]].concat().repeat(4);
            path.run(Softplus(&mut far));
            assert_eq!(far, [1e4, 3e38, 0.0, 0.0].repeat(4));
        }
    }
}
