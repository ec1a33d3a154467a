//! A cell: one mechanism with its l, in one implementation, at one length.

use crate::attention::Kind;
use crate::name::Spec;

/// How a mechanism is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// Blocks that stay in cache; no n x m array.
    Fused,
    /// The n x m matrices are computed and held.
    Materialised,
    /// The reference implementation only: its operations are counted, it is not timed.
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

/// One mechanism with its l, in one implementation, at one length.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// The mechanism with every parameter, l included.
    pub(super) spec: Spec,
    /// The mechanism as it was typed, without l.
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

    /// The mechanism as tables and legends name it: exact attention with its form.
    pub(super) fn title(&self) -> String {
        if self.is_softmax() { format!("{} ({})", self.name, self.form.name()) } else { self.name.clone() }
    }

    pub(super) fn is_softmax(&self) -> bool {
        self.kind.name == "softmax"
    }

    /// Whether the two differ in their length only.
    pub(super) fn same_curve(&self, other: &Self) -> bool {
        (&self.spec, self.form) == (&other.spec, other.form)
    }

    /// Whether it is exact attention in this form at this length: the baseline of others.
    pub(super) fn is_exact(&self, form: Form, n: usize) -> bool {
        self.is_softmax() && self.form == form && self.n == n
    }

    /// What it is called where its length does not matter.
    pub(super) fn curve(&self) -> String {
        format!("{} {}", self.spec, self.form.name())
    }
}
