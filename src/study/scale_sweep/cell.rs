//! What is measured: every mechanism in every form, at every length and projected length.

use super::settings::Settings;
use crate::attention::{self, Kind};
use crate::name::Spec;

/// How a mechanism is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// Blocks that stay in cache; no n x m array.
    Fused,
    /// The n x m matrices are made and held.
    Materialised,
    /// The obvious form only: its operations are counted, it is not timed.
    Reference,
}

impl Form {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fused => "fused",
            Self::Materialised => "n x n",
            Self::Reference => "reference",
        }
    }
}

/// One mechanism in one form at one length.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// The mechanism with every parameter, l among them.
    pub(super) spec: Spec,
    /// The mechanism as it was typed, without l: what cells of one line have in common.
    pub(super) name: String,
    pub(super) kind: &'static Kind,
    pub(super) form: Form,
    pub(super) n: usize,
    pub(super) l: Option<usize>,
}

impl Cell {
    /// Names the cell in the journal, in messages and in random streams.
    pub(super) fn key(&self) -> String {
        format!("{} ({}) at n = {}", self.spec, self.form.name(), self.n)
    }

    /// What tables and legends call its line.
    pub(super) fn title(&self) -> String {
        match (self.kind.name, self.form) {
            ("softmax", form) => format!("{} ({})", self.name, form.name()),
            _ => self.name.clone(),
        }
    }

    /// Whether it is on the same line as another: only the length differs.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        (&self.spec, self.form) == (&other.spec, other.form)
    }

    /// Whether it is exact attention in this form at this length: what others are held against.
    pub(super) fn is_exact(&self, form: Form, n: usize) -> bool {
        self.kind.name == "softmax" && self.form == form && self.n == n
    }

    /// Lines and lengths that are left out, for want of tokens.
    pub(super) fn left_out(settings: &Settings) -> Vec<String> {
        let named = |spec: &Spec| spec.params.iter().find(|(key, _)| key == "l")?.1.parse::<usize>().ok();
        let takes = |spec: &Spec| attention::find(spec).is_ok_and(|kind| kind.depends_on_l(spec));
        let mut all: Vec<usize> = settings.attention.iter().filter_map(named).collect();
        if settings.attention.iter().any(|spec| takes(spec) && named(spec).is_none()) {
            all.extend(&settings.l);
        }
        all.sort_unstable();
        all.dedup();
        let short = |l: &usize| settings.seq_len.iter().filter(move |n| !fits(Some(*l), **n)).max();
        all.iter().filter_map(|l| short(l).map(|n| format!("l = {l} up to n = {n}"))).collect()
    }
}

/// Whether a mechanism of this l is measured at this length.
pub(super) fn fits(l: Option<usize>, n: usize) -> bool {
    l.is_none_or(|l| l <= n)
}
