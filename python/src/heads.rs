//! The output of a mechanism on given heads.

use luna::attention::{Arrays, Attention, Heads, Input, Mask, Origin};
use luna::study::Watch;
use luna::{Error, Result};
use ndarray::{Array3, ArrayView3, Axis, CowArray, Ix3};
use numpy::{IntoPyArray, PyArray3};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::arrays::{Named, not_prepared, view};
use crate::work;

/// The output (h, n, `d_v`) of the mechanism that `spec` names on q (h, n, d), k (h, m, d) and v (h, m, `d_v`).
///
/// By the fused implementation where it needs no drawn arrays; otherwise head by head, with the draws of `luna approx-error` for
/// head 0, 1, ... of layer 0.
#[pyfunction]
#[pyo3(signature = (spec, arrays, scale, causal, seed, threads))]
pub(crate) fn attention<'py>(
    py: Python<'py>,
    spec: &str,
    arrays: [Named<'py>; 3],
    scale: Option<f64>,
    causal: bool,
    seed: u64,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray3<f32>>> {
    let cube = |(name, array, _): &Named<'_>| -> PyResult<ArrayView3<'static, f32>> {
        // SAFETY: `arrays` holds a reference to each until the work has ended, at the end of this function.
        let view = unsafe { view::<f32>(array) };
        view.and_then(|view| view.into_dimensionality::<Ix3>().ok()).ok_or_else(|| not_prepared(name))
    };
    let [q, k, v] = [cube(&arrays[0])?, cube(&arrays[1])?, cube(&arrays[2])?];
    let mask = if causal { Mask::Causal } else { Mask::Full };
    let scale = scale.unwrap_or_else(|| 1.0 / (q.dim().2.max(1) as f64).sqrt()) as f32;
    let heads = Heads { scale, ..Heads::new(q, k, v, mask) };
    let (output, _) = work::done(py, threads, None, |watch| output(spec, &heads, seed, watch))?;
    drop(arrays);
    Ok(output.into_pyarray(py))
}

fn output(spec: &str, heads: &Heads<'static>, seed: u64, watch: &dyn Watch) -> Result<Array3<f32>> {
    let spec = spec.parse()?;
    check(heads)?;
    let built = |head: usize| {
        let label = format!("layer 0 head {head}");
        Attention::build(&spec, &Origin { seed, label: &label, learned: None })
    };
    let (attention, (h, n, d_h), (groups, m, d_v)) = (built(0)?, heads.q.dim(), heads.v.dim());
    attention.honours(heads.mask)?;
    let mut out = Array3::zeros((h, n, d_v));
    let fused = attention.fused().filter(|fused| fused.honours(heads.mask) && fused.parts(m, d_h).is_empty());
    let group = |head: usize| head / (h / groups);
    if let Some(fused) = fused {
        let every: Vec<usize> = (0..h).map(group).collect();
        let of_heads = |x: ArrayView3<'static, f32>| -> CowArray<'static, f32, Ix3> {
            if groups < h { x.select(Axis(0), &every).into() } else { x.into() }
        };
        let (k, v) = (of_heads(heads.k), of_heads(heads.v));
        let all = Heads { scale: heads.scale, ..Heads::new(heads.q, k.view(), v.view(), heads.mask) };
        fused.forward_into(None, &all, &Arrays::none(), out.view_mut())?;
    } else {
        let each: Vec<_> = out.axis_iter_mut(Axis(0)).enumerate().collect();
        each.into_par_iter().try_for_each(|(head, mut out)| {
            watch.check()?;
            let [k, v] = [heads.k, heads.v].map(|x| x.index_axis_move(Axis(0), group(head)));
            let q = heads.q.index_axis_move(Axis(0), head);
            out.assign(
                &built(head)?.forward(&Input { scale: heads.scale, ..Input::new(q, k, heads.mask) }, v)?,
            );
            Ok::<_, Error>(())
        })?;
    }
    Ok(out)
}

/// Refuses shapes that do not fit each other, and elements that are not finite.
fn check(heads: &Heads<'_>) -> Result<()> {
    let ((h, _, d_h), (groups, m, _)) = (heads.q.dim(), heads.k.dim());
    let wrong = |name: &str, x: &ArrayView3<'_, f32>, expected: String| {
        Err(Error::Shape { what: format!("array '{name}'"), found: x.shape().to_vec(), expected })
    };
    if heads.q.is_empty() {
        return wrong("q", &heads.q, "(h, n, d), none of them 0".into());
    }
    if groups == 0 || !h.is_multiple_of(groups) || m == 0 || heads.k.dim().2 != d_h {
        return wrong("k", &heads.k, format!("(a divisor of {h}, m, {d_h}), as q has it, m 1 or more"));
    }
    if (heads.v.dim().0, heads.v.dim().1) != (groups, m) || heads.v.is_empty() {
        return wrong("v", &heads.v, format!("({groups}, {m}, d_v), as k has it, d_v 1 or more"));
    }
    for (name, x) in [("q", &heads.q), ("k", &heads.k), ("v", &heads.v)] {
        if let Some(((head, i, j), x)) = x.indexed_iter().find(|(_, x)| !x.is_finite()) {
            let (what, at) = (format!("array '{name}'"), format!("head {head}, row {i}, column {j}"));
            return Err(Error::NotFinite { what, value: f64::from(*x), at });
        }
    }
    if !heads.scale.is_finite() || heads.scale == 0.0 {
        return Err(Error::value("scale", heads.scale, "a finite number other than 0"));
    }
    Ok(())
}
