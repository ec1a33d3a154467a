//! Softmax attention as plain code has it: the matrices of all heads are made, normalised where they lie, and multiplied
//! by the values. What the fused forms are to be measured against, in time and in memory.

use ndarray::parallel::prelude::*;
use ndarray::{Array3, ArrayView3, ArrayViewMut2, ArrayViewMut3, Axis, s};

use crate::attention::Mask;
use crate::attention::kernel::gradients::Gradients;
use crate::attention::kernel::heads::Heads;
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
    attend(heads, all.view_mut(), out.view_mut(), tally);
    Ok(())
}

/// The matrices of all heads, and their products with the values.
fn attend(
    heads: &Heads<'_>,
    mut all: ArrayViewMut3<'_, f32>,
    mut out: ArrayViewMut3<'_, f32>,
    tally: Option<&Tally>,
) {
    let (real, each) = (heads.real, threads(heads.q.dim().0));
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
    over(each, all.outer_iter_mut().zip(out.outer_iter_mut()).enumerate(), one);
}

/// Forward and backward as plain code has them, holding the matrices of all heads and their gradients: the output (h, n,
/// `d_v`), and the gradients of queries, keys and values under `d_out`, the gradient of the output.
///
/// With `A = softmax(s q k^T)`: `dv = A^T d_out`, `dA = d_out v^T`, `dS = A * (dA - rowsum(d_out * out))`,
/// `dq = s dS k`, `dk = s dS^T q`.
pub fn train_into(
    heads: &Heads<'_>,
    mut out: ArrayViewMut3<'_, f32>,
    d_out: ArrayView3<'_, f32>,
    gradients: &mut Gradients,
    tally: Option<&Tally>,
) -> Result<()> {
    let (n, m) = (heads.q.dim().1, heads.k.dim().1);
    let whole = heads.real == (n, m) && d_out.dim() == out.dim();
    let alike = gradients.q.dim() == heads.q.dim()
        && gradients.k.dim() == heads.k.dim()
        && gradients.v.dim() == heads.v.dim();
    if !whole || !alike {
        return Err(Error::Shape {
            what: "heads and gradients of materialised attention".into(),
            found: [d_out.shape(), gradients.q.shape(), gradients.k.shape(), gradients.v.shape()].concat(),
            expected: "gradients of the shapes of what they are of, and no padding".into(),
        });
    }
    let mut all = forward_keeping(heads, out.view_mut(), tally)?;
    backward_into(heads, &mut all, out.view(), d_out, gradients, tally);
    Ok(())
}

/// As [`forward_into`] without padding, and the matrices (h, n, m), which plain code keeps for its backward pass.
pub fn forward_keeping(
    heads: &Heads<'_>,
    out: ArrayViewMut3<'_, f32>,
    tally: Option<&Tally>,
) -> Result<Array3<f32>> {
    let ((h, n, _), m) = (heads.q.dim(), heads.k.dim().1);
    if !heads.dropout.is_off() {
        let what = "dropout of the weights of materialised attention";
        return Err(Error::value(what, "a share above 0", "0"));
    }
    if heads.real != (n, m) || out.dim() != (h, n, heads.v.dim().2) {
        return Err(Error::Shape {
            what: "output of materialised attention".into(),
            found: out.shape().to_vec(),
            expected: "one row for each query, and no padding".into(),
        });
    }
    let mut all = Array3::zeros((h, n, m));
    attend(heads, all.view_mut(), out, tally);
    Ok(all)
}

/// The gradients of [`train_into`], of shapes that fit, from the matrices and the output of [`forward_keeping`].
pub(crate) fn backward_into(
    heads: &Heads<'_>,
    all: &mut Array3<f32>,
    out: ArrayView3<'_, f32>,
    d_out: ArrayView3<'_, f32>,
    gradients: &mut Gradients,
    tally: Option<&Tally>,
) {
    let mut d_logits = Array3::zeros(all.raw_dim());
    let each = threads(heads.q.dim().0);
    let Gradients { q: dq, k: dk, v: dv, .. } = gradients;
    let pieces = (all.outer_iter_mut().zip(d_logits.outer_iter_mut()))
        .zip(dq.outer_iter_mut().zip(dk.outer_iter_mut()).zip(dv.outer_iter_mut()));
    let one = |(head, ((a, ds), ((dq, dk), dv))): (usize, HeadArrays<'_>)| {
        let (mut ds, g, o) = (ds, d_out.index_axis(Axis(0), head), out.index_axis(Axis(0), head));
        let [q, k, v] = [heads.q, heads.k, heads.v].map(|x| x.index_axis_move(Axis(0), head));
        product_into(dv, 0.0, a.t(), g, 1.0, each);
        product_into(ds.view_mut(), 0.0, g, v.t(), 1.0, each);
        for (((mut ds, a), g), o) in
            ds.outer_iter_mut().zip(a.outer_iter()).zip(g.outer_iter()).zip(o.outer_iter())
        {
            let along = g.dot(&o);
            ds.zip_mut_with(&a, |ds, a| *ds = a * (*ds - along));
        }
        if let Some(tally) = tally {
            // dv and dA, dq and dk.
            tally.product(a.len(), g.ncols(), 2);
            tally.product(ds.len(), k.ncols(), 2);
        }
        product_into(dq, 0.0, ds.view(), k, heads.scale, each);
        product_into(dk, 0.0, ds.t(), q, heads.scale, each);
    };
    over(each, pieces.enumerate(), one);
}

