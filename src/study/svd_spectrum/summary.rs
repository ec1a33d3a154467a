//! Means over windows: what people read, and the aggregated rows.

use super::Config;
use super::columns::{self, Figure, Values};
use super::exact::{Measured, effective_rank_index};
use super::null::Asked;
use super::verdict::{self, Difference, Verdict, decide, difference};
use crate::attention::Mask;
use crate::linalg::engine::Engine;
use crate::report::{Cell, Column, Digits, Table};
use crate::stats;
use crate::study::input::Source;

/// The share of zeros among visible probabilities above which a head's temperature says little about it.
const ZEROS: f64 = 0.01;

/// Measurements grouped by head and length, in the order of the rows.
pub(super) struct Heads<'a>(pub(super) Vec<Vec<&'a Measured>>);

impl<'a> Heads<'a> {
    /// Groups measurements that are sorted by their keys.
    pub(super) fn of(measured: &'a [Measured]) -> Self {
        Self(measured.chunk_by(|a, b| a.key() == b.key()).map(|group| group.iter().collect()).collect())
    }
}

/// The value of one side of every window, where all windows have it.
pub(super) fn windows_of(head: &[&Measured], value: impl Fn(&Measured) -> Option<f64>) -> Option<Vec<f64>> {
    head.iter().map(|one| value(one)).collect()
}

/// A head's differences from each null model, over its windows.
fn differences(head: &[&Measured], figures: &[Figure], nulls: usize) -> Vec<Option<Difference>> {
    let index = effective_rank_index(figures);
    (0..nulls)
        .map(|null| {
            let windows =
                head.iter().map(|one| (one.values.plain[index], one.nulls[null].effective_ranks.as_slice()));
            difference(&windows.collect::<Vec<_>>())
        })
        .collect()
}

/// How many heads have how many windows, where an interrupted run left them with different numbers.
fn uneven(heads: &Heads<'_>) -> Option<Vec<(usize, usize)>> {
    let mut counts: Vec<usize> = heads.0.iter().map(Vec::len).collect();
    counts.sort_unstable();
    let groups: Vec<(usize, usize)> =
        counts.chunk_by(|a, b| a == b).map(|group| (group[0], group.len())).collect();
    (groups.len() > 1).then_some(groups)
}

/// Names the columns that say which head a row is; `all` adds those that the input makes empty.
fn head_columns(source: &dyn Source, all: bool) -> Vec<Column> {
    let several = source.lengths().len() > 1;
    let wanted = |name: &str| match name {
        "input" => all || !source.is_layered(),
        "layer" | "head" => all || source.is_layered(),
        "n" => all || several,
        _ => false,
    };
    columns::keys().into_iter().filter(|column| wanted(&column.name)).collect()
}

/// The cells under [`head_columns`].
pub(super) fn head_cells(one: &Measured, columns: &[Column]) -> Vec<Cell> {
    let cell = |column: &Column| match column.name.as_str() {
        "input" => one.label.as_str().into(),
        "layer" => one.layer.into(),
        "head" => one.head.into(),
        "window" => one.window.into(),
        _ => one.n.into(),
    };
    columns.iter().map(cell).collect()
}

/// The columns that name a head in the tables for people.
pub(super) fn keys_for_people(source: &dyn Source) -> Vec<Column> {
    head_columns(source, false)
}

