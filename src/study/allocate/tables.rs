//! The tables of an allocation.

use std::collections::BTreeMap;

use super::budget::Unit;
use super::plan::{Choice, specs};
use super::results::{Results, Trial};
use super::rows::cost_name;
use crate::name::Spec;
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Cell, Column, Table};
use crate::stats;
use crate::study::columns::described;

/// For every budget the allocation and the uniform choices, judged on windows that nothing was chosen on.
pub(super) fn summary(results: &Results<'_>) -> Table {
    let language = results.is_language_model();
    let (cost, unit, about) = cost_name(results.unit);
    let mut columns = described(&[
        ("budget", "", "as it was asked for", Text),
        (
            "choice",
            "",
            "allocated, or what every head has; of these the best on the windows that were chosen on first",
            Text,
        ),
        (cost, unit, about, Significant(3)),
    ]);
    let what = if language { "nll_change" } else { "hidden_err" };
    let unit = if language { "nats" } else { "" };
    if language {
        columns.extend(described(&[
            (
                "nll_change",
                "nats",
                "negative log likelihood of the next token less that of the model as trained",
                Fixed(3),
            ),
            ("kl", "nats", "mean of sum p ln(p / p') of the next-token distributions", Fixed(3)),
            ("top1", "", "share of positions with the same most probable next token", Fixed(3)),
        ]));
    } else {
        let about = "||H - H'||_F / ||H||_F of the last hidden states";
        columns.extend(described(&[(what, "", about, Significant(3))]));
    }
    let about = format!("{what} of the allocation less that of this choice, mean over windows");
    columns.extend(described(&[
        ("diff", unit, about.as_str(), Fixed(3)),
        ("low", unit, "lower end of Student's 95 % interval of diff", Fixed(3)),
        ("high", unit, "upper end of it", Fixed(3)),
    ]));
    let title =
        format!("{} under a budget, n = {}, windows that nothing was chosen on", results.name, results.n);
    let mut table = Table::new(title, columns);
    for budget in 0..results.limits.len() {
        let all = results.of(budget);
        for one in &all {
            let mut row: Vec<Cell> = vec![
                results.limits[budget].asked.as_str().into(),
                one.choice.name.as_str().into(),
                results.shown(one.choice.spent).into(),
            ];
            if language {
                row.push(one.mean(|one| one.drift.prediction.map(|p| p.nll - p.nll_exact)).into());
                row.push(one.mean(|one| one.drift.prediction.map(|p| p.kl)).into());
                row.push(one.mean(|one| one.drift.prediction.map(|p| p.top1)).into());
            } else {
                row.push(one.mean(|one| Some(one.drift.hidden_rel_fro)).into());
            }
            row.extend(difference(&all[0], one));
            table.push(row);
        }
    }
    table
}

/// Of the allocation less a uniform choice, over the windows that both have.
fn difference(allocated: &Trial<'_>, other: &Trial<'_>) -> [Cell; 3] {
    if other.choice.mechanism.is_none() {
        return [Cell::Missing, Cell::Missing, Cell::Missing];
    }
    let (own, others) = (allocated.losses(), other.losses());
    let count = own.len().min(others.len());
    let differences: Vec<f64> = own.iter().zip(&others).map(|(a, b)| a - b).collect();
    let ends = stats::paired(&own[..count], &others[..count], 0.95);
    let mean = (count > 0).then(|| stats::mean(&differences));
    [mean.into(), ends.map(|ends| ends.low).into(), ends.map(|ends| ends.high).into()]
}

/// The allocation of the first budget.
pub(super) fn main<'a>(results: &'a Results<'_>) -> Option<&'a Choice> {
    results.choices.iter().find(|choice| choice.chosen.is_some())
}

