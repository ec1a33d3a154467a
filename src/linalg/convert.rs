//! The one seam between ndarray and faer: views of the same memory, no copies, and clean registers after a call.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{ArrayView2, ArrayViewMut2};

/// An ndarray view as a faer view.
pub(crate) fn view<T>(a: ArrayView2<'_, T>) -> MatRef<'_, T> {
    let (rows, cols) = a.dim();
    let (row_stride, col_stride) = (a.strides()[0], a.strides()[1]);
    // SAFETY: pointer, shape and strides (both crates count strides in elements) describe memory that `a` borrows
    // for the lifetime of the result.
    unsafe { MatRef::from_raw_parts(a.as_ptr(), rows, cols, row_stride, col_stride) }
}

/// A mutable ndarray view as a mutable faer view.
pub(crate) fn view_mut<T>(mut a: ArrayViewMut2<'_, T>) -> MatMut<'_, T> {
    let (rows, cols) = a.dim();
    let (row_stride, col_stride) = (a.strides()[0], a.strides()[1]);
    let pointer = a.as_mut_ptr();
    // SAFETY: as for `view`, and `a` borrows the memory mutably; ndarray never hands out a mutable view whose
    // elements overlap.
    unsafe { MatMut::from_raw_parts_mut(pointer, rows, cols, row_stride, col_stride) }
}

/// `c = a b` on the calling thread; every element of `c` is written.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn multiply_into_new(
    mut c: ArrayViewMut2<'_, MaybeUninit<f32>>,
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
) {
    let (rows, cols) = c.dim();
    assert_eq!((a.nrows(), a.ncols(), b.ncols()), (rows, b.nrows(), cols), "shapes of a product");
    let (row_stride, col_stride) = (c.strides()[0], c.strides()[1]);
    let pointer = c.as_mut_ptr().cast::<f32>();
    // SAFETY: pointer, shape and strides describe memory that `c` borrows mutably and whose elements do not overlap. They
    // may hold nothing yet: what replaces a matrix does not read it, which the tests see from numbers that are NaN before.
    let to = unsafe { MatMut::from_raw_parts_mut(pointer, rows, cols, row_stride, col_stride) };
    by_faer(|| matmul(to, Accum::Replace, view(a), view(b), 1.0, Par::Seq));
}

/// The result of `call`, which computes by faer.
///
/// faer's products end with the upper halves of the vector registers in use. On an Intel processor every change between
/// AVX and older vector instructions then takes tens of cycles, on this thread and until they are cleared: `exp` of the
/// system's library, called after a product, took some 200 ns there instead of 5. Other threads that faer starts work on
/// are not cleared.
pub(crate) fn by_faer<T>(call: impl FnOnce() -> T) -> T {
    let result = call();
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx") {
        // SAFETY: the processor has AVX.
        unsafe { std::arch::x86_64::_mm256_zeroupper() };
    }
    result
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::super::gemm::{Threads, product};
    use super::*;

    #[test]
    fn a_product_into_new_memory_reads_nothing_of_it() {
        let sizes = [0, 1, 2, 3, 5, 16, 17, 64, 100, 257];
        for (rows, inner, columns) in [(1, 1024, 1), (1, 3, 1000), (1000, 3, 1), (300, 1500, 200)]
            .into_iter()
            .chain(sizes.into_iter().flat_map(|a| sizes.map(|b| (a, b, (a + b) % 70))))
        {
            let a = Array2::from_shape_fn((rows, inner), |(i, j)| ((i * 7 + j * 3) as f32).sin());
            let b = Array2::from_shape_fn((columns, inner), |(i, j)| ((i * 5 + j * 2) as f32).cos());
            let expected = product(a.view(), b.t(), Threads::One);
            for (width, transposed) in [(columns, false), (columns + 3, false), (columns, true)] {
                let shape = if transposed { (width, rows) } else { (rows, width) };
                let mut c = Array2::from_elem(shape, MaybeUninit::new(f32::NAN));
                let mut to = if transposed { c.view_mut().reversed_axes() } else { c.view_mut() };
                multiply_into_new(to.slice_mut(s![.., ..columns]), a.view(), b.t());
                // SAFETY: it was filled when it was made.
                let c = unsafe { c.assume_init() };
                let found = if transposed { c.t() } else { c.slice(s![.., ..columns]) };
                assert!(
                    found.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-4),
                    "{rows} {inner} {columns}"
                );
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    mod registers {
        use std::arch::x86_64::{__cpuid_count, _mm256_zeroupper, _xgetbv};

        use ndarray::Array2;

        use super::super::super::engine;
        use super::super::super::gemm::{Threads, product};

        /// Whether the upper halves are in use, as the processor itself says.
        #[target_feature(enable = "avx,xsave")]
        fn upper_halves_are_in_use() -> bool {
            // SAFETY: the caller saw that the processor counts what is in use.
            let in_use = unsafe { _xgetbv(1) };
            // Bit 2: the upper halves of 256 bits; bit 6: those of 512.
            in_use & 0b100_0100 != 0
        }

        #[test]
        fn what_faer_computes_leaves_clean_registers() {
            // Bit 2 of EAX: the processor says which parts of its state are in use.
            let says = || __cpuid_count(0xd, 1).eax >> 2 & 1 == 1;
            if !(is_x86_feature_detected!("avx") && is_x86_feature_detected!("xsave") && says()) {
                return;
            }
            // SAFETY: the processor has AVX and XSAVE.
            let in_use = || unsafe { upper_halves_are_in_use() };
            // SAFETY: as above.
            unsafe { _mm256_zeroupper() };
            if in_use() {
                return; // a processor that says so always
            }
            for n in [3, 70, 300] {
                let narrow = Array2::from_shape_fn((n, n), |(i, j)| ((i * 7 + j * 3) as f32).sin());
                let wide = narrow.mapv(f64::from);
                std::hint::black_box(product(narrow.view(), narrow.t(), Threads::One));
                assert!(!in_use(), "after a product of {n} in f32");
                std::hint::black_box(product(wide.view(), wide.t(), Threads::One));
                assert!(!in_use(), "after a product of {n} in f64");
                engine::singular_values(wide.view(), engine::Engine::Faer).unwrap();
                assert!(!in_use(), "after singular values of {n}");
            }
        }
    }
}
