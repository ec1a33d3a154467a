//! What a head of a comparison was projected to.

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::study::input::{Body, Head};

/// Queries, keys and values, and the factor on the products of queries and keys.
pub(super) type Projected<'a> = ([&'a Array2<f32>; 3], f32);

/// What a head was projected to; an error for a head that is only a matrix.
pub(super) fn projected(head: &Head) -> Result<Projected<'_>> {
    match &head.body {
        Body::Projected { q, k, v, scale, .. } => Ok(([q, k, v], *scale as f32)),
        Body::Logits(_) | Body::Given(_) => Err(Error::value(
            "input",
            &head.label,
            "heads with queries, keys and values: a model, or --synthetic gaussian:...",
        )),
    }
}
