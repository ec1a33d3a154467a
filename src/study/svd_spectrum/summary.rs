//! The tables that people read: a head a row, and the means over all heads.

use super::asked::Asked;
use super::columns::Figure;
use super::measured::{Heads, Measured, differences, mean_of, windows_of};
use super::null::names;
use super::verdict::{self, decide};
use crate::report::Digits::{Fixed, Integer, Text};
use crate::report::{Cell, Column, Table};
use crate::stats;
use crate::study::columns::described;
use crate::study::input::{HeadWindow, lengths};

/// What the columns of [`table`] are called in the rows of the result.
pub(super) const SHORT: &[(&str, &str)] = &[
    ("erank", "effective_rank"),
    ("centred_erank", "centred_effective_rank"),
    ("null", "deciding_null"),
    ("null_erank", "deciding_null_effective_rank"),
    ("diff_low", "difference_low"),
    ("diff_high", "difference_high"),
];

/// One row a head: the figures that the question turns on.
pub(super) fn table(asked: Asked<'_>, heads: &Heads<'_>) -> Table {
    let Asked { config, source, figures, nulls } = asked;
    let k = config.shown(heads.size(config.of, source.lengths().last().copied()));
    let place = |name: &str| {
        figures.iter().position(|figure| figure.metric.name == name && figure.at == Some(k)).unwrap_or(0)
    };
    let shares = [place("cum_l1_at"), place("cum_energy_at")];
    let rank = Figure::effective_rank(figures);
    let mark_windows = heads.uneven().is_some();
    let keys = HeadWindow::columns_for_people(source, false);
    let mut all = keys.clone();
    all.extend(shares.map(|index| {
        let figure = &figures[index];
        Column::new(figure.name(), "", figure.metric.about, Fixed(3))
    }));
    all.extend(described(&[
        ("erank", "", "effective_rank: exp of the entropy of s_i / sum s", Fixed(1)),
        ("centred_erank", "", "effective_rank of the matrix less its mean row", Fixed(1)),
    ]));
    let estimated = heads.0.iter().flatten().any(|one| one.ends.is_some());
    if estimated {
        let about = "half-width of the 95 % interval of erank as an estimate of this window's, or the mean of these windows'";
        all.insert(all.len() - 1, Column::new("pm", "", about, Fixed(1)));
    }
    // The ends of the difference would not fit in 80 columns beside those of the estimate.
    let is_shown = |at: usize| !estimated || !(2..4).contains(&at);
    if mark_windows {
        all.push(Column::new("windows", "", "windows that were measured of this head", Integer));
    }
    if !nulls.is_empty() {
        let columns = verdict::deciding_columns(["null", "null_erank", "diff_low", "diff_high"]);
        all.extend(columns.into_iter().enumerate().filter(|(at, _)| is_shown(*at)).map(|(_, column)| column));
    }
    let title = format!("Spectra of {}: {}, n = {}", config.of.name(), source.name(), lengths(source));
    let mut table = Table::new(title, all);
    for head in &heads.0 {
        let Some(first) = head.first() else { continue };
        let mut row = first.at.cells(&keys);
        row.extend(shares.map(|index| mean_of(head, |one| one.values.plain[index]).into()));
        row.push(mean_of(head, |one| one.values.plain[rank]).into());
        if estimated {
            // The errors of windows are independent.
            let halves = windows_of(head, |one| half_width(one, rank));
            let half =
                |all: Vec<f64>| all.iter().map(|half| half * half).sum::<f64>().sqrt() / all.len() as f64;
            row.push(halves.map(half).into());
        }
        row.push(mean_of(head, |one| one.values.centred[rank]).into());
        if mark_windows {
            row.push(head.len().into());
        }
        if !nulls.is_empty() {
            let decision = decide(&differences(head, figures, nulls.len()));
            let cells = verdict::deciding_cells(decision, &names(nulls), |null| {
                mean_of(head, |one| one.nulls[null].values.plain[rank])
            });
            row.extend(cells.into_iter().enumerate().filter(|(at, _)| is_shown(*at)).map(|(_, cell)| cell));
        }
        table.push(row);
    }
    table
}

/// The half-width of the interval of a figure of one window.
pub(super) fn half_width(one: &Measured, figure: usize) -> Option<f64> {
    let ends = one.ends.as_ref()?;
    Some(0.5 * (ends.high.plain[figure]? - ends.low.plain[figure]?))
}

/// Means over all heads, of the heads and of what stands beside them.
pub(super) fn overall(asked: Asked<'_>, measured: &[Measured]) -> Table {
    let Asked { config, figures, nulls, .. } = asked;
    let k = config.shown(Heads::of(measured).size(config.of, measured.iter().map(|one| one.at.n).max()));
    let shown: Vec<(usize, &Figure)> = [
        ("cum_l1_at", Some(k)),
        ("cum_energy_at", Some(k)),
        ("rank90_l1", None),
        ("rank90_energy", None),
        ("effective_rank", None),
        ("stable_rank", None),
    ]
    .into_iter()
    .filter_map(|(name, at)| {
        figures.iter().enumerate().find(|(_, figure)| figure.metric.name == name && figure.at == at)
    })
    .collect();
    let mut all = described(&[
        ("mean_of", "", "what the mean is over", Text),
        ("n", "", "rows of the attention matrix", Integer),
    ]);
    all.extend(shown.iter().map(|(_, figure)| figure.short()));
    let mut table = Table::new("Means over all heads and windows", all);
    for of_length in measured.chunk_by(|a, b| a.at.n == b.at.n) {
        let mut push = |what: String, values: &dyn Fn(&Measured) -> Option<&Vec<Option<f64>>>| {
            let of = |index: usize| {
                // A matrix of zeros (a centred uniform one) has no shares and no ranks: it is left out.
                let all: Vec<f64> = of_length.iter().filter_map(|one| values(one)?[index]).collect();
                (!all.is_empty()).then(|| stats::mean(&all))
            };
            let mut row: Vec<Cell> = vec![what.into(), of_length[0].at.n.into()];
            row.extend(shown.iter().map(|(index, _)| of(*index).into()));
            table.push(row);
        };
        push("heads".into(), &|one| Some(&one.values.plain));
        push("heads, centred".into(), &|one| Some(&one.values.centred));
        for (null, name) in names(nulls).into_iter().enumerate() {
            push(format!("{name} null"), &|one| Some(&one.nulls.get(null)?.values.plain));
            push(format!("{name} null, centred"), &|one| Some(&one.nulls.get(null)?.values.centred));
        }
    }
    table
}
