//! The tables, notes and the figure of a substitution.

use std::collections::{BTreeMap, BTreeSet};

use super::Measured;
use super::drift::Prediction;
use crate::attention::{Mask, Under};
use crate::report::{Cell, Column, Digits, Figure, Report, Table};
use crate::stats;
use crate::study::approx_error::asked::Asked;
use crate::study::approx_error::curves::{Apart, Axis, Point, against_l};
use crate::study::approx_error::differences::{keys, sets};
use crate::study::approx_error::fits::Fits;
use crate::study::difference::Compared;
use crate::study::input::{Source, Trained};

/// Everything that was measured, and what people read of it.
pub(super) fn report(
    source: &Trained,
    asked: &[Asked],
    layers: &[usize],
    measured: &[Measured],
    baseline: Option<&str>,
) -> Report {
    let mut report = Report { rows: rows(source, asked, layers, measured), ..Report::default() };
    let groups = groups(asked, measured);
    report.notes = notes(source, asked, measured);
    for n in source.lengths() {
        report.views.push((format!("summary_n{n}"), summary(source, asked, &groups, *n)));
        if let Some((table, note)) = differences(source, asked, &groups, *n, baseline) {
            report.views.push((format!("differences_n{n}"), table));
            report.notes.push(note);
        }
    }
    report.figures = figure(source, asked, &groups).into_iter().collect();
    report
}

/// Completes the stamp, and says what was fitted.
pub(super) fn describe(report: &mut Report, source: &Trained, layers: &[usize], fits: &Fits) {
    report.stamp.push("substituted_layers", layers.to_vec());
    if fits.trained_on() > 0 {
        let last = fits.trained_on() - 1;
        report.notes.push(format!(
            "pieces fitted on the heads of windows 0 to {last} as softmax attention left them; behind a replaced layer a \
             head meets other inputs; judged on the other {} windows",
            source.windows() - fits.trained_on()
        ));
    }
}

/// Measurements of one mechanism at one length.
type Groups<'a> = BTreeMap<(usize, usize), Vec<&'a Measured>>;

fn groups<'a>(asked: &[Asked], measured: &'a [Measured]) -> Groups<'a> {
    let mut groups = Groups::new();
    for one in measured.iter().filter(|one| one.asked < asked.len()) {
        groups.entry((one.n, one.asked)).or_default().push(one);
    }
    groups
}

fn column(name: &str, unit: &str, about: &str, digits: Digits) -> Column {
    Column::new(name, unit, about, digits)
}

/// The columns of [`rows`].
pub(in crate::study::approx_error) fn row_columns() -> Vec<Column> {
    vec![
        column("mechanism", "", "the mechanism with its parameters but l", Digits::Text),
        column("l", "", "projected length", Digits::Integer),
        column("fit", "", "held-out, of a mechanism with fitted pieces", Digits::Text),
        column("layers", "", "how many layers have their attention replaced", Digits::Integer),
        column("window", "", "window of the text, from 0", Digits::Integer),
        column("n", "", "tokens", Digits::Integer),
        column(
            "hidden_rel_fro",
            "",
            "||H - H'||_F / ||H||_F of the last hidden states",
            Digits::Significant(4),
        ),
        column("hidden_cosine", "", "mean over tokens of the cosine between H and H'", Digits::Fixed(4)),
        column(
            "nll_softmax",
            "nats",
            "mean negative log likelihood of the next token, as trained",
            Digits::Fixed(4),
        ),
        column("nll", "nats", "the same with the stand-in", Digits::Fixed(4)),
        column("nll_change", "nats", "nll - nll_softmax", Digits::Fixed(4)),
        column("perplexity_softmax", "", "exp(nll_softmax)", Digits::Significant(4)),
        column("perplexity", "", "exp(nll)", Digits::Significant(4)),
        column(
            "next_token_kl",
            "nats",
            "mean of sum p ln(p / p') of the next-token distributions",
            Digits::Fixed(4),
        ),
        column(
            "top1_agreement",
            "",
            "share of positions with the same likeliest next token",
            Digits::Fixed(4),
        ),
    ]
}