/// Of one head: its matrix and the gradient of it, and the gradients of queries, keys and values.
type HeadArrays<'a> = (
    (ArrayViewMut2<'a, f32>, ArrayViewMut2<'a, f32>),
    ((ArrayViewMut2<'a, f32>, ArrayViewMut2<'a, f32>), ArrayViewMut2<'a, f32>),
);

/// One head on every thread, or every head on one of them: whichever keeps all threads busy.
fn threads(heads: usize) -> Threads {
    if heads < rayon::current_num_threads() { Threads::All } else { Threads::One }
}

/// Runs every task, in turn where each takes all threads.
fn over<T: Send>(each: Threads, tasks: impl Iterator<Item = T>, run: impl Fn(T) + Send + Sync) {
    if each == Threads::All {
        tasks.for_each(run);
    } else {
        tasks.collect::<Vec<_>>().into_par_iter().for_each(run);
    }
}

/// What one head costs.
pub fn cost(shape: &Shape) -> Cost {
    let Shape { n, m, d_h, d_v, .. } = *shape;
    let exps = if shape.causal { shape.pairs() } else { n * m };
    Cost::product(n, d_h, m) + Cost::softmax(n, exps) + Cost::product(n, m, d_v)
}

/// What forward and backward of one head cost: four more products.
pub fn train_cost(shape: &Shape) -> Cost {
    let Shape { n, m, d_h, d_v, .. } = *shape;
    cost(shape) + Cost::product(n, m, d_v) * 2 + Cost::product(n, m, d_h) * 2
}

/// Bytes beyond inputs and output: the matrices.
pub fn extra_bytes(shape: &Shape, heads: usize) -> usize {
    size_of::<f32>() * heads * shape.n * shape.m
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Arrays, fused};
    use crate::rng::{Rng, normal, stream};

    fn cube(rng: &mut Rng, rows: usize, width: usize) -> Array3<f32> {
        normal(rng, 3 * rows, width).into_shape_with_order((3, rows, width)).unwrap()
    }

    #[test]
    fn the_fused_backward_pass_gives_the_same() {
        let mut rng = stream(6, "materialised");
        let [q, k, v, g] = [8, 8, 5, 5].map(|width| cube(&mut rng, 37, width));
        let form = fused("softmax", None).unwrap();
        for mask in [Mask::Full, Mask::Causal] {
            let heads = Heads::new(q.view(), k.view(), v.view(), mask);
            let [mut plain, mut quick] = [0, 1].map(|_| Gradients::zeros(&heads, &Arrays::none()));
            let mut out = Array3::zeros((3, 37, 5));
            let none = Arrays::none();
            let saved = form.forward_saving(None, &heads, &none, out.view_mut()).unwrap();
            form.backward_into(None, &heads, &none, &saved, out.view(), g.view(), &mut quick).unwrap();
            let tally = Tally::default();
            train_into(&heads, out.view_mut(), g.view(), &mut plain, Some(&tally)).unwrap();
            let shape = Shape { n: 37, m: 37, d_h: 8, d_v: 5, causal: mask == Mask::Causal, window: None };
            assert_eq!(tally.macs(), 3 * train_cost(&shape).macs);
            for (a, b) in [(&plain.q, &quick.q), (&plain.k, &quick.k), (&plain.v, &quick.v)] {
                let off = (a - b).fold(0.0_f32, |far, x| if x.abs() <= far { far } else { x.abs() });
                assert!(off < 1e-5, "{mask:?}: {off}");
            }
            assert!(train_into(&heads, out.view_mut(), q.view(), &mut plain, None).is_err());
        }
    }

    #[test]
    fn the_fused_form_gives_the_same() {
        let mut rng = stream(5, "materialised");
        let mut cube = |rows: usize, width: usize| cube(&mut rng, rows, width);
        let (q, k, v) = (cube(37, 8), cube(37, 8), cube(37, 5));
        for mask in [Mask::Full, Mask::Causal] {
            for real in [(37, 37), (20, 31), (20, 20), (3, 0)] {
                let heads = Heads { real, ..Heads::new(q.view(), k.view(), v.view(), mask) };
                let [mut plain, mut quick] = [0, 1].map(|_| Array3::from_elem((3, 37, 5), f32::NAN));
                let tally = Tally::default();
                forward_into(&heads, plain.view_mut(), Some(&tally)).unwrap();
                let form = fused("softmax", None).unwrap();
                form.forward_into(None, &heads, &Arrays::none(), quick.view_mut()).unwrap();
                let off =
                    (&plain - &quick).fold(0.0_f32, |far, x| if x.abs() <= far { far } else { x.abs() });
                assert!(off < 1e-5, "{mask:?} {real:?}: {off}");
                let shape = Shape {
                    n: real.0,
                    m: real.1,
                    d_h: 8,
                    d_v: 5,
                    causal: mask == Mask::Causal,
                    window: None,
                };
                assert_eq!(tally.macs(), 3 * cost(&shape).macs);
            }
        }
    }
}
