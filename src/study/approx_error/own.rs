//! `trained`: what a Luna model itself has learned, in the row of the mechanisms that stand in for softmax.

use crate::attention::{Kind, Mask, Origin, Under};
use crate::error::{Error, Result};
use crate::name::{Params, Spec};
use crate::study::input::{InputArgs, Source};

/// Its name on the command line.
pub(super) const NAME: &str = "trained";

/// As the other mechanisms are listed. It stands in no list of [`crate::attention`], since it can be built from nothing but
/// the head of a model.
const FULL: Kind = Kind {
    name: NAME,
    about: "the pack and unpack attention of a Luna model as it was trained; only for approx-error with --model RUN or \
            byte-luna",
    equation: "A_u A_p v",
    paper: "Ma et al. 2021",
    takes: &[],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: &[],
    by_default: false,
    fit: None,
    build: |_: &Params<'_>, _: &Origin<'_>| Err(Error::value("attention", NAME, OF)),
};
/// Of a Luna model; for lists.
pub static TRAINED: Kind = FULL;
static TRAINED_CAUSAL: Kind = Kind { equation: "(1 / t) a_t W^T v", stochastic: false, ..FULL };

/// What it is an attention of.
const OF: &str =
    "the attention of a model that was trained with luna or luna-causal (--model RUN, or byte-luna)";

/// Whether a spec names it; its parameters were settled when it was trained.
pub(super) fn named(spec: &Spec) -> Result<bool> {
    if spec.name != NAME {
        return Ok(false);
    }
    spec.params("attention", FULL.takes)?;
    Ok(true)
}

/// Refuses it where no input could have such an attention, before anything is opened.
pub(super) fn check(spec: &Spec, input: &InputArgs) -> Result<bool> {
    match named(spec)? {
        true if input.synthetic.is_some() => Err(refusal("synthetic heads have none")),
        named => Ok(named),
    }
}

/// Its entry for the heads of this source, and its l.
///
/// Refuses a source whose attention is not Luna's.
pub(super) fn of(source: &dyn Source) -> Result<(&'static Kind, usize)> {
    let l = source.own_l().ok_or_else(|| refusal(&format!("'{}' attends by softmax", source.name())))?;
    Ok((if source.mask() == Mask::Causal { &TRAINED_CAUSAL } else { &TRAINED }, l))
}

fn refusal(why: &str) -> Error {
    Error::value("--mechanism", NAME, format!("{NAME} with {OF}; {why}"))
}

/// What a reader must know of the comparison of a Luna model with softmax, which it does not have.
pub(super) fn note(source: &dyn Source) -> Option<String> {
    source.own_l()?;
    Some(if source.mask() == Mask::Causal {
        "softmax here is that of a head's own queries, keys and values, which the model itself never computes: distances are \
         of mechanisms, not of a failed training"
            .into()
    } else {
        "softmax here is that of a head's unpack queries, pack keys and pack values, which the model itself never computes: \
         distances are of mechanisms, not of a failed training"
            .into()
    })
}