/// The table that people read: one row a head, the figures that the question turns on, in 80 columns.
pub(super) fn table(
    config: &Config,
    heads: &Heads<'_>,
    source: &dyn Source,
    figures: &[Figure],
    nulls: &[Asked],
) -> Table {
    let k = config.shown(source.lengths().last().copied().unwrap_or(0));
    let place = |name: &str, at: Option<usize>| {
        figures.iter().position(|figure| figure.metric.name == name && figure.at == at).unwrap_or(0)
    };
    let (l1, energy) = (place("cum_l1_at", Some(k)), place("cum_energy_at", Some(k)));
    let rank = effective_rank_index(figures);
    let keys = head_columns(source, false);
    let mut all = keys.clone();
    for (name, about, digits) in [
        (figures[l1].name(), figures[l1].metric.about, Digits::Fixed(3)),
        (figures[energy].name(), figures[energy].metric.about, Digits::Fixed(3)),
        ("erank".into(), "effective_rank: exp of the entropy of s_i / sum s", Digits::Fixed(1)),
        ("centred_erank".into(), "effective_rank of the matrix less its mean row", Digits::Fixed(1)),
    ] {
        all.push(Column::new(name, "", about, digits));
    }
    let mark_windows = uneven(heads).is_some();
    if mark_windows {
        all.push(Column::new("windows", "", "windows that were measured of this head", Digits::Integer));
    }
    let names: Vec<&str> = nulls.iter().map(|null| null.model.name).collect();
    if !nulls.is_empty() {
        let [null, verdict] = verdict::verdict_columns("null");
        all.push(null);
        for (name, about) in [
            ("null_erank", "effective_rank of this null model, mean over draws and windows"),
            ("diff_low", "lower 95 % end of erank less null_erank"),
            ("diff_high", "upper 95 % end of it"),
        ] {
            all.push(Column::new(name, "", about, Digits::Fixed(1)));
        }
        all.push(verdict);
    }
    let mut table =
        Table::new(format!("Spectra of attention: {}, n = {}", source.name(), lengths(source)), all);
    for head in &heads.0 {
        let Some(first) = head.first() else { continue };
        let mean =
            |value: &dyn Fn(&Measured) -> Option<f64>| windows_of(head, value).map(|all| stats::mean(&all));
        let mut row = head_cells(first, &keys);
        row.extend([l1, energy, rank].map(|index| mean(&|one| one.values.plain[index]).into()));
        row.push(mean(&|one| one.values.centred[rank]).into());
        if mark_windows {
            row.push(head.len().into());
        }
        if !nulls.is_empty() {
            let decision = decide(&differences(head, figures, nulls.len()));
            let null = decision.and_then(|decision| mean(&|one| one.nulls[decision.null].values.plain[rank]));
            let interval = decision.and_then(|decision| decision.difference.interval);
            let [name, verdict] = verdict::verdict_cells(decision, &names);
            row.extend([name, null.into()]);
            row.extend([interval.map(|ends| ends.low).into(), interval.map(|ends| ends.high).into()]);
            row.push(verdict);
        }
        table.push(row);
    }
    table
}

/// Means over all heads, of the heads and of what stands beside them.
pub(super) fn overall(config: &Config, measured: &[Measured], figures: &[Figure], nulls: &[Asked]) -> Table {
    let largest = measured.iter().map(|one| one.n).max().unwrap_or(0);
    let k = config.shown(largest);
    let names =
        [("cum_l1_at", Some(k)), ("cum_energy_at", Some(k)), ("rank90_l1", None), ("rank90_energy", None)];
    let names = names.into_iter().chain([("effective_rank", None), ("stable_rank", None)]);
    let shown: Vec<(usize, &Figure)> = names
        .filter_map(|(name, at)| {
            figures.iter().enumerate().find(|(_, figure)| figure.metric.name == name && figure.at == at)
        })
        .collect();
    let mut all = vec![
        Column::new("mean_of", "", "what the mean is over", Digits::Text),
        Column::new("n", "", "rows of the attention matrix", Digits::Integer),
    ];
    for (_, figure) in &shown {
        all.push(Column::new(short(figure), "", figure.metric.about, figure.digits()));
    }
    let mut table = Table::new("Means over all heads and windows", all);
    let mut lengths: Vec<usize> = measured.iter().map(|one| one.n).collect();
    lengths.dedup();
    for n in lengths {
        let mut push = |what: String, values: &dyn Fn(&Measured) -> Option<&Vec<Option<f64>>>| {
            let of = |index: usize| {
                // A matrix of zeros (a centred uniform one) has no shares and no ranks: it is left out.
                let all = measured.iter().filter(|one| one.n == n);
                let all: Vec<f64> = all.filter_map(|one| values(one)?[index]).collect();
                (!all.is_empty()).then(|| stats::mean(&all))
            };
            let mut row: Vec<Cell> = vec![what.into(), n.into()];
            row.extend(shown.iter().map(|(index, _)| of(*index).into()));
            table.push(row);
        };
        push("heads".into(), &|one| Some(&one.values.plain));
        push("heads, centred".into(), &|one| Some(&one.values.centred));
        for (null, asked) in nulls.iter().enumerate() {
            let name = asked.model.name;
            push(format!("{name} null"), &|one| one.nulls.get(null).map(|null| &null.values.plain));
            push(format!("{name} null, centred"), &|one| {
                one.nulls.get(null).map(|null| &null.values.centred)
            });
        }
    }
    table
}

