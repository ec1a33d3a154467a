//! The full result: one row a budget, choice and window.

use super::budget::Unit;
use super::results::Results;
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Cell, Column, Table};
use crate::study::Columns;
use crate::study::approx_error::Prediction;
use crate::study::columns::described;

/// The columns of the result.
pub fn columns() -> Columns {
    Columns {
        known: Some(all()),
        keys: &["budget", "choice", "text", "window", "n"],
        short: &[("kl", "next_token_kl"), ("top1", "top1_agreement"), ("hidden_err", "hidden_rel_fro")],
    }
}

fn all() -> Vec<Column> {
    described(&[
        ("budget", "", "as it was asked for", Text),
        ("choice", "", "allocated: a mechanism for each head; else what every head has", Text),
        ("text", "", "choose: a window that was chosen on; judge: another one", Text),
        ("window", "", "window of that text, from 0", Integer),
        ("n", "", "tokens", Integer),
        ("spent", "", "what it costs: mean l of a head, FLOPs of a window, or bytes a token", Significant(4)),
        ("hidden_rel_fro", "", "||H - H'||_F / ||H||_F of the last hidden states", Significant(4)),
        ("nll_softmax", "nats", "mean negative log likelihood of the next token, as trained", Fixed(4)),
        ("nll", "nats", "the same with the heads replaced", Fixed(4)),
        ("nll_change", "nats", "nll - nll_softmax", Fixed(4)),
        ("perplexity", "", "exp(nll)", Significant(4)),
        ("next_token_kl", "nats", "mean of sum p ln(p / p') of the next-token distributions", Fixed(4)),
        ("top1_agreement", "", "share of positions with the same most probable next token", Fixed(4)),
        (
            "predicted",
            "",
            "next_token_kl (hidden_rel_fro^2 where there is none) as predicted from the errors of heads",
            Significant(3),
        ),
    ])
}

/// All rows.
pub(super) fn table(results: &Results<'_>) -> Table {
    let title = format!("{} with its heads under a budget", results.name);
    let mut table = Table::new(title, all());
    for one in results.measured {
        let choice = &results.choices[one.of.choice];
        let p = one.drift.prediction;
        let of = |value: fn(&Prediction) -> f64| Cell::from(p.as_ref().map(value));
        table.push(vec![
            results.limits[choice.budget].asked.as_str().into(),
            choice.name.as_str().into(),
            if one.of.judged { "judge" } else { "choose" }.into(),
            one.of.window.into(),
            results.n.into(),
            results.shown(choice.spent).into(),
            one.drift.hidden_rel_fro.into(),
            of(|p| p.nll_exact),
            of(|p| p.nll),
            of(|p| p.nll - p.nll_exact),
            of(|p| p.nll.exp()),
            of(|p| p.kl),
            of(|p| p.top1),
            choice.predicted.into(),
        ]);
    }
    table
}

/// What the columns of costs are called.
pub(super) fn cost_name(unit: Unit) -> (&'static str, &'static str, &'static str) {
    match unit {
        Unit::Length => ("mean_l", "", "mean projected length of a head; of softmax n"),
        Unit::Flops => ("flops", "FLOP", "FLOPs of the attention of a window, without projections"),
        Unit::Cache => (
            "cache_bytes",
            "bytes",
            "f32 keys and values, or what is stored in their place, that a token reads",
        ),
    }
}
