//! Sequences of a batch, one after the other without padding.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut3, Axis, s};

/// Which rows belong to which sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Where each sequence begins, and where the last one ends.
    starts: Vec<usize>,
}

impl Rows {
    /// Sequences of these lengths.
    pub fn of(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut starts = vec![0];
        for length in lengths {
            starts.push(starts[starts.len() - 1] + length);
        }
        Self { starts }
    }

    /// The first min(`max`, length) rows of every sequence.
    pub(crate) fn at_most(&self, max: usize) -> Self {
        Self::of(self.each().map(|rows| rows.len().min(max)))
    }

    /// How many sequences.
    pub fn sequences(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many rows all of them have.
    pub fn total(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// The rows of the longest sequence.
    pub(super) fn longest(&self) -> usize {
        self.each().map(|rows| rows.len()).max().unwrap_or(0)
    }

    /// The rows of every sequence.
    pub fn each(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.starts.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The length of all sequences, if they have the same.
    fn shared(&self) -> Option<usize> {
        let mut lengths = self.each().map(|rows| rows.len());
        let first = lengths.next()?;
        lengths.all(|length| length == first).then_some(first)
    }
}

/// What the heads (h, rows, w) of a batch are sliced into, so that one call of a kernel sees sequences of one length.
pub(super) enum Slice {
    /// All b sequences have n rows: every sequence's heads are heads of their own, (h b, n, w).
    Alike {
        /// Rows of each.
        n: usize,
        /// Sequences.
        b: usize,
    },
    /// The rows of one sequence.
    Rows(Range<usize>),
}

impl Slice {
    /// The rows of one sequence.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Alike { n, .. } => *n,
            Self::Rows(rows) => rows.len(),
        }
    }

    /// The slice of heads.
    pub(super) fn of<'a>(&self, x: ArrayView3<'a, f32>) -> ArrayView3<'a, f32> {
        let (h, _, width) = x.dim();
        match self {
            Self::Alike { n, b } => x.into_shape_with_order((h * b, *n, width)).expect("in standard layout"),
            Self::Rows(rows) => x.slice_move(s![.., rows.clone(), ..]),
        }
    }
}

/// Queries and contexts of the kernel calls that a batch needs.
pub(super) fn slices(queries: &Rows, context: &Rows) -> Vec<(Slice, Slice)> {
    match (queries.shared(), context.shared()) {
        (Some(n), Some(m)) => {
            let b = queries.sequences();
            vec![(Slice::Alike { n, b }, Slice::Alike { n: m, b })]
        }
        _ => queries.each().zip(context.each()).map(|(n, m)| (Slice::Rows(n), Slice::Rows(m))).collect(),
    }
}

/// The parts of heads (h, rows, w) that these slices, which follow each other, make of it.
pub(super) fn split_mut<'a, 's>(
    x: &'a mut Array3<f32>,
    slices: impl Iterator<Item = &'s Slice>,
) -> Vec<ArrayViewMut3<'a, f32>> {
    let (h, rows, width) = x.dim();
    let mut remainder = x.view_mut();
    let mut parts = Vec::new();
    for slice in slices {
        let count = match slice {
            Slice::Alike { .. } => rows,
            Slice::Rows(of) => of.len(),
        };
        let (part, rest) = remainder.split_at(Axis(1), count);
        remainder = rest;
        parts.push(match slice {
            Slice::Alike { n, b } => {
                part.into_shape_with_order((h * b, *n, width)).expect("in standard layout")
            }
            Slice::Rows(_) => part,
        });
    }
    parts
}

/// The same elements in another shape.
pub(super) fn reshaped(x: Array3<f32>, dim: (usize, usize, usize)) -> Array3<f32> {
    x.into_shape_with_order(dim).expect("in standard layout")
}

/// The first rows of p for every sequence, of which `rows` has as many as it reads.
pub(crate) fn repeated(p: ArrayView2<'_, f32>, rows: &Rows) -> Array2<f32> {
    let mut all = Array2::zeros((rows.total(), p.ncols()));
    for of in rows.each() {
        let length = of.len();
        all.slice_mut(s![of, ..]).assign(&p.slice(s![..length, ..]));
    }
    all
}

/// The gradient of the l rows that [`repeated`] repeated.
pub(crate) fn repeated_backward(d_all: &Array2<f32>, rows: &Rows, l: usize) -> Array2<f32> {
    let mut sum = Array2::zeros((l, d_all.ncols()));
    for of in rows.each() {
        let mut part = sum.slice_mut(s![..of.len(), ..]);
        part += &d_all.slice(s![of, ..]);
    }
    sum
}