/// The name of a column in a table of 80 columns.
fn short(figure: &Figure) -> String {
    match figure.metric.name {
        "effective_rank" => "erank".into(),
        _ => figure.name(),
    }
}

/// The columns of [`aggregated`].
pub(super) fn aggregated_columns(figures: &[Figure], nulls: &[Asked]) -> Vec<Column> {
    let mut all: Vec<Column> = columns::keys().into_iter().filter(|column| column.name != "window").collect();
    all.push(Column::new("windows", "", "windows that the means are over", Digits::Integer));
    for column in columns::measured(figures, nulls) {
        let end = |end: &str, about: &str| {
            let name = format!("{}_{end}", column.name);
            Column::new(name, column.unit.clone(), format!("{about} of {}", column.name), column.digits)
        };
        let ends = [end("low", "lower 95 % end (Student)"), end("high", "upper 95 % end")];
        all.push(column);
        all.extend(ends);
    }
    let names: Vec<&str> = nulls.iter().map(|null| null.model.name).collect();
    all.extend(verdict::columns(&names));
    all
}

/// One row a head: means over windows with Student's 95 % intervals (a bootstrap of a few windows is too narrow).
pub(super) fn aggregated(
    heads: &Heads<'_>,
    source: &dyn Source,
    figures: &[Figure],
    nulls: &[Asked],
) -> Table {
    let keys = head_columns(source, true);
    let all = aggregated_columns(figures, nulls);
    let names: Vec<&str> = nulls.iter().map(|null| null.model.name).collect();
    let mut table =
        Table::new(format!("Singular values of attention, means over windows: {}", source.name()), all);
    for head in &heads.0 {
        let Some(first) = head.first() else { continue };
        let mut row = head_cells(first, &keys);
        row.push(head.len().into());
        let cells = |values: fn(&Measured, usize) -> &Values, side: usize| -> Vec<Vec<Option<f64>>> {
            head.iter().map(|one| values(one, side).cells(figures).collect()).collect()
        };
        let mut sides = vec![cells(|one, _| &one.values, 0)];
        sides.extend((0..nulls.len()).map(|null| cells(|one, null| &one.nulls[null].values, null)));
        for windows in sides {
            for i in 0..windows.first().map_or(0, Vec::len) {
                let values: Option<Vec<f64>> = windows.iter().map(|window| window[i]).collect();
                let interval = values.as_ref().and_then(|values| stats::student_mean(values));
                row.push(values.map(|values| stats::mean(&values)).into());
                row.push(interval.map(|interval| interval.low).into());
                row.push(interval.map(|interval| interval.high).into());
            }
        }
        row.extend(verdict::cells(&differences(head, figures, nulls.len()), &names));
        table.push(row);
    }
    table
}

/// What a reader must know beside the numbers.
pub(super) fn notes(
    config: &Config,
    heads: &Heads<'_>,
    source: &dyn Source,
    figures: &[Figure],
    nulls: &[Asked],
    engine: Engine,
    growth: Vec<String>,
) -> Vec<String> {
    let mut notes: Vec<String> = interrupted(heads, source).into_iter().collect();
    if !nulls.is_empty() {
        notes.extend(verdicts(config, heads, source, figures, nulls));
    }
    notes.extend(source.dependence());
    notes.extend(growth);
    notes.push(
        "two definitions of energy: cum_l1 is the share of the sum of singular values (Linformer's figure 1), cum_energy \
         the share of the sum of their squares; rank90 counts the leading values that reach 90 %"
            .into(),
    );
    notes.push(
        "centred: of the matrix less its mean row, which alone gives a row-stochastic matrix a large first value"
            .into(),
    );
    let full = heads.0.iter().filter(|head| head.iter().any(|one| one.zeros > ZEROS)).count();
    if !nulls.is_empty() && full > 0 {
        notes.push(format!(
            "in {full} heads over {:.0} % of the probabilities that the mask leaves open are 0: logit_sd, and with it \
             the gaussian null, describes the others only",
            100.0 * ZEROS
        ));
    }
    if let Some(l) = source.own_l() {
        let bound = match source.mask() {
            Mask::Full => format!("rank {l} at most"),
            Mask::Causal => format!("a triangle cut from rank {l} at most"),
        };
        notes.push(format!(
            "by their form the model's own matrices are of {bound}, and so are the null models beside them, which draw both \
             steps anew: being lower than these says more than that form, and being lower than a softmax model does not"
        ));
    }
    if engine == Engine::Faer && source.is_layered() {
        notes.push(
            "values below 1e-8 sigma_max of matrices made in f32 are rounding (they come from the f64 Gram matrix)"
                .into(),
        );
    }
    notes
}

