//! The head over the vocabulary: hidden states to logits.

use ndarray::{Array2, s};

use super::config::ModelConfig;
use super::family::Role;
use super::linear::Linear;
use super::load::Store;
use super::norm::normalise;
use crate::linalg::gemm::{Threads, product_into};
use crate::{Error, Result};

/// Words of the vocabulary whose weights are read at once: a table in half precision is never held whole as f32.
const WORDS: usize = 8192;

/// Logits, shape (n, vocabulary); `None` if the weights have no such head.
pub(super) fn logits(
    config: &ModelConfig,
    store: &Store,
    hidden: &Array2<f32>,
) -> Result<Option<Array2<f32>>> {
    let d = if store.has(Role::ProjectOut, 0) { config.embedding } else { config.d };
    if hidden.ncols() != d {
        let (what, found) = ("hidden states".to_string(), hidden.shape().to_vec());
        return Err(Error::Shape { what, found, expected: format!("(n, d) with d = {d}") });
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
        let (gain, shift) = (store.vector(Role::HeadGain, 0)?, store.vector_if(Role::HeadShift, 0)?);
        let shift = shift.as_ref().map(|shift| shift.view());
        normalise(config.norm, x.view_mut(), gain.view(), shift, config.eps);
        transformed = Some(x);
    }
    let x = transformed.as_ref().unwrap_or(hidden);
    let mut logits = Array2::zeros((x.nrows(), config.vocab));
    if let Some(bias) = store.vector_if(Role::HeadOutBias, 0)? {
        logits += &bias;
    }
    for first in (0..config.vocab).step_by(WORDS) {
        let words = first..(first + WORDS).min(config.vocab);
        let weight = store.part(out, words.clone())?;
        product_into(logits.slice_mut(s![.., words]), 1.0, x.view(), weight.t(), 1.0, Threads::All);
    }
    if let Some(cap) = config.vocab_softcap {
        logits.par_mapv_inplace(|x| (cap * (f64::from(x) / cap).tanh()) as f32);
    }
    Ok(Some(logits))
}
