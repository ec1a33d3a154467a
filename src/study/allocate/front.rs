//! The figures: what every head gets, and quality against budget.

use std::collections::BTreeMap;

use ndarray::Array2;

use super::plan::ALLOCATED;
use super::rows::cost_name;
use super::tables::main;
use super::view::{Judged, Results};
use crate::report::{Curves, Figure, Heat, Plot, Series};
use crate::stats;

/// Both figures.
pub(super) fn figures(results: &Results<'_>) -> Vec<Figure> {
    [heads(results), front(results)].into_iter().flatten().collect()
}

/// What the heads get of the first budget: layers downwards, heads to the right.
fn heads(results: &Results<'_>) -> Option<Figure> {
    let chosen = main(results)?.chosen.as_ref()?;
    let last = results.predicted.heads.keys().map(|(layer, _)| *layer).max()?;
    let width = results.predicted.heads.keys().map(|(_, head)| *head).max()? + 1;
    let mut values = Array2::from_elem((last + 1, width), f64::NAN);
    for ((layer, head), offer) in results.predicted.heads.keys().zip(&chosen.offers) {
        values[[*layer, *head]] = results.unit.shown(results.offers.all[*offer].1, 1, results.n).log2();
    }
    let (name, unit, _) = cost_name(results.unit);
    let name = if name == "mean_l" { "l (softmax: n)" } else { name };
    let value_label =
        format!("log2 of {name}{}", if unit.is_empty() { String::new() } else { format!(", {unit}") });
    let heat = Heat { row_label: "layer".into(), col_label: "head".into(), value_label, values };
    let title = format!("{}: what the heads get of {}", results.name, results.limits[0].asked);
    Some(Figure { name: "heads".into(), title, kind: Plot::Heat(heat) })
}

/// What each choice loses against what it spends, judged on windows that nothing was chosen on.
fn front(results: &Results<'_>) -> Option<Figure> {
    let mut lines: BTreeMap<(bool, &str), Vec<(f64, Judged<'_>)>> = BTreeMap::new();
    for budget in 0..results.limits.len() {
        for one in results.of(budget).into_iter().filter(|one| !one.judged_on.is_empty()) {
            let key = one.choice.mechanism.as_deref().map_or((false, ALLOCATED), |name| (true, name));
            lines.entry(key).or_default().push((results.shown(one.choice.spent), one));
        }
    }
    let mut series = Vec::new();
    for ((is_uniform, label), mut points) in lines {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let means: Vec<f64> = points.iter().map(|(_, one)| stats::mean(&one.losses())).collect();
        let ends: Option<Vec<_>> = points.iter().map(|(_, one)| stats::student_mean(&one.losses())).collect();
        series.push(Series {
            label: if is_uniform { format!("{label} in every head") } else { label.to_string() },
            x: points.iter().map(|(spent, _)| *spent).collect(),
            band: ends.map(|ends| ends.iter().map(|ends| (ends.low, ends.high)).unzip()),
            y: means,
            dashed: is_uniform,
            dots: true,
            ..Series::default()
        });
    }
    let log_y = series.iter().flat_map(|line| &line.y).all(|loss| *loss > 0.0);
    let (name, unit, _) = cost_name(results.unit);
    let loss = if results.is_language_model() {
        "nats a token lost"
    } else {
        "relative drift of the last hidden states"
    };
    let curves = Curves {
        x_label: if unit.is_empty() { name.into() } else { format!("{name} ({unit})") },
        y_label: loss.into(),
        log_x: true,
        log_y,
        series,
        marks: Vec::new(),
    };
    let title = format!("{}: quality against budget, n = {}", results.name, results.n);
    (!curves.series.is_empty()).then(|| Figure { name: "front".into(), title, kind: Plot::Curves(curves) })
}
