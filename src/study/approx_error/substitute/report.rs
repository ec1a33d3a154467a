//! The tables, notes and the figure of a substitution.

use std::collections::{BTreeMap, BTreeSet};

use super::Measured;
use super::drift::Prediction;
use crate::attention::{Mask, Under};
use crate::report::{Cell, Column, Curves, Digits, Figure, Kind, Mark, Report, Series, Table};
use crate::stats;
use crate::study::approx_error::asked::Asked;
use crate::study::approx_error::fits::Fits;
use crate::study::input::{Source, Trained};

/// Everything that was measured, and what people read of it.
pub(super) fn report(source: &Trained, asked: &[Asked], layers: &[usize], measured: &[Measured]) -> Report {
    let mut report = Report { rows: rows(source, asked, layers, measured), ..Report::default() };
    let groups = groups(asked, measured);
    for n in source.lengths() {
        report.views.push((format!("summary_n{n}"), summary(source, asked, &groups, *n)));
    }
    report.figures = figure(source, asked, &groups).into_iter().collect();
    report.notes = notes(source, asked, measured);
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

/// The mark of a row whose interval over windows overlaps that of the row above; with a star if the differences window by
/// window leave out 0 all the same.
fn tied(above: &[f64], own: &[f64]) -> Option<&'static str> {
    let (one, other) = (stats::student_mean(above)?, stats::student_mean(own)?);
    if one.high < other.low || other.high < one.low {
        return None;
    }
    let differences: Vec<f64> = own.iter().zip(above).map(|(own, above)| own - above).collect();
    let apart = above.len() == own.len()
        && stats::student_mean(&differences).is_some_and(|between| between.low > 0.0 || between.high < 0.0);
    Some(if apart { "~*" } else { "~" })
}

fn is_language_model(groups: &Groups<'_>) -> bool {
    groups.values().flatten().any(|one| one.drift.prediction.is_some())
}

/// What stands about the marks of [`tied`].
const TIED: &str = "~ if the interval overlaps that of the row above, * if paired windows are apart";

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
            column("tied", "", TIED, Digits::Text),
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
            column("tied", "", TIED, Digits::Text),
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
    let mut above: Option<(Option<usize>, Vec<f64>)> = None;
    for (at, group) in order {
        let mut row: Vec<Cell> = vec![
            asked[at].l.into(),
            asked[at].name.as_str().into(),
            error(group).into(),
            mean(group, |one| Some(one.drift.hidden_cosine)).into(),
        ];
        let of = |value: fn(&Prediction) -> f64| mean(group, |one| one.drift.prediction.as_ref().map(value));
        let spread: Option<Vec<f64>> = if language {
            group.iter().map(|one| one.drift.prediction.map(|p| p.nll - p.nll_exact)).collect()
        } else {
            Some(group.iter().map(|one| one.drift.hidden_rel_fro).collect())
        };
        let interval = spread.as_ref().and_then(|values| stats::student_mean(values));
        let mark = match (&above, &spread) {
            (Some((l, above)), Some(own)) if *l == asked[at].l => tied(above, own),
            _ => None,
        };
        above = spread.map(|values| (asked[at].l, values));
        let ends = [interval.map(|i| i.low).into(), interval.map(|i| i.high).into(), Cell::from(mark)];
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

/// Perplexity (of an encoder: the drift of the hidden states) against l.
fn figure(source: &Trained, asked: &[Asked], groups: &Groups<'_>) -> Option<Figure> {
    let n = groups.keys().map(|(n, _)| *n).max()?;
    let language = is_language_model(groups);
    let value = |group: &[&Measured]| {
        if language {
            perplexity(group, |p| p.nll)
        } else {
            mean(group, |one| Some(one.drift.hidden_rel_fro))
        }
    };
    let lengths: Vec<f64> = asked.iter().filter_map(|asked| asked.l).map(|l| l as f64).collect();
    let (least, most) = lengths.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), l| (a.min(*l), b.max(*l)));
    let mut series: Vec<Series> = Vec::new();
    for ((_, at), group) in groups.iter().filter(|((length, _), _)| *length == n) {
        let (asked, Some(y)) = (&asked[*at], value(group)) else { continue };
        let place = series.iter().position(|known| known.label == asked.name).unwrap_or_else(|| {
            series.push(Series { label: asked.name.clone(), ..Series::default() });
            series.len() - 1
        });
        // What takes no l is the same at every l.
        for x in asked.l.map_or_else(|| vec![least, most], |l| vec![l as f64]) {
            if x.is_finite() && x > 0.0 {
                series[place].x.push(x);
                series[place].y.push(y);
            }
        }
    }
    let softmax = groups.values().next().and_then(|group| perplexity(group, |p| p.nll_exact));
    let label = if language { "perplexity" } else { "relative drift of the last hidden states" };
    let curves = Curves {
        x_label: "projected length l".into(),
        y_label: label.into(),
        log_x: true,
        log_y: true,
        series,
        marks: softmax.map(|at| Mark::Horizontal { at, label: "softmax".into() }).into_iter().collect(),
    };
    let title = format!("{} with its attention replaced, n = {n}", source.name());
    Some(Figure { name: "substitution".into(), title, kind: Kind::Curves(curves) })
}

fn notes(source: &Trained, asked: &[Asked], measured: &[Measured]) -> Vec<String> {
    let mut notes = vec![
        "the model is as it was trained, with softmax attention: a stand-in that it was never trained with is judged, not \
         what it could learn"
            .to_string(),
    ];
    let exact: Vec<f64> =
        measured.iter().filter_map(|one| one.drift.prediction.map(|p| p.nll_exact)).collect();
    if exact.is_empty() {
        notes.push("not a causal language model: hidden states only, no likelihood".into());
    } else {
        notes.push(format!(
            "as trained, with softmax attention: perplexity {:.3} ({:.4} nats a token)",
            stats::mean(&exact).exp(),
            stats::mean(&exact)
        ));
    }
    let windows = measured.iter().map(|one| one.window).collect::<BTreeSet<_>>().len();
    if windows > 1 {
        let what = if exact.is_empty() { "hidden_err" } else { "nll_change" };
        notes.push(format!(
            "intervals: Student's, of {what} over {windows} windows; ~ marks one that overlaps the row above at the same l, \
             ~* one that does although the 95 % interval of the differences window by window leaves out 0"
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
