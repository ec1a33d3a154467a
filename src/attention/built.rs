//! The door to every mechanism: shapes and masks are checked here, padding is removed.

use ndarray::{Array2, ArrayView2, s};

use super::ALL;
use super::choice::Choice;
use super::input::Input;
use super::kernel::fused::Fused;
use super::kind::{Kind, Under};
use super::mask::Mask;
use super::mechanism::Mechanism;
use super::origin::Origin;
use super::reference::work::Work;
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::name::{self, Spec};

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

/// The fused implementation of the mechanism of that name, with its default parameters and this l where it takes one.
pub fn fused(name: &str, l: Option<usize>) -> Result<Fused> {
    let attention = Attention::plain(name, l)?;
    attention.fused().ok_or_else(|| {
        let has =
            |kind: &&&Kind| Attention::plain(kind.name, None).is_ok_and(|other| other.fused().is_some());
        let known: Vec<&str> = ALL.iter().filter(has).map(|kind| kind.name).collect();
        Error::value("attention with a fused implementation", name, known.join(", "))
    })
}

impl Attention {
    /// The mechanism of that name with its default parameters, and this l where it takes one.
    pub fn plain(name: &str, l: Option<usize>) -> Result<Self> {
        let kind = name::find("attention", name, ALL, |kind| kind.name)?;
        let l = l.filter(|_| kind.takes_l()).map(|l| ("l".to_string(), l.to_string()));
        let spec = Spec { name: name.to_string(), params: l.into_iter().collect() };
        Self::of(&spec)
    }

    /// The mechanism that a spec names, where what it draws does not matter.
    pub fn of(spec: &Spec) -> Result<Self> {
        Self::build(spec, &Origin { seed: 0, label: "", learned: None })
    }

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

    /// Whether the rows of its matrix sum to 1 (a row that sees nothing is zeros).
    pub fn is_stochastic(&self) -> bool {
        self.kind.stochastic && self.mechanism.stochastic()
    }

    /// The projected length that it computes with; `None` where nothing depends on one.
    pub fn l(&self) -> Option<usize> {
        self.mechanism.l()
    }

    /// The longest context that it can attend to, where it draws or learns arrays for one.
    pub fn longest(&self) -> Option<usize> {
        self.mechanism.longest()
    }

    /// The same over many heads without an n x m array, where there is an implementation.
    pub fn fused(&self) -> Option<Fused> {
        self.mechanism.fused()
    }

    /// The output (n, `d_v`) of values (m, `d_v`); rows of padded queries are zeros.
    pub fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        self.counted(input, v).map(|(out, _)| out)
    }

    /// As [`forward`](Self::forward), with the operations that were counted.
    pub fn counted(&self, input: &Input<'_>, v: ArrayView2<'_, f32>) -> Result<(Array2<f32>, Cost)> {
        input.check(Some(v))?;
        self.honours(input.mask)?;
        input.terms.honoured(self.kind.name, self.kind.terms)?;
        let mut work = Work::default();
        let real =
            self.mechanism.forward(&input.without_padding(), v.slice(s![..input.real.1, ..]), &mut work)?;
        let out = padded(real, (input.q.nrows(), v.ncols()));
        Ok((out, work.done()))
    }

    /// The matrix (n, m) that it stands for; rows and columns of padding are zeros.
    pub fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        self.accepts(input)?;
        let real = self.mechanism.matrix(&input.without_padding())?;
        Ok(padded(real, (input.q.nrows(), input.k.nrows())))
    }

    /// As [`matrix`](Self::matrix) of an input without padding: keys that are chosen by exact probabilities are chosen by
    /// those of [`matrix_of`](super::softmax::matrix_of) (n, m), which several mechanisms can share.
    pub fn matrix_beside(&self, input: &Input<'_>, exact: &Array2<f64>) -> Result<Array2<f32>> {
        let Some(choice) = self.choice() else { return self.matrix(input) };
        self.accepts(input)?;
        Ok(choice.matrix(input, exact))
    }

    /// The keys that it reads, of a mechanism whose matrix is softmax over some of the keys: its rows can then be computed a
    /// few at a time, without an n x m array.
    pub fn choice(&self) -> Option<Choice<'_>> {
        self.mechanism.choice()
    }

    /// What a forward pass without padding costs.
    pub fn cost(&self, shape: &Shape) -> Cost {
        self.mechanism.cost(shape)
    }

    /// How many elements of a key-value cache its queries read, all together: of keys and values, or of what is stored in
    /// their place. `None` where nothing is stored that a query could read instead of them.
    pub fn cache_reads(&self, shape: &Shape) -> Option<u64> {
        self.mechanism.cache_reads(shape)
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

    /// The error for shapes that do not fit each other, and for a mask or terms that it has no form for.
    pub fn accepts(&self, input: &Input<'_>) -> Result<()> {
        input.check(None)?;
        self.honours(input.mask)?;
        input.terms.honoured(self.kind.name, self.kind.terms)
    }

    /// The error for a mask that it has no form for.
    pub fn honours(&self, mask: Mask) -> Result<()> {
        match self.kind.under(mask) {
            Under::Refused(instead) => Err(mask.unsupported(&self.spec.to_string(), instead)),
            Under::Honoured | Under::Leaks(_) => Ok(()),
        }
    }
}

/// The same elements in the corner of a larger array of zeros.
fn padded(real: Array2<f32>, shape: (usize, usize)) -> Array2<f32> {
    if real.dim() == shape {
        return real;
    }
    let mut all = Array2::zeros(shape);
    all.slice_mut(s![..real.nrows(), ..real.ncols()]).assign(&real);
    all
}