fn rows(source: &Trained, asked: &[Asked], layers: &[usize], measured: &[Measured]) -> Table {
    let columns = row_columns();
    let title = format!("{} with its attention replaced", source.name());
    let mut table = Table::new(title, columns);
    for one in measured {
        let asked = &asked[one.asked];
        let p = one.drift.prediction;
        let of = |value: fn(&Prediction) -> f64| Cell::from(p.as_ref().map(value));
        table.push(vec![
            asked.name.as_str().into(),
            asked.l.into(),
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

fn mean(group: &[&Measured], value: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
    let values: Option<Vec<f64>> = group.iter().map(|one| value(one)).collect();
    values.map(|values| stats::mean(&values))
}

/// The perplexity over all windows: of the mean negative log likelihood.
fn perplexity(group: &[&Measured], value: fn(&Prediction) -> f64) -> Option<f64> {
    mean(group, |one| one.drift.prediction.as_ref().map(value)).map(f64::exp)
}

/// What a mechanism is judged by on a window: how much less likely it makes the text; of an encoder, how far hidden
/// states are off.
fn judged(one: &Measured, language: bool) -> Option<f64> {
    if language { one.drift.prediction.map(|p| p.nll - p.nll_exact) } else { Some(one.drift.hidden_rel_fro) }
}

/// How far every mechanism of one length is from the best of the same l, window by window, and what to know of it.
fn differences(
    source: &Trained,
    asked: &[Asked],
    groups: &Groups<'_>,
    n: usize,
    baseline: Option<&str>,
) -> Option<(Table, String)> {
    let language = is_language_model(groups);
    let (name, unit) = if language { ("nll_change", "nats") } else { ("hidden_err", "") };
    let digits = if language { Digits::Fixed(3) } else { Digits::Significant(3) };
    let compared = Compared { name, unit, digits, lowest: true, pairs: "windows", baseline };
    let mut found = Vec::new();
    for ((_, at), group) in groups.iter().filter(|((length, _), _)| *length == n) {
        let values = group.iter().filter_map(|one| Some((one.window, judged(one, language)?))).collect();
        found.push((&asked[*at], values));
    }
    let title = format!("Which changes {} less, window by window, n = {n}", source.name());
    let (table, tally) = compared.table(title, keys(), sets(found, baseline))?;
    let note = tally.note(compared);
    Some((table, if source.lengths().len() > 1 { format!("n = {n}: {note}") } else { note }))
}

fn is_language_model(groups: &Groups<'_>) -> bool {
    groups.values().flatten().any(|one| one.drift.prediction.is_some())
}

/// One row a mechanism, sorted by the drift at equal l.
fn summary(source: &Trained, asked: &[Asked], groups: &Groups<'_>, n: usize) -> Table {
    let language = is_language_model(groups);
    let mut columns = vec![
        column("l", "", "projected length", Digits::Integer),
        column("mechanism", "", "the mechanism with its parameters but l", Digits::Text),
        column(
            "hidden_err",
            "",
            "hidden_rel_fro: ||H - H'||_F / ||H||_F of the last hidden states",
            Digits::Significant(3),
        ),
        column("cosine", "", "mean over tokens of the cosine between H and H'", Digits::Fixed(3)),
    ];
    if language {
        columns.extend([
            column(
                "perplexity",
                "",
                "exp of the mean negative log likelihood of the next token",
                Digits::Significant(4),
            ),
            column("nll_change", "nats", "mean over windows of nll - nll_softmax", Digits::Fixed(3)),
            column("low", "nats", "lower end of its Student's 95 % interval over windows", Digits::Fixed(3)),
            column("high", "nats", "upper end of it", Digits::Fixed(3)),
            column(
                "kl",
                "nats",
                "mean of sum p ln(p / p') of the next-token distributions",
                Digits::Fixed(3),
            ),
            column("top1", "", "share of positions with the same likeliest next token", Digits::Fixed(3)),
        ]);
    } else {
        columns.extend([
            column(
                "low",
                "",
                "lower end of the Student's 95 % interval of hidden_err over windows",
                Digits::Significant(3),
            ),
            column("high", "", "upper end of it", Digits::Significant(3)),
        ]);
    }
    let mut table = Table::new(format!("{} with its attention replaced, n = {n}", source.name()), columns);
    let mut order: Vec<(usize, &Vec<&Measured>)> =
        groups.iter().filter(|((length, _), _)| *length == n).map(|((_, at), group)| (*at, group)).collect();
    let error = |group: &[&Measured]| mean(group, |one| Some(one.drift.hidden_rel_fro)).unwrap_or(f64::NAN);
    order.sort_by(|a, b| {
        let key = |at: usize| (asked[at].l.is_none(), asked[at].l);
        key(a.0).cmp(&key(b.0)).then(error(a.1).total_cmp(&error(b.1)))
    });
    for (at, group) in order {
        let mut row: Vec<Cell> = vec![
            asked[at].l.into(),
            asked[at].name.as_str().into(),
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

/// Perplexity (of an encoder: the drift of the hidden states) against l, or of every mechanism where there is one l.
fn figure(source: &Trained, asked: &[Asked], groups: &Groups<'_>) -> Option<Figure> {
    let n = groups.keys().map(|(n, _)| *n).max()?;
    let language = is_language_model(groups);
    let groups: Vec<(&Asked, &Vec<&Measured>)> = groups
        .iter()
        .filter(|((length, _), _)| *length == n)
        .map(|((_, at), group)| (&asked[*at], group))
        .collect();
    let softmax = groups.first().and_then(|(_, group)| perplexity(group, |p| p.nll_exact));
    let label = if language { "perplexity" } else { "relative drift of the last hidden states" };
    let title = format!("{} with its attention replaced, n = {n}", source.name());
    let points = groups.iter().filter_map(|(asked, group)| {
        let values: Option<Vec<f64>> = if language {
            group.iter().map(|one| one.drift.prediction.map(|p| p.nll)).collect()
        } else {
            group.iter().map(|one| Some(one.drift.hidden_rel_fro)).collect()
        };
        let values = values?;
        let shown = |value: f64| if language { value.exp() } else { value };
        let ends = stats::student_mean(&values).map(|ends| (shown(ends.low), shown(ends.high)));
        let label = asked.name.clone();
        Some(Point { label, l: asked.l, value: shown(stats::mean(&values)), ends, apart: Apart::No })
    });
    let marks = softmax.map(|at| (at, "softmax".to_string())).into_iter().collect();
    let axis = Axis { value: label.into(), log: true, marks };
    Some(Figure { name: "substitution".into(), title, kind: against_l(points.collect(), axis) })
}

fn notes(source: &Trained, asked: &[Asked], measured: &[Measured]) -> Vec<String> {
    let mut notes = vec![
        "the model is as it was trained, with softmax attention: a stand-in that it was never trained with is judged, not \
         what it could learn"
            .to_string(),
    ];
    // Every window once, however many mechanisms were measured on it.
    let mut exact: BTreeMap<usize, BTreeMap<usize, f64>> = BTreeMap::new();
    for one in measured {
        if let Some(p) = one.drift.prediction {
            exact.entry(one.n).or_default().insert(one.window, p.nll_exact);
        }
    }
    if exact.is_empty() {
        notes.push("not a causal language model: hidden states only, no likelihood".into());
    }
    for (n, windows) in &exact {
        let mean = stats::mean(&windows.values().copied().collect::<Vec<_>>());
        let at = if exact.len() > 1 { format!(", n = {n}") } else { String::new() };
        notes.push(format!(
            "as trained, with softmax attention{at}: perplexity {:.3} ({mean:.4} nats a token)",
            mean.exp()
        ));
    }
    let counts: BTreeSet<usize> = groups(asked, measured).values().map(Vec::len).collect();
    if let (Some(least), Some(most)) = (counts.first(), counts.last())
        && *most > 1
    {
        let what = if exact.is_empty() { "hidden_err" } else { "nll_change" };
        let windows = if least == most { most.to_string() } else { format!("{least} to {most}") };
        notes.push(format!(
            "intervals: Student's, of {what} over {windows} windows; windows of one text, and the more so where they lie side \
             by side, are not independent: the intervals are about this text, and too narrow for others"
        ));
    }
    if source.mask() == Mask::Causal
        && asked.iter().any(|asked| asked.kind.under(Mask::Causal) == Under::Leaks)
    {
        notes.push(
            "svd under the causal mask is not causal: its rows reach ahead to the tokens that are to be predicted, so \
             its likelihoods flatter it"
                .into(),
        );
    }
    notes
}
