//! What changes the logits of a head beside its scale and its mask: a window, a softcap, a bias, a sink.

use ndarray::{Array1, ArrayView1, ArrayView2, s};

use super::mask::Mask;
pub use crate::cost::Window;
use crate::error::{Error, Result};

impl Window {
    /// Whether it hides any key that a mask leaves of n queries and as many keys.
    pub fn hides(&self, n: usize, mask: Mask) -> bool {
        self.back.saturating_add(1) < n || mask == Mask::Full && self.ahead.saturating_add(1) < n
    }

    /// How many keys a query sees that is far from both ends.
    pub fn size(&self) -> usize {
        self.back.saturating_add(self.ahead).saturating_add(1)
    }
}

/// What is added to the logits.
#[derive(Clone, Copy, Debug)]
pub enum Bias<'a> {
    /// A number for each pair of a query and a key, shape (n, m).
    Pairs(ArrayView2<'a, f32>),
    /// A number for each distance j - i from `-(n - 1)` to `m - 1`, length n + m - 1 (`ALiBi`, T5).
    Distances(ArrayView1<'a, f32>),
}

/// What changes the logits of a head, in this order: softcap, bias, window, sink.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// A logit x becomes `c tanh(x / c)`.
    pub softcap: Option<f32>,
    /// Added to the logits.
    pub bias: Option<Bias<'a>>,
    /// Keys that are too far away are hidden, beside those that the mask hides.
    pub window: Option<Window>,
    /// A logit that every query sees beside its keys and that has no value: rows of the matrix sum to less than 1.
    pub sink: Option<f32>,
}

/// [`Terms`] that own their arrays: what a head of a trained model carries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadTerms {
    /// As [`Terms::softcap`].
    pub softcap: Option<f32>,
    /// As [`Bias::Distances`].
    pub bias: Option<Array1<f32>>,
    /// As [`Terms::window`].
    pub window: Option<Window>,
    /// As [`Terms::sink`].
    pub sink: Option<f32>,
}

impl HeadTerms {
    /// The same, borrowed.
    pub fn view(&self) -> Terms<'_> {
        let bias = self.bias.as_ref().map(|bias| Bias::Distances(bias.view()));
        Terms { softcap: self.softcap, bias, window: self.window, sink: self.sink }
    }
}

/// One of [`Terms`], for what a mechanism declares to honour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// [`Terms::softcap`].
    Softcap,
    /// [`Terms::bias`].
    Bias,
    /// [`Terms::window`].
    Window,
    /// [`Terms::sink`].
    Sink,
}

impl Term {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Softcap, Self::Bias, Self::Window, Self::Sink];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Softcap => "logit softcap",
            Self::Bias => "logit bias",
            Self::Window => "sliding window",
            Self::Sink => "attention sink",
        }
    }

    /// Its name behind its article.
    pub fn one(self) -> String {
        format!("{} {}", if self == Self::Sink { "an" } else { "a" }, self.name())
    }
}

impl Terms<'_> {
    /// Those that are set.
    pub fn set(&self) -> impl Iterator<Item = Term> {
        let set = [self.softcap.is_some(), self.bias.is_some(), self.window.is_some(), self.sink.is_some()];
        Term::ALL.iter().copied().zip(set).filter(|(_, set)| *set).map(|(term, _)| term)
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.set().next().is_none()
    }

    /// Refuses those that a mechanism does not honour.
    pub(in crate::attention) fn honoured(&self, by: &str, honours: &[Term]) -> Result<()> {
        match self.set().find(|term| !honours.contains(term)) {
            Some(term) => Err(Error::Unsupported {
                who: by.into(),
                what: term.name().into(),
                given: format!("this input has {}", term.one()),
            }),
            None => Ok(()),
        }
    }

    /// Refuses a bias of a shape that does not fit n queries and m keys, and a softcap that is not positive.
    pub(super) fn check(&self, n: usize, m: usize) -> Result<()> {
        if let Some(softcap) = self.softcap.filter(|softcap| !(*softcap > 0.0 && softcap.is_finite())) {
            return Err(Error::value("logit softcap", softcap, "a finite number above 0"));
        }
        let (found, expected) = match self.bias {
            Some(Bias::Pairs(bias)) => (bias.shape().to_vec(), vec![n, m]),
            Some(Bias::Distances(bias)) => (bias.shape().to_vec(), vec![n + m - 1]),
            None => return Ok(()),
        };
        if found == expected {
            return Ok(());
        }
        Err(Error::Shape { what: "logit bias".into(), found, expected: format!("{expected:?}") })
    }

    /// Those of the first queries and keys of n and m.
    pub(super) fn first(&self, (n, m): (usize, usize), real: (usize, usize)) -> Self {
        let bias = self.bias.map(|bias| match bias {
            Bias::Pairs(bias) => Bias::Pairs(bias.slice_move(s![..real.0, ..real.1])),
            Bias::Distances(bias) => {
                debug_assert_eq!(bias.len(), n + m - 1);
                Bias::Distances(bias.slice_move(s![n - real.0..n + real.1 - 1]))
            }
        });
        Self { bias, ..*self }
    }

    /// A logit of query i, of n, and key j after softcap and bias.
    pub fn logit(&self, (i, j): (usize, usize), n: usize, x: f64) -> f64 {
        let x = self.softcap.map_or(x, |cap| f64::from(cap) * (x / f64::from(cap)).tanh());
        let bias = match self.bias {
            Some(Bias::Pairs(bias)) => bias[[i, j]],
            Some(Bias::Distances(bias)) => bias[n - 1 + j - i],
            None => return x,
        };
        x + f64::from(bias)
    }
}
