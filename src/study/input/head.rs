//! One head of one window, from whatever source.

use std::borrow::Cow;

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use crate::attention::{HeadTerms, Input, Mask, Visible, softmax};
use crate::error::{Error, Result};
use crate::layer::Factors;
use crate::metric::RowProfile;
use crate::task::dump::{Matrix, Precision};

/// A head of an input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeadPlace {
    /// The layer, from 0; of synthetic heads the place in the list.
    pub layer: usize,
    /// The head in its layer, from 0.
    pub head: usize,
    /// Names it apart from the window, as [`Head::label`].
    pub label: String,
    /// The mask that it is computed under, in words.
    pub mask: String,
}

impl HeadPlace {
    /// A head of a layer that is named by both.
    pub(super) fn in_layer(layer: usize, head: usize, mask: String) -> Self {
        Self { layer, head, label: Head::label_in(layer, head), mask }
    }
}

/// One attention head over one window.
#[derive(Clone, Debug)]
pub struct Head {
    /// Names the head apart from the window, the same on every machine; random streams are labelled with it.
    pub label: String,
    /// The layer, from 0; of synthetic heads the place in the list.
    pub layer: usize,
    /// The head in its layer, from 0.
    pub head: usize,
    /// The window, from 0.
    pub window: usize,
    /// Query and key lengths (n, m).
    pub shape: (usize, usize),
    /// The mask that softmax is computed under; of a given matrix [`visible`](Self::visible) says more.
    pub mask: Mask,
    /// Window, softcap, bias and sink of its logits.
    pub terms: HeadTerms,
    /// Width of queries and keys, if it is known.
    pub width: Option<usize>,
    /// What softmax attention makes its matrix from.
    pub body: Body,
    /// What a head of a Luna model has in the place of softmax attention.
    pub own: Option<Factors>,
}

/// What is known of a head.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // a few dozen live at a time, each beside arrays of far more bytes
pub enum Body {
    /// Queries (n, `d_h`), keys (m, `d_h`) and the factor on their products, in f32; and the matrix if it is made.
    Projected {
        /// Queries.
        q: Array2<f32>,
        /// Keys.
        k: Array2<f32>,
        /// Values (m, `d_v`).
        v: Array2<f32>,
        /// The factor on `q k^T`.
        scale: f64,
        /// Whether the matrix is to be made in f64.
        precise: bool,
        /// The attention matrix, if somebody made it already.
        matrix: Option<Matrix>,
    },
    /// Logits, to be put through the mask and softmax.
    Logits(Array2<f64>),
    /// The attention matrix itself.
    Given(Given),
}

/// A matrix that was computed elsewhere.
#[derive(Clone, Debug)]
pub struct Given {
    /// The matrix.
    pub matrix: Matrix,
    /// Which keys each query sees in it.
    pub visible: Visible,
    /// The precision of its values.
    pub precision: Precision,
}

impl Given {
    /// A matrix in the full precision of its numbers.
    pub fn new(matrix: Matrix, visible: impl Into<Visible>) -> Self {
        let precision = match matrix {
            Matrix::F32(_) => Precision::F32,
            Matrix::F64(_) => Precision::F64,
        };
        Self { matrix, visible: visible.into(), precision }
    }
}

impl Head {
    /// The label of a head of a layer that is named by both.
    pub(in crate::study) fn label_in(layer: usize, head: usize) -> String {
        format!("layer {layer} head {head}")
    }

    /// What softmax attention reads, if the head has queries and keys.
    pub fn input(&self) -> Option<Input<'_>> {
        let Body::Projected { q, k, scale, .. } = &self.body else { return None };
        let terms = self.terms.view();
        Some(Input { scale: *scale as f32, terms, ..Input::new(q.view(), k.view(), self.mask) })
    }

    /// What softmax attention reads, and the values; an error for a head that is only a matrix.
    pub fn projected(&self) -> Result<(Input<'_>, &Array2<f32>)> {
        if let (Some(input), Body::Projected { v, .. }) = (self.input(), &self.body)
            && v.ncols() > 0
        {
            return Ok((input, v));
        }
        let lacks = if self.input().is_some() { "values" } else { "queries, keys and values" };
        Err(Error::Refused(format!(
            "input '{}' has no {lacks}; accepted: heads with queries, keys and values: a model, --qkv FILE with an array v, \
             or --synthetic gaussian:...",
            self.label
        )))
    }

    /// The attention matrix (n, m), rows summing to 1 (with a sink to less, and as far as those of a dump do); of a head of a
    /// Luna model its own.
    pub fn matrix(&self) -> Cow<'_, Matrix> {
        if let Some(own) = &self.own {
            return Cow::Owned(Matrix::F32(own.matrix()));
        }
        match &self.body {
            Body::Given(Given { matrix, .. }) | Body::Projected { matrix: Some(matrix), .. } => {
                Cow::Borrowed(matrix)
            }
            Body::Logits(logits) => Cow::Owned(Matrix::F64(softmax::from_logits(logits.clone(), self.mask))),
            Body::Projected { q, k, scale, precise, matrix: None, .. } => Cow::Owned(match self.input() {
                Some(input) if !precise => Matrix::F32(softmax::matrix_f32(&input)),
                Some(input) if !input.terms.is_empty() => Matrix::F64(softmax::matrix_of(&input)),
                // In all digits of the scale.
                _ => Matrix::F64(softmax::matrix_f64(q.view(), k.view(), *scale, self.mask)),
            }),
        }
    }

    /// Which keys each query sees.
    pub fn visible(&self) -> Visible {
        match &self.body {
            Body::Given(given) => given.visible.clone(),
            Body::Logits(_) | Body::Projected { .. } => Visible::within(self.mask, self.terms.window),
        }
    }

    /// The share of zeros (or of what is too small for a normal f32) among the probabilities that the mask leaves open;
    /// `rows` are the figures of the head's matrix.
    pub fn zeros(&self, rows: &RowProfile) -> f64 {
        let ((n, m), visible) = (self.shape, self.visible());
        let all = visible.count(n, m);
        let positive = match visible {
            Visible::Mask(_) | Visible::Window(..) => rows.positive,
            Visible::Rows(_) => {
                let matrix = self.matrix();
                let seen = |i: usize, j: usize| match &*matrix {
                    Matrix::F32(a) => a[[i, j]] >= f32::MIN_POSITIVE,
                    Matrix::F64(a) => a[[i, j]] >= f64::from(f32::MIN_POSITIVE),
                };
                let pairs = (0..n).flat_map(|i| visible.row(i, m).flatten().map(move |j| (i, j)));
                pairs.filter(|(i, j)| seen(*i, *j)).count()
            }
        };
        all.saturating_sub(positive) as f64 / all.max(1) as f64
    }

    /// The matrix once more, made in f64 from the same queries and keys, where [`matrix`](Self::matrix) is made in f32.
    pub fn precise(&self) -> Option<Array2<f64>> {
        match (&self.own, &self.body) {
            (None, Body::Projected { precise: false, .. }) => {
                self.input().map(|input| softmax::matrix_of(&input))
            }
            _ => None,
        }
    }
}

/// Weights as an attention matrix: what the mask hides becomes 0, and every row is brought to sum 1.
pub(super) fn normalised(mut weights: Array2<f64>, mask: Mask) -> Matrix {
    let m = weights.ncols();
    for (i, mut row) in weights.axis_iter_mut(Axis(0)).enumerate() {
        row.iter_mut().skip(mask.visible(i, m)).for_each(|x| *x = 0.0);
        let sum = row.sum();
        row.mapv_inplace(|x| x / sum);
    }
    Matrix::F64(weights)
}
