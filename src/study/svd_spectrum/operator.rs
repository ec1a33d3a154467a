//! A head's matrix, computed row by row wherever it can be.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array2, ArrayViewMut2};

use crate::attention::softmax::Unmaterialised;
use crate::error::Result;
use crate::layer::Factors;
use crate::linalg::operator::Operator;
use crate::linalg::rounding::{self, EntryRounding};
use crate::metric::RowProfile;
use crate::study::input::Head;
use crate::sweep::Watch;
use crate::task::dump::Matrix;

/// The matrix of a head.
pub(super) enum HeadMatrix<'a> {
    /// Of queries and keys.
    Rows(Unmaterialised<'a>),
    /// Of a Luna model.
    Own(&'a Factors),
    /// One that comes as a matrix.
    Kept(Array2<f32>),
}

impl<'a> HeadMatrix<'a> {
    pub(super) fn of(head: &'a Head) -> Self {
        match (&head.own, head.input()) {
            (Some(own), _) => Self::Own(own),
            (None, Some(input)) => Self::Rows(Unmaterialised(input)),
            (None, None) => Self::Kept(kept(head.matrix().into_owned())),
        }
    }

    /// How its entries are rounded.
    pub(super) fn rounding(&self) -> EntryRounding {
        match self {
            Self::Rows(_) | Self::Own(_) => rounding::F32,
            Self::Kept(a) => rounding::unit(a.view()),
        }
    }

    fn operator(&self) -> &dyn Operator {
        match self {
            Self::Rows(rows) => rows,
            Self::Own(own) => *own,
            Self::Kept(a) => a,
        }
    }
}

/// The figures of the rows of a head's matrix, and the mass of the largest `at` keys; tells `watch` how far it is.
pub(super) fn rows(a: &HeadMatrix<'_>, at: &[usize], label: &str, watch: &dyn Watch) -> Result<RowProfile> {
    let (all, done) = (2 * a.shape().0, AtomicUsize::new(0));
    let on_rows = |rows: usize| {
        let done = done.fetch_add(rows, Ordering::Relaxed) + rows;
        watch.step(0, &format!("{label}: rows, {} % done", 100 * done / all));
        watch.check()
    };
    watch.step(0, &format!("{label}: rows"));
    RowProfile::of_operator(a, at, &on_rows)
}

/// A matrix as an operator holds it.
pub(super) fn kept(matrix: Matrix) -> Array2<f32> {
    match matrix {
        Matrix::F32(a) => a,
        Matrix::F64(a) => a.mapv(|x| x as f32),
    }
}

impl Operator for HeadMatrix<'_> {
    fn shape(&self) -> (usize, usize) {
        self.operator().shape()
    }

    fn support(&self, rows: Range<usize>) -> Range<usize> {
        self.operator().support(rows)
    }

    fn rows(&self, range: Range<usize>, out: ArrayViewMut2<'_, f32>) {
        self.operator().rows(range, out);
    }
}
