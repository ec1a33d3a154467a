//! Softmax attention as plain code has it: the matrices of all heads are made, normalised where they lie, and multiplied
//! by the values. What the fused forms are to be measured against, in time and in memory.

use ndarray::parallel::prelude::*;
use ndarray::{Array3, ArrayViewMut2, ArrayViewMut3, Axis, s};

use super::Mask;
use super::fused::Heads;
use crate::cost::{Cost, Shape, Tally};
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product_into};
use crate::linalg::softmax::{softmax_rows, softmax_rows_causal_from};

/// The output (h, n, `d_v`), holding h matrices of n x m at once; rows of padding are zeros.
///
/// Under the causal mask both products are made whole, as plain code does, so that the cost is that of the full mask.
pub fn forward_into(heads: &Heads<'_>, mut out: ArrayViewMut3<'_, f32>, tally: Option<&Tally>) -> Result<()> {
    let ((h, n, d_h), (m, d_v)) = (heads.q.dim(), (heads.k.dim().1, heads.v.dim().2));
    if heads.k.dim() != (h, m, d_h) || heads.v.dim() != (h, m, d_v) || out.dim() != (h, n, d_v) {
        return Err(Error::Shape {
            what: "heads of materialised attention".into(),
            found: [heads.k.shape(), heads.v.shape(), out.shape()].concat(),
            expected: format!("keys {:?}, values {:?}, output {:?}", [h, m, d_h], [h, m, d_v], [h, n, d_v]),
        });
    }
    let real = heads.real;
    if real.0 < n || real.1 == 0 {
        out.fill(0.0);
    }
    if real.0 == 0 || real.1 == 0 {
        return Ok(());
    }
    let mut all = Array3::zeros((h, real.0, real.1));
    // One head on every thread, or every head on one of them: whichever keeps all threads busy.
    let each = if h < rayon::current_num_threads() { Threads::All } else { Threads::One };
    let one = |(head, (a, out)): (usize, (ArrayViewMut2<'_, f32>, ArrayViewMut2<'_, f32>))| {
        let (mut a, mut out) = (a, out);
        let [q, k, v] = [heads.q, heads.k, heads.v].map(|x| x.index_axis_move(Axis(0), head));
        let (q, k, v) = (q.slice(s![..real.0, ..]), k.slice(s![..real.1, ..]), v.slice(s![..real.1, ..]));
        product_into(a.view_mut(), 0.0, q, k.t(), heads.scale, each);
        match heads.mask {
            Mask::Full => softmax_rows(a.view_mut()),
            Mask::Causal => softmax_rows_causal_from(a.view_mut(), 0),
        }
        product_into(out.slice_mut(s![..real.0, ..]), 0.0, a.view(), v, 1.0, each);
        if let Some(tally) = tally {
            tally.product(q.nrows(), q.ncols(), k.nrows());
            tally.product(a.nrows(), a.ncols(), v.ncols());
        }
    };
    let heads = all.outer_iter_mut().zip(out.outer_iter_mut()).enumerate();
    if each == Threads::All {
        heads.for_each(one);
    } else {
        heads.collect::<Vec<_>>().into_par_iter().for_each(one);
    }
    Ok(())
}

/// What one head costs.
pub fn cost(shape: &Shape) -> Cost {
    let Shape { n, m, d_h, d_v, .. } = *shape;
    let exps = if shape.causal { shape.pairs() } else { n * m };
    Cost::product(n, d_h, m) + Cost::softmax(n, exps) + Cost::product(n, m, d_v)
}

/// Bytes beyond inputs and output: the matrices.
pub fn extra_bytes(shape: &Shape, heads: usize) -> usize {
    size_of::<f32>() * heads * shape.n * shape.m
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::fused::{self, Given};
    use crate::rng::{normal, stream};

    #[test]
    fn the_fused_form_gives_the_same() {
        let mut rng = stream(5, "materialised");
        let mut cube = |rows: usize, width: usize| {
            normal(&mut rng, 3 * rows, width).into_shape_with_order((3, rows, width)).unwrap()
        };
        let (q, k, v) = (cube(37, 8), cube(37, 8), cube(37, 5));
        for mask in [Mask::Full, Mask::Causal] {
            for real in [(37, 37), (20, 31), (20, 20), (3, 0)] {
                let heads = Heads { real, ..Heads::new(q.view(), k.view(), v.view(), mask) };
                let [mut plain, mut quick] = [0, 1].map(|_| Array3::from_elem((3, 37, 5), f32::NAN));
                let tally = Tally::default();
                forward_into(&heads, plain.view_mut(), Some(&tally)).unwrap();
                let form = fused::find("softmax").unwrap();
                form.forward_into(&heads, &Given::Nothing, quick.view_mut()).unwrap();
                let off = (&plain - &quick).fold(0.0_f32, |far, x| if x.abs() <= far { far } else { x.abs() });
                assert!(off < 1e-5, "{mask:?} {real:?}: {off}");
                let shape = Shape { n: real.0, m: real.1, d_h: 8, d_v: 5, causal: mask == Mask::Causal };
                assert_eq!(tally.macs(), 3 * cost(&shape).macs);
            }
        }
    }
}
