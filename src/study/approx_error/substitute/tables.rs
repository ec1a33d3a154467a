//! The tables that people read of a substitution.

use super::drift::Prediction;
use super::group::{Groups, is_language_model, judged, mean, perplexity};
use super::rows::Measured;
use crate::report::Digits::{Fixed, Significant};
use crate::report::{Cell, Table};
use crate::stats;
use crate::study::approx_error::candidate::Candidate;
use crate::study::approx_error::differences::{keys, sets};
use crate::study::approx_error::rows::{mechanism, projected_length};
use crate::study::columns::described;
use crate::study::difference::Compared;
use crate::study::input::{Source, Trained};

/// What the columns of [`summary`] are called in the rows of the result.
pub(in crate::study::approx_error) const SHORT: &[(&str, &str)] = &[
    ("hidden_err", "hidden_rel_fro"),
    ("cosine", "hidden_cosine"),
    ("kl", "next_token_kl"),
    ("top1", "top1_agreement"),
];

/// How far every mechanism of one length is from the best of the same l, window by window, and what to know of it.
pub(super) fn differences(
    source: &Trained,
    candidates: &[Candidate],
    groups: &Groups<'_>,
    n: usize,
    baseline: Option<&str>,
) -> Option<(Table, String)> {
    let language = is_language_model(groups);
    let (name, unit) = if language { ("nll_change", "nats") } else { ("hidden_err", "") };
    let digits = if language { Fixed(3) } else { Significant(3) };
    let compared = Compared { name, unit, digits, lowest: true, pairs: "windows", baseline };
    let mut found = Vec::new();
    for ((_, at), group) in groups.iter().filter(|((length, _), _)| *length == n) {
        let values = group.iter().filter_map(|one| Some((one.window, judged(one, language)?))).collect();
        found.push((&candidates[*at], values));
    }
    let title = format!("Which changes {} less, window by window, n = {n}", source.name());
    let (table, tally) = compared.table(title, keys(), sets(found, baseline))?;
    let note = tally.note(compared);
    Some((table, if source.lengths().len() > 1 { format!("n = {n}: {note}") } else { note }))
}

/// One row a mechanism, sorted by the drift at equal l.
pub(super) fn summary(source: &Trained, candidates: &[Candidate], groups: &Groups<'_>, n: usize) -> Table {
    let language = is_language_model(groups);
    let mut columns = vec![projected_length(), mechanism()];
    columns.extend(described(&[
        (
            "hidden_err",
            "",
            "hidden_rel_fro: ||H - H'||_F / ||H||_F of the last hidden states",
            Significant(3),
        ),
        ("cosine", "", "mean over tokens of the cosine between H and H'", Fixed(3)),
    ]));
    if language {
        columns.extend(described(&[
            ("perplexity", "", "exp of the mean negative log likelihood of the next token", Significant(4)),
            ("nll_change", "nats", "mean over windows of nll - nll_softmax", Fixed(3)),
            ("low", "nats", "lower end of its Student's 95 % interval over windows", Fixed(3)),
            ("high", "nats", "upper end of it", Fixed(3)),
            ("kl", "nats", "mean of sum p ln(p / p') of the next-token distributions", Fixed(3)),
            ("top1", "", "share of positions with the same most probable next token", Fixed(3)),
        ]));
    } else {
        columns.extend(described(&[
            ("low", "", "lower end of Student's 95 % interval of hidden_err over windows", Significant(3)),
            ("high", "", "upper end of it", Significant(3)),
        ]));
    }
    let mut table = Table::new(format!("{} with its attention replaced, n = {n}", source.name()), columns);
    let mut order: Vec<(usize, &Vec<&Measured>)> =
        groups.iter().filter(|((length, _), _)| *length == n).map(|((_, at), group)| (*at, group)).collect();
    let error = |group: &[&Measured]| mean(group, |one| Some(one.drift.hidden_rel_fro)).unwrap_or(f64::NAN);
    order.sort_by(|a, b| {
        let key = |at: usize| (candidates[at].l.is_none(), candidates[at].l);
        key(a.0).cmp(&key(b.0)).then(error(a.1).total_cmp(&error(b.1)))
    });
    for (at, group) in order {
        let mut row: Vec<Cell> = vec![
            candidates[at].l.into(),
            candidates[at].name.as_str().into(),
            error(group).into(),
            mean(group, |one| Some(one.drift.hidden_cosine)).into(),
        ];
        let of = |value: fn(&Prediction) -> f64| mean(group, |one| one.drift.prediction.as_ref().map(value));
        let spread: Option<Vec<f64>> = group.iter().map(|one| judged(one, language)).collect();
        let interval = spread.and_then(|values| stats::student_mean(&values));
        let ends = [interval.map(|i| i.low), interval.map(|i| i.high)].map(Cell::from);
        if language {
            row.push(perplexity(group, |p| p.nll).into());
            row.push(of(|p| p.nll - p.nll_exact).into());
            row.extend(ends);
            row.push(of(|p| p.kl).into());
            row.push(of(|p| p.top1).into());
        } else {
            row.extend(ends);
        }
        table.push(row);
    }
    table
}