/// What of an interrupted run is there; none of one that is complete.
fn interrupted(heads: &Heads<'_>, source: &dyn Source) -> Option<String> {
    let asked = source.lengths().len() * source.windows() * source.heads();
    let measured: usize = heads.0.iter().map(Vec::len).sum();
    if measured == asked {
        return None;
    }
    let windows = match uneven(heads) {
        Some(groups) => groups
            .iter()
            .map(|(windows, heads)| format!("{heads} with {windows}"))
            .collect::<Vec<_>>()
            .join(", "),
        None => format!("each with {}", heads.0.first().map_or(0, Vec::len)),
    };
    Some(format!(
        "interrupted: {} of {} heads are here, {windows} of {} windows; all figures and intervals are over these",
        heads.0.len(),
        source.lengths().len() * source.heads(),
        source.windows(),
    ))
}

/// How many heads of each length are lower or higher than their null models, and how many would be by chance alone.
fn verdicts(
    config: &Config,
    heads: &Heads<'_>,
    source: &dyn Source,
    figures: &[Figure],
    nulls: &[Asked],
) -> Vec<String> {
    let mut counts = Vec::new();
    let mut largest = 0;
    for of_length in heads.0.chunk_by(|a, b| a.first().map(|one| one.n) == b.first().map(|one| one.n)) {
        let Some(n) = of_length.first().and_then(|head| head.first()).map(|one| one.n) else { continue };
        let found: Vec<Verdict> = of_length
            .iter()
            .map(|head| {
                let decision = decide(&differences(head, figures, nulls.len()));
                decision.map_or(Verdict::Undecided, |decision| decision.verdict)
            })
            .collect();
        let count = |wanted| found.iter().filter(|verdict| **verdict == wanted).count();
        let at = if source.lengths().len() > 1 { format!(" at n = {n}") } else { String::new() };
        counts.push(format!(
            "{} lower, {} higher, {} undecided of {} heads{at}",
            count(Verdict::Lower),
            count(Verdict::Higher),
            count(Verdict::Undecided),
            found.len(),
        ));
        largest = largest.max(found.len());
    }
    let mut notes = vec![format!(
        "effective rank against the null models: {}; were all of them draws of their null model, {:.1}{} would be lower or \
         higher by chance",
        counts.join("; "),
        verdict::LEVEL * largest as f64,
        if counts.len() > 1 { " at each length" } else { "" },
    )];
    let fewest = heads.0.iter().map(Vec::len).min().unwrap_or(0);
    let most = heads.0.iter().map(Vec::len).max().unwrap_or(0);
    let draws = config.draws();
    notes.push(match (fewest, most, draws) {
        (_, 1, 1) => {
            "one window and one draw leave no interval: --windows or --null-draws above 1 decide".into()
        }
        (_, 1, draws) => {
            format!("verdicts: Student's 95 % prediction interval of one more draw of the null, from {draws} draws")
        }
        (fewest, most, _) if fewest == most => {
            format!("verdicts: Student's 95 % interval of the mean difference over {most} windows")
        }
        (fewest, most, _) => format!(
            "verdicts: Student's 95 % interval of the mean difference over {fewest} to {most} windows (of one window: \
             of one more of {draws} draws)"
        ),
    });
    notes
}

fn lengths(source: &dyn Source) -> String {
    source.lengths().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
