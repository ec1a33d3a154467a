//! Sink and window (`StreamingLLM`, Xiao et al. 2024): the first keys, which trained models use to store weight that they
//! have no use for, and a sliding window; l keys in all.

use std::ops::Range;

use super::kernel::fused::Fused;
use super::kernel::sinks::Sinks;
use super::reference::pattern::{self, Pattern, ReadsBy};
use super::{Input, Kind, Mask, Mechanism, Origin, Under};
use crate::cost::Shape;
use crate::error::Result;
use crate::name::{Param, Params};

/// The sinks among its parameters, and those of what is built on it.
pub(super) const SINK: Param = Param {
    name: "sink",
    default: Some("4"),
    about: "leading keys that every query reads, of the l; l - 1 at most where none is typed",
};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "sink-window",
    about: "the first keys and a sliding window (StreamingLLM)",
    equation: "softmax over the j with j < s or |i - j| <= (l - s)/2 (causal: 0 <= i - j < l - s) of q_i k_j / sqrt(d_h)",
    paper: "Xiao et al. 2024",
    takes: &[
        Param { name: "l", default: Some("64"), about: "keys of a query: the sinks, and the rest as window" },
        SINK,
    ],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: &[],
    by_default: false,
    fit: None,
    build,
};

/// `sink` leading keys, and a window of l - sink.
pub(super) struct SinkWindow {
    l: usize,
    keys: Sinks,
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    Ok(Box::new(SinkWindow::read(params)?))
}

impl SinkWindow {
    /// Of `l` and `sink` as typed. The default of the sinks leaves the query's own key in every l.
    pub(super) fn read(params: &Params<'_>) -> Result<Self> {
        let (l, mut sinks) = (params.at_least("l", 1)?, params.get("sink")?);
        if !params.is_typed("sink") {
            sinks = (l - 1).min(sinks);
        }
        if sinks > l {
            return Err(params.refuse("sink", &sinks, &format!("0 to l, {l}")));
        }
        Ok(Self { l, keys: Sinks { leading: sinks, window: l - sinks, global: false } })
    }
}

impl Pattern for SinkWindow {
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> ReadsBy<'a> {
        let (m, mask) = (input.k.nrows(), input.mask);
        Box::new(move |i, _| pattern::merged(self.keys.sees(i, m, mask).into()))
    }

    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_> {
        let (mask, m) = (Mask::of(shape), shape.m);
        Box::new(move |i| self.keys.sees(i, m, mask).iter().map(Range::len).sum())
    }

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::new(KIND.name, self.keys))
    }
}
