//! An entry of the list of null models.

use ndarray::Array2;

use super::operator::DrawOperator;
use crate::error::Result;
use crate::metric::RowProfile;
use crate::name::{Param, Params};
use crate::rng::Rng;
use crate::study::input::Head;
use crate::task::dump::Matrix;

/// An entry of the list.
pub struct NullModel {
    /// The name on the command line and in columns.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its parameters with defaults.
    pub takes: &'static [Param],
    pub(super) draw: Draw,
    /// The same, of a head whose matrix is never kept.
    pub(super) operator: DrawOperator,
    /// Draws a matrix beside queries, keys or values: in logits beside both factors.
    pub(in crate::study::svd_spectrum) columns: Columns,
}

/// Draws one matrix beside one whose rows are tokens and whose columns are the coordinates of a head.
pub(in crate::study::svd_spectrum) type Columns = fn(&Array2<f32>, &mut Rng) -> Array2<f32>;

/// Draws one matrix beside a head whose matrix and row figures are known.
pub(super) type Draw = fn(&Params<'_>, &Head, &Matrix, &RowProfile, &mut Rng) -> Result<Matrix>;
