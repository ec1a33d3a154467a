//! Attention mechanisms over split heads: softmax, and everything that was proposed to stand in for it; [`ALL`] is
//! their list.
//!
//! A mechanism sees heads that are split already (`q` of shape (n, `d_h`), `k` and `v` of shape (m, `d_h`));
//! projections, residuals and dropout belong to [`crate::model`]. It gives an output, the matrix that it stands for
//! (`forward = matrix v`), what it costs and which rank it cannot exceed. [`Attention`] is the door: it checks shapes,
//! refuses masks that a mechanism has no form for, and cuts padding before any mechanism sees it.
//!
//! # One more mechanism
//! A new file with a `pub const KIND: Kind` and an `impl Mechanism`, and two lines here: its `mod` and its place in
//! [`ALL`]. `luna list`, help and the laws in `tests/it/attention` follow.

pub mod backward;
mod bigbird;
pub mod fit;
pub mod fused;
mod input;
mod kind;
mod linear;
mod linformer;
mod local;
mod longformer;
mod luna;
pub mod luna_causal;
mod mask;
pub mod materialised;
mod nystrom;
mod past;
mod pattern;
mod performer;
mod pool;
mod reformer;
mod sinkhorn;
pub mod softmax;
mod sparse;
mod svd;
mod synthesizer;
mod visible;
mod work;

use ndarray::{Array2, ArrayView2, s};

pub use input::Input;
pub use kind::{Kind, Learned, Origin, Under};
pub use mask::Mask;
pub use past::Past;
pub use performer::orthogonal as performer_features;
pub use visible::{Rows, Visible};
pub use work::Work;

use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::name::{self, Spec};

/// Every mechanism.
pub const ALL: &[&Kind] = &[
    // the exact one and the nested one
    &softmax::KIND,
    &self::luna::KIND,
    &luna_causal::KIND,
    // projections of the length, and kernels
    &linformer::KIND,
    &linear::KIND,
    &performer::KIND,
    &nystrom::KIND,
    // those that read some of the keys
    &local::KIND,
    &longformer::KIND,
    &sparse::KIND,
    &bigbird::KIND,
    &reformer::KIND,
    &sinkhorn::KIND,
    &synthesizer::KIND,
    // the best of its rank
    &svd::KIND,
];

/// One way to attend. Implementations see shapes that fit, no padding, and only masks that their [`Kind`] honours.
pub trait Mechanism: Send + Sync {
    /// The output (n, `d_v`) by the obvious route; every product, exponential and division is counted in `work`.
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>>;

    /// The matrix (n, m) that it stands for: `forward = matrix v`.
    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>>;

    /// What [`forward`](Self::forward) costs, in closed form.
    fn cost(&self, shape: &Shape) -> Cost;

    /// The rank that its matrix cannot exceed, where that is less than min(n, m).
    fn rank(&self, shape: &Shape) -> Option<usize>;
}

/// A mechanism with its parameters, ready to be used.
pub struct Attention {
    kind: &'static Kind,
    spec: Spec,
    mechanism: Box<dyn Mechanism>,
}

impl std::fmt::Debug for Attention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.spec)
    }
}

/// The entry of the list that a spec names.
pub fn find(spec: &Spec) -> Result<&'static Kind> {
    name::find("attention", &spec.name, ALL, |kind| kind.name).copied()
}

impl Attention {
    /// The mechanism that a spec names, with its parameters checked.
    pub fn build(spec: &Spec, origin: &Origin<'_>) -> Result<Self> {
        let kind = find(spec)?;
        let mechanism = (kind.build)(&spec.params("attention", kind.takes)?, origin)?;
        Ok(Self { kind, spec: spec.clone(), mechanism })
    }

    /// What it is.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The spec that it was built from.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The output (n, `d_v`) of values (m, `d_v`); rows of padded queries are zeros.
    pub fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        self.counted(input, v).map(|(out, _)| out)
    }

    /// As [`forward`](Self::forward), with the operations that were counted on the way.
    pub fn counted(&self, input: &Input<'_>, v: ArrayView2<'_, f32>) -> Result<(Array2<f32>, Cost)> {
        input.check(Some(v))?;
        self.honours(input.mask)?;
        let mut work = Work::default();
        let real = self.mechanism.forward(&input.cut(), v.slice(s![..input.real.1, ..]), &mut work)?;
        let out = padded(real, (input.q.nrows(), v.ncols()));
        Ok((out, work.done()))
    }

    /// The matrix (n, m) that it stands for; rows and columns of padding are zeros.
    pub fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        input.check(None)?;
        self.honours(input.mask)?;
        let real = self.mechanism.matrix(&input.cut())?;
        Ok(padded(real, (input.q.nrows(), input.k.nrows())))
    }

    /// What a forward pass without padding costs.
    pub fn cost(&self, shape: &Shape) -> Cost {
        self.mechanism.cost(shape)
    }

    /// The rank that its matrix cannot exceed: min(n, m), or less.
    pub fn rank(&self, shape: &Shape) -> usize {
        let most = shape.n.min(shape.m);
        self.mechanism.rank(shape).map_or(most, |rank| rank.min(most))
    }

    /// Whether its form bounds the rank of its matrix.
    pub fn bounds_rank(&self, shape: &Shape) -> bool {
        self.mechanism.rank(shape).is_some()
    }

    /// The error for a mask that it has no form for.
    pub fn honours(&self, mask: Mask) -> Result<()> {
        let Under::Refused(instead) = self.kind.under(mask) else { return Ok(()) };
        let other = if mask == Mask::Full { Mask::Causal.name() } else { Mask::Full.name() };
        let mask = mask.name();
        let hint = if instead.is_empty() { String::new() } else { format!(" ({instead} takes {mask})") };
        Err(Error::value(format!("mask of attention '{}'", self.spec), mask, format!("{other}{hint}")))
    }
}

/// The same numbers in the corner of a larger array of zeros.
fn padded(real: Array2<f32>, shape: (usize, usize)) -> Array2<f32> {
    if real.dim() == shape {
        return real;
    }
    let mut all = Array2::zeros(shape);
    all.slice_mut(s![..real.nrows(), ..real.ncols()]).assign(&real);
    all
}
