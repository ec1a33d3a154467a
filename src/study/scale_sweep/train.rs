//! Forward and backward of the bare attention: the gradients of queries, keys, values and learned pieces.

use ndarray::{Array, ArrayView, ArrayView3, ArrayViewMut3, Dimension};

use super::cell::{Cell, Form};
use super::subject::Facts;
use crate::attention::backward::{self, Backward, Gradients};
use crate::attention::fused::{Given, Heads};
use crate::attention::materialised;
use crate::cost::{Cost, Shape, Tally};
use crate::error::Result;
use crate::rng::{Rng, normal, stream};

/// What a difference of slopes counts beside one of outputs: slopes are taken from differences of f32 outputs.
pub(super) const SLOPES: f64 = 1e-2;
/// How far an input is moved to see a slope, as a share of the size of its numbers.
const STEP: f64 = 3e-3;

/// Forward, then backward, into gradients that are there already.
pub(super) struct Training {
    /// None for the form with n x n matrices.
    form: Option<&'static Backward>,
    gradients: Gradients,
}

impl Training {
    pub(super) fn new(cell: &Cell, gradients: Gradients) -> Self {
        let form = if cell.form == Form::Fused { backward::find(cell.kind.name) } else { None };
        let mut gradients = gradients;
        // Written to here, so that no pass is the first to touch their pages.
        for x in [&mut gradients.q, &mut gradients.k, &mut gradients.v] {
            x.fill(1.0);
        }
        Self { form, gradients }
    }

    /// One pass each way under the upstream gradient `d_out` (h, n, `d_v`).
    pub(super) fn run(
        &mut self,
        heads: &Heads<'_>,
        given: &Given<'_>,
        mut out: ArrayViewMut3<'_, f32>,
        d_out: ArrayView3<'_, f32>,
        tally: Option<&Tally>,
    ) -> Result<()> {
        match self.form {
            None => materialised::train_into(heads, out, d_out, &mut self.gradients, tally)?,
            Some(form) => {
                let kept = form.forward_keeping(tally, heads, given, out.view_mut())?;
                let gradients = &mut self.gradients;
                form.backward_into(tally, heads, given, &kept, out.view(), d_out, gradients)?;
            }
        }
        Ok(())
    }

    /// How far the gradients are from what the outputs do when one input after the other moves a little along a drawn
    /// direction: the difference of the two slopes over the length of that input's gradient, the largest of all inputs.
    ///
    /// Performer's maxima are constants to its gradients, which its outputs depend on through eps: it is not asked.
    pub(super) fn difference(
        &mut self,
        heads: &Heads<'_>,
        given: &Given<'_>,
        d_out: ArrayView3<'_, f32>,
        seed: u64,
    ) -> Result<f64> {
        if matches!(given, Given::Performer { .. }) {
            return Ok(0.0);
        }
        let mut out = Array::zeros((heads.q.dim().0, heads.q.dim().1, heads.v.dim().2));
        self.run(heads, given, out.view_mut(), d_out, None)?;
        let gradients = self.gradients.clone();
        let mut rng = stream(seed, "scale-sweep slopes");
        let mut seen = |heads: &Heads<'_>, given: &Given<'_>| -> Result<f64> {
            self.run(heads, given, out.view_mut(), d_out, None)?;
            Ok(dot(out.view(), d_out))
        };
        let mut far: f64 = 0.0;
        for part in 0..3 {
            let (x, gradient) =
                [(heads.q, &gradients.q), (heads.k, &gradients.k), (heads.v, &gradients.v)][part];
            let moved = Moved::new(&mut rng, x);
            let with = |x| match part {
                0 => Heads { q: x, ..*heads },
                1 => Heads { k: x, ..*heads },
                _ => Heads { v: x, ..*heads },
            };
            let ends = [seen(&with(moved.up.view()), given)?, seen(&with(moved.down.view()), given)?];
            far = worse(far, moved.off(ends, gradient.view()));
        }
        if let (Given::Luna { p } | Given::LunaCausal { p, .. }, Some(gradient)) = (given, &gradients.p) {
            let moved = Moved::new(&mut rng, *p);
            let with = |p| match given {
                Given::LunaCausal { weight, .. } => Given::LunaCausal { p, weight: *weight },
                _ => Given::Luna { p },
            };
            let ends = [seen(heads, &with(moved.up.view()))?, seen(heads, &with(moved.down.view()))?];
            far = worse(far, moved.off(ends, gradient.view()));
        }
        if let (Given::Linformer { e, .. }, Some(of_e), Some(of_f)) = (given, &gradients.e, &gradients.f) {
            let moved = Moved::new(&mut rng, *e);
            // E and F are one array here: they move together, and its gradient is the sum.
            let with = |e| Given::Linformer { e, f: e };
            let ends = [seen(heads, &with(moved.up.view()))?, seen(heads, &with(moved.down.view()))?];
            far = worse(far, moved.off(ends, (of_e + of_f).view()));
        }
        Ok(far)
    }
}

/// The larger of two, of which one that is no number is the largest.
fn worse(a: f64, b: f64) -> f64 {
    if b <= a { a } else { b }
}

/// An input moved both ways along a drawn direction.
struct Moved<D: Dimension> {
    direction: Array<f32, D>,
    step: f64,
    up: Array<f32, D>,
    down: Array<f32, D>,
}

impl<D: Dimension> Moved<D> {
    fn new(rng: &mut Rng, x: ArrayView<'_, f32, D>) -> Self {
        let step = STEP * (dot(x.view(), x.view()) / x.len() as f64).sqrt();
        let mut direction = Array::zeros(x.raw_dim());
        direction.iter_mut().zip(normal(rng, 1, x.len())).for_each(|(x, drawn)| *x = drawn);
        let [up, down] = [step, -step].map(|step| {
            let mut moved = x.to_owned();
            moved.scaled_add(step as f32, &direction);
            moved
        });
        Self { direction, step, up, down }
    }

    /// The slope that was seen beside the one that the gradient gives, over the gradient's length.
    fn off(&self, [up, down]: [f64; 2], gradient: ArrayView<'_, f32, D>) -> f64 {
        let slope = (up - down) / (2.0 * self.step);
        (slope - dot(gradient.view(), self.direction.view())).abs()
            / dot(gradient.view(), gradient.view()).sqrt()
    }
}

fn dot<D: Dimension>(a: ArrayView<'_, f32, D>, b: ArrayView<'_, f32, D>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The closed forms of a cell of h heads whose inputs, outputs and gradients take so many bytes.
pub(super) fn facts(cell: &Cell, shape: &Shape, h: usize, [shared, own]: [usize; 2]) -> Facts {
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
    Facts {
        cost: cost * h,
        bytes: (shared + own + matrices) as u64,
        extra_bytes: extra,
        shared_bytes: shared as u64,
        own_bytes: own as u64,
    }
}
