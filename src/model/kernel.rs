//! The door from layers to the fused kernels: exact attention of heads, counted where that is asked.

use ndarray::{Array2, Array3, ArrayView3, ArrayViewMut3, Axis, s};

use super::linear::Count;
use crate::Result;
use crate::attention::fused::{self, Fused, Given, Heads};
use crate::attention::{Attention, Mask, Origin};
use crate::cost::{Cost, Shape};
use crate::name::Spec;

/// Softmax attention of queries (h, n, `d_h`) over keys and values (h, m, `d_h`) without an n x m array, shape
/// (h, n, `d_h`); without any key, zeros.
pub(super) fn softmax(
    q: ArrayView3<'_, f32>,
    k: ArrayView3<'_, f32>,
    v: ArrayView3<'_, f32>,
    count: Count<'_>,
) -> Result<Array3<f32>> {
    let mut out = Array3::zeros(q.raw_dim());
    if let Some(fused) = fused::find("softmax") {
        attend(fused, &Heads::new(q, k, v, Mask::Full), &Given::Nothing, out.view_mut(), count)?;
    }
    Ok(out)
}

/// A fused pass, counted where that is asked.
pub(super) fn attend(
    fused: &Fused,
    heads: &Heads<'_>,
    given: &Given<'_>,
    out: ArrayViewMut3<'_, f32>,
    count: Count<'_>,
) -> Result<()> {
    match count {
        None => fused.forward_into(heads, given, out),
        Some(tally) => fused.counted(heads, given, out, tally),
    }
}

/// What one head of a mechanism costs, by its closed form; `l` is read by those that take one.
pub(super) fn cost(name: &str, l: usize, shape: &Shape) -> Cost {
    if shape.n == 0 || shape.m == 0 {
        return Cost::default();
    }
    let takes_l = !matches!(name, "softmax" | "linear");
    let mut params: Vec<(String, String)> =
        takes_l.then(|| ("l".to_string(), l.to_string())).into_iter().collect();
    if name == "linformer" {
        // What E costs depends on the context and not on how many columns were drawn.
        params.push(("max".to_string(), "1".to_string()));
    }
    let spec = Spec { name: name.to_string(), params };
    let attention = Attention::build(&spec, &Origin { seed: 0, label: "cost", learned: None });
    attention.map(|attention| attention.cost(shape)).unwrap_or_default()
}

/// Heads (h, n, `d_h`) side by side, shape (n, h `d_h`).
pub(super) fn join(heads: ArrayView3<'_, f32>) -> Array2<f32> {
    let (h, n, width) = heads.dim();
    let mut rows = Array2::zeros((n, h * width));
    for (head, from) in heads.axis_iter(Axis(0)).enumerate() {
        rows.slice_mut(s![.., head * width..(head + 1) * width]).assign(&from);
    }
    rows
}
