//! The full result: one row a mechanism and window.

use super::drift::{Drift, Prediction};
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Cell, Column, Table};
use crate::study::approx_error::candidate::Candidate;
use crate::study::approx_error::fits::Role;
use crate::study::approx_error::rows::{mechanism, projected_length};
use crate::study::columns::described;
use crate::study::input::{Source, Trained};

/// One mechanism over one window.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// The mechanism, by its number.
    pub(super) candidate: usize,
    pub(super) role: Role,
    pub(super) window: usize,
    pub(super) n: usize,
    pub(super) drift: Drift,
}

/// The columns that say which measurement a row is.
pub(in crate::study::approx_error) const KEYS: &[&str] = &["mechanism", "l", "fit", "layers", "window", "n"];

/// The columns of [`table`].
pub(in crate::study::approx_error) fn columns() -> Vec<Column> {
    let mut columns = vec![mechanism(), projected_length()];
    columns.extend(described(&[
        ("fit", "", "held-out, of a mechanism with fitted parts", Text),
        ("layers", "", "how many layers have their attention replaced", Integer),
        ("window", "", "window of the text, from 0", Integer),
        ("n", "", "tokens", Integer),
        ("hidden_rel_fro", "", "||H - H'||_F / ||H||_F of the last hidden states", Significant(4)),
        ("hidden_cosine", "", "mean over tokens of the cosine between H and H'", Fixed(4)),
        ("nll_softmax", "nats", "mean negative log likelihood of the next token, as trained", Fixed(4)),
        ("nll", "nats", "the same with the stand-in", Fixed(4)),
        ("nll_change", "nats", "nll - nll_softmax", Fixed(4)),
        ("perplexity_softmax", "", "exp(nll_softmax)", Significant(4)),
        ("perplexity", "", "exp(nll)", Significant(4)),
        ("next_token_kl", "nats", "mean of sum p ln(p / p') of the next-token distributions", Fixed(4)),
        ("top1_agreement", "", "share of positions with the same most probable next token", Fixed(4)),
    ]));
    columns
}

/// All rows.
pub(super) fn table(
    source: &Trained,
    candidates: &[Candidate],
    layers: &[usize],
    measured: &[Measured],
) -> Table {
    let title = format!("{} with its attention replaced", source.name());
    let mut table = Table::new(title, columns());
    for one in measured {
        let candidate = &candidates[one.candidate];
        let p = one.drift.prediction;
        let of = |value: fn(&Prediction) -> f64| Cell::from(p.as_ref().map(value));
        table.push(vec![
            candidate.name.as_str().into(),
            candidate.l.into(),
            one.role.name().into(),
            layers.len().into(),
            one.window.into(),
            one.n.into(),
            one.drift.hidden_rel_fro.into(),
            one.drift.hidden_cosine.into(),
            of(|p| p.nll_exact),
            of(|p| p.nll),
            of(|p| p.nll - p.nll_exact),
            of(|p| p.nll_exact.exp()),
            of(|p| p.nll.exp()),
            of(|p| p.kl),
            of(|p| p.top1),
        ]);
    }
    table
}