/// What the layers get of the first budget.
pub(super) fn layers(results: &Results<'_>) -> Table {
    let (cost, unit, about) = cost_name(results.unit);
    let about =
        if results.unit == Unit::Length { about.into() } else { format!("{about}, of the layer's heads") };
    let mut columns = described(&[("layer", "", "from 0", Integer)]);
    columns.push(Column::new(cost, unit, about, Significant(3)));
    columns.extend(described(&[
        ("cost_share", "", "share of what is spent", Fixed(3)),
        ("mechanisms", "", "how many heads have which", Text),
        ("l", "", "smallest and largest l of its heads; of softmax n", Text),
        ("harm_share", "", "share of the harm that is predicted", Fixed(3)),
    ]));
    let asked = results.limits.first().map_or("", |limit| limit.asked.as_str());
    let mut table = Table::new(format!("What the layers get of {asked}"), columns);
    let Some((choice, chosen)) = main(results).and_then(|one| Some((one, one.chosen.as_ref()?))) else {
        return table;
    };
    let heads: Vec<(usize, usize)> = results
        .predicted
        .heads
        .keys()
        .zip(&chosen.offers)
        .map(|((layer, _), offer)| (*layer, *offer))
        .collect();
    let harms: Vec<f64> =
        results.predicted.heads.values().zip(&chosen.offers).map(|((_, harms), at)| harms[*at]).collect();
    let mut first = 0;
    for of_layer in heads.chunk_by(|a, b| a.0 == b.0) {
        let harm: f64 = harms[first..first + of_layer.len()].iter().sum();
        first += of_layer.len();
        let offers = || of_layer.iter().map(|(_, offer)| &results.offers.all[*offer]);
        let cost: u64 = offers().map(|(_, cost)| cost).sum();
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        offers().for_each(|(one, _)| *names.entry(one.name.as_str()).or_default() += 1);
        let names: Vec<String> = names.into_iter().map(|(name, count)| format!("{name} {count}")).collect();
        let lengths = || offers().map(|(one, _)| one.l.unwrap_or(results.n).min(results.n));
        let (least, most) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
        table.push(vec![
            of_layer[0].0.into(),
            results.unit.shown(cost, of_layer.len(), results.n).into(),
            (cost as f64 / choice.spent.max(1) as f64).into(),
            names.join(", ").into(),
            if least == most { least.to_string() } else { format!("{least}-{most}") }.into(),
            (choice.predicted.filter(|all| *all > 0.0).map(|all| harm / all)).into(),
        ]);
    }
    table
}

/// Every head under every budget.
pub(super) fn heads(results: &Results<'_>) -> Table {
    let columns = described(&[
        ("budget", "", "as it was asked for", Text),
        ("layer", "", "from 0", Integer),
        ("head", "", "in its layer, from 0", Integer),
        ("mechanism", "", "what it gets", Text),
        ("l", "", "its projected length", Integer),
        ("cost", "", "keys, FLOPs or bytes of a window, as the budget counts", Integer),
        ("predicted", "", "harm that is predicted", Significant(4)),
        (
            "sensitivity",
            "",
            "harm for each unit of squared error of the head's projected output over a window",
            Significant(4),
        ),
    ]);
    let mut table = Table::new("The mechanism of every head", columns);
    for choice in results.choices {
        let Some(chosen) = &choice.chosen else { continue };
        let heads = results.predicted.heads.iter().zip(&chosen.offers);
        for (((layer, head), (sensitivity, harms)), offer) in heads {
            let (one, cost) = &results.offers.all[*offer];
            table.push(vec![
                results.limits[choice.budget].asked.as_str().into(),
                (*layer).into(),
                (*head).into(),
                one.spec.to_string().into(),
                one.l.into(),
                (*cost as usize).into(),
                harms[*offer].into(),
                (*sensitivity).into(),
            ]);
        }
    }
    table
}

/// Heads that were replaced by another offer than the reference, with the harm that was predicted.
pub(super) fn checks(results: &Results<'_>) -> Table {
    let columns = described(&[
        ("layer", "", "from 0", Integer),
        ("head", "", "in its layer, from 0", Integer),
        ("mechanism", "", "by what it was replaced, alone", Text),
        ("predicted", "", "harm that its error and its sensitivity predict", Significant(4)),
        ("measured", "", "harm that was measured", Significant(4)),
    ]);
    let mut table = Table::new("Predicted and measured harm of heads replaced alone", columns);
    for (layer, head, spec, predicted, measured) in checked(results) {
        let spec = spec.to_string();
        table.push(vec![layer.into(), head.into(), spec.into(), predicted.into(), measured.into()]);
    }
    table
}

/// Layer, head, by what it was replaced, and the harm predicted and measured.
pub(super) fn checked<'a>(results: &'a Results<'_>) -> Vec<(usize, usize, &'a Spec, f64, f64)> {
    let checks = results.predicted.checks.iter();
    checks
        .map(|((layer, head, offer), (predicted, measured))| {
            (*layer, *head, &results.offers.all[*offer].0.spec, *predicted, *measured)
        })
        .collect()
}

/// The mechanisms of an allocation, in the order of its heads.
pub(super) fn mechanisms<'a>(results: &'a Results<'_>, choice: &'a Choice) -> Vec<&'a Spec> {
    choice.chosen.as_ref().map_or_else(Vec::new, |chosen| specs(chosen, results.offers).collect())
}
