//! The head over the vocabulary: hidden states to logits.

use ndarray::Array2;

use super::config::ModelConfig;
use super::family::Role;
use super::linear::Linear;
use super::load::Store;
use super::norm::normalise;
use crate::linalg::gemm::{Threads, product_into};
use crate::{Error, Result};

/// Logits, shape (n, vocabulary); `None` if the weights have no such head.
pub(super) fn logits(
    config: &ModelConfig,
    store: &Store,
    hidden: &Array2<f32>,
) -> Result<Option<Array2<f32>>> {
    if hidden.ncols() != config.d {
        let (what, found) = ("hidden states".to_string(), hidden.shape().to_vec());
        return Err(Error::Shape { what, found, expected: format!("(n, d) with d = {}", config.d) });
    }
    let masked = store.has(Role::HeadDense, 0);
    // A tied weight is in the store only if it differs from the token table.
    let own = store.has(Role::HeadOut, 0);
    if !(own || config.tied) || masked != store.family().has_masked_head() {
        return Ok(None);
    }
    let out = if own { Role::HeadOut } else { Role::Token };
    let mut transformed = None;
    if masked {
        let mut x = Linear::load(store, (Role::HeadDense, Role::HeadDenseBias), 0, false)?.apply(hidden);
        config.head_activation.apply(&mut x);
        let (gain, shift) = (store.vector(Role::HeadGain, 0)?, store.vector(Role::HeadShift, 0)?);
        normalise(config.norm, x.view_mut(), gain.view(), Some(shift.view()), config.eps);
        transformed = Some(x);
    }
    let x = transformed.as_ref().unwrap_or(hidden);
    let weight = store.matrix(out, 0)?;
    let mut logits = Array2::zeros((x.nrows(), config.vocab));
    if let Some(bias) = store.vector_if(Role::HeadOutBias, 0)? {
        logits += &bias;
    }
    product_into(logits.view_mut(), 1.0, x.view(), weight.t(), 1.0, Threads::All);
    Ok(Some(logits))
}
