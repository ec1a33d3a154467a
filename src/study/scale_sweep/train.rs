//! Forward and backward of the bare attention: the gradients of queries, keys, values and learned pieces.

use ndarray::{Array, ArrayView, ArrayView2, ArrayView3, ArrayViewMut3, Dimension};

use super::cell::{Cell, Form};
use super::subject::Facts;
use crate::attention::backward::{self, Backward, Gradients};
use crate::attention::fused::{Given, Heads, Path};
use crate::attention::materialised;
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::rng::{Rng, normal, stream};

/// What a difference of slopes counts beside one of outputs: slopes are taken from differences of f32 outputs.
pub(super) const SLOPES: f64 = 1e-2;
/// How far inputs are moved to see a slope.
const STEP: f32 = 1e-2;

/// Forward, then backward, into gradients that are there already.
pub(super) struct Training {
    /// None for the form with n x n matrices.
    form: Option<&'static Backward>,
    gradients: Gradients,
}

impl Training {
    pub(super) fn new(cell: &Cell, gradients: Gradients) -> Self {
        let form = if cell.form == Form::Fused { backward::find(cell.kind.name) } else { None };
        Self { form, gradients }
    }

    /// One pass each way under the upstream gradient `d_out` (h, n, `d_v`).
    pub(super) fn run(
        &mut self,
        heads: &Heads<'_>,
        given: &Given<'_>,
        mut out: ArrayViewMut3<'_, f32>,
        d_out: ArrayView3<'_, f32>,
        tied: bool,
    ) -> Result<()> {
        match self.form {
            None => materialised::train_into(heads, out, d_out, &mut self.gradients)?,
            Some(form) => {
                let kept = form.forward_keeping(Path::Widest, heads, given, out.view_mut())?;
                let gradients = &mut self.gradients;
                form.backward_into(Path::Widest, heads, given, &kept, out.view(), d_out, gradients)?;
            }
        }
        if tied {
            // Keys and values are one array: its gradient is the sum.
            self.gradients.k += &self.gradients.v;
        }
        Ok(())
    }

    /// How far the gradients are from what the outputs do when every input moves a little along drawn directions: the
    /// difference of the two slopes over the length of the gradient.
    pub(super) fn difference(
        &mut self,
        heads: &Heads<'_>,
        given: &Given<'_>,
        d_out: ArrayView3<'_, f32>,
        seed: u64,
    ) -> Result<f64> {
        let mut out = Array::zeros((heads.q.dim().0, heads.q.dim().1, heads.v.dim().2));
        self.run(heads, given, out.view_mut(), d_out, false)?;
        let analytic = self.gradients.clone();
        let mut rng = stream(seed, "scale-sweep slopes");
        let [dq, dk, dv] = [heads.q, heads.k, heads.v].map(|x| like(&mut rng, x));
        let p = if let Given::Luna { p } | Given::LunaCausal { p, .. } = given { Some(like(&mut rng, *p)) } else { None };
        let e = if let Given::Linformer { e, .. } = given { Some(like(&mut rng, *e)) } else { None };
        let mut seen = [0.0; 2];
        for (seen, step) in seen.iter_mut().zip([STEP, -STEP]) {
            let [q, k, v] = [(heads.q, &dq), (heads.k, &dk), (heads.v, &dv)].map(|(x, d)| &x + &(d * step));
            let moved = Heads { q: q.view(), k: k.view(), v: v.view(), ..*heads };
            let move_p = |at: ArrayView3<'_, f32>| p.as_ref().map_or_else(|| at.to_owned(), |d| &at + &(d * step));
            let move_e = |at: ArrayView2<'_, f32>| e.as_ref().map_or_else(|| at.to_owned(), |d| &at + &(d * step));
            let into = out.view_mut();
            match *given {
                Given::Luna { p } => {
                    let p = move_p(p);
                    self.run(&moved, &Given::Luna { p: p.view() }, into, d_out, false)?;
                }
                Given::LunaCausal { p, weight } => {
                    let p = move_p(p);
                    self.run(&moved, &Given::LunaCausal { p: p.view(), weight }, into, d_out, false)?;
                }
                Given::Linformer { e, .. } => {
                    let e = move_e(e);
                    self.run(&moved, &Given::Linformer { e: e.view(), f: e.view() }, into, d_out, false)?;
                }
                other => self.run(&moved, &other, into, d_out, false)?,
            }
            *seen = dot(out.view(), d_out);
        }
        let slope = (seen[0] - seen[1]) / (2.0 * f64::from(STEP));
        let Gradients { q, k, v, p: of_p, e: of_e, f: of_f } = &analytic;
        let mut parts = vec![(dot(q.view(), dq.view()), dot(q.view(), q.view()))];
        parts.push((dot(k.view(), dk.view()), dot(k.view(), k.view())));
        parts.push((dot(v.view(), dv.view()), dot(v.view(), v.view())));
        parts.extend(of_p.iter().zip(&p).map(|(g, d)| (dot(g.view(), d.view()), dot(g.view(), g.view()))));
        for of in [of_e, of_f] {
            parts.extend(of.iter().zip(&e).map(|(g, d)| (dot(g.view(), d.view()), dot(g.view(), g.view()))));
        }
        let (along, square) = parts.iter().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        Ok((slope - along).abs() / square.sqrt())
    }
}

/// Standard normal numbers in the shape of an array.
fn like<D: Dimension>(rng: &mut Rng, x: ArrayView<'_, f32, D>) -> Array<f32, D> {
    let mut all = Array::zeros(x.raw_dim());
    all.iter_mut().zip(normal(rng, 1, x.len())).for_each(|(x, drawn)| *x = drawn);
    all
}

fn dot<D: Dimension>(a: ArrayView<'_, f32, D>, b: ArrayView<'_, f32, D>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The closed forms of a cell of h heads whose inputs, outputs and gradients take so many bytes.
pub(super) fn facts(cell: &Cell, shape: &Shape, h: usize, held: usize) -> Result<Facts> {
    let (cost, matrices, extra) = match cell.form {
        Form::Materialised => {
            let extra = 2 * materialised::extra_bytes(shape, h);
            (materialised::train_cost(shape), 2 * extra, Some(extra as u64))
        }
        Form::Fused => {
            let l = cell.l.unwrap_or(0);
            let form = backward::find(cell.kind.name);
            let [forward, backward] = form.map_or([Cost::default(); 2], |form| form.cost(shape, l));
            let extra = form.map(|form| {
                let [forward, backward] = form.extra_bytes(shape, h, l, rayon::current_num_threads());
                (form.kept_bytes(shape, h, l) + forward.max(backward)) as u64
            });
            (forward + backward, 0, extra)
        }
        // Nothing is known of a backward pass that is not here.
        Form::Reference => (Cost::default(), 0, None),
    };
    Ok(Facts { cost: cost * h, bytes: (held + matrices) as u64, extra_bytes: extra, held_bytes: held as u64 })
}
