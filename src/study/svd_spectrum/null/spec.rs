//! Null models that were asked for.

use super::draw::params_width;
use super::{ALL, Beside, NullModel};
use crate::error::Result;
use crate::linalg::operator::Operator;
use crate::metric::RowProfile;
use crate::name::{Spec, specs};
use crate::rng::Rng;
use crate::study::input::Head;
use crate::task::dump::Matrix;

/// A null model with its parameters.
pub(in crate::study::svd_spectrum) struct NullSpec {
    pub(in crate::study::svd_spectrum) spec: Spec,
    pub(in crate::study::svd_spectrum) model: &'static NullModel,
}

/// Reads `--null`: a comma list of specs, or `none`.
pub(in crate::study::svd_spectrum) fn find(text: &str) -> Result<Vec<NullSpec>> {
    if text.trim() == "none" {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for spec in specs(text)? {
        let model = crate::name::find("null model", &spec.name, ALL, |model| model.name)?;
        let params = spec.params("null model", model.takes)?;
        if let Some(0) = params_width(&params)? {
            return Err(params.refuse("d_h", &0, "1 or more"));
        }
        if !found.iter().any(|other: &NullSpec| other.model.name == model.name) {
            found.push(NullSpec { spec, model });
        }
    }
    Ok(found)
}

impl NullSpec {
    /// One draw beside a head whose matrix and row figures are known.
    pub(in crate::study::svd_spectrum) fn draw(
        &self,
        head: &Head,
        matrix: &Matrix,
        rows: &RowProfile,
        rng: &mut Rng,
    ) -> Result<Matrix> {
        let params = self.spec.params("null model", self.model.takes)?;
        (self.model.draw)(&params, head, matrix, rows, rng)
    }

    /// The operator of one draw beside a head whose matrix is never kept.
    pub(in crate::study::svd_spectrum) fn operator<'a>(
        &self,
        beside: &Beside<'a>,
        rng: &mut Rng,
    ) -> Result<Box<dyn Operator + 'a>> {
        let params = self.spec.params("null model", self.model.takes)?;
        (self.model.operator)(&params, beside, rng)
    }
}

/// The names of null models, as columns have them.
pub(in crate::study::svd_spectrum) fn names(nulls: &[NullSpec]) -> Vec<&'static str> {
    nulls.iter().map(|null| null.model.name).collect()
}
