//! The input of a command that names none: it needs no file and no download.

use super::{InputArgs, Source, synthetic::Drawn};
use crate::error::Result;

/// Patterns that a reader can judge without a machine, next to untrained heads of three temperatures.
const HEADS: &str = "gaussian:logit_sd=0.25,gaussian:logit_sd=1,gaussian:logit_sd=4,iid,rank:r=8,local:w=17,\
                     locality:sd=8,causal-mean,identity";
/// Short enough for seconds on any machine.
const LENGTH: usize = 256;

pub(super) fn open(args: &InputArgs, seed: u64) -> Result<Box<dyn Source>> {
    let lengths = args.lengths_or(LENGTH);
    Ok(Box::new(Drawn::open(args, HEADS, "embedded", seed)?.with_lengths(lengths)))
}
