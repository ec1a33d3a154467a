//! Means over windows: what people read, and the aggregated rows.

use super::Config;
use super::columns::{self, Figure, Values};
use super::exact::{Measured, effective_rank_index};
use super::null::Asked;
use super::verdict::{self, Verdict, difference};
use crate::attention::Mask;
use crate::linalg::engine::Engine;
use crate::report::{Cell, Column, Digits, Table};
use crate::rng::stream;
use crate::stats::{self, Interval};
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
fn differences(head: &[&Measured], figures: &[Figure], nulls: usize) -> Vec<Option<Interval>> {
    let index = effective_rank_index(figures);
    (0..nulls)
        .map(|null| {
            let windows = head.iter().map(|one| {
                let own = one.values.plain[index].unwrap_or(f64::NAN);
                (own, one.nulls[null].effective_ranks.clone())
            });
            difference(&windows.collect::<Vec<_>>())
        })
        .collect()
}

/// The null model that is hardest to be below, with the difference from it: the one whose upper end is highest.
fn hardest(differences: &[Option<Interval>]) -> Option<(usize, Interval)> {
    let known = differences.iter().enumerate().filter_map(|(null, difference)| Some((null, (*difference)?)));
    known.max_by(|(_, a), (_, b)| a.high.total_cmp(&b.high))
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
    if !nulls.is_empty() {
        for (name, about) in [
            ("null_erank", "effective_rank of the null model that the head is least below"),
            ("diff_low", "lower 95 % end of erank less null_erank"),
            ("diff_high", "upper 95 % end of it"),
        ] {
            all.push(Column::new(name, "", about, Digits::Fixed(1)));
        }
        let about = "lower: 95 % intervals of the differences from all null models lie below 0; not lower: one lies \
                     above; undecided: otherwise";
        all.push(Column::new("lower_than_null", "", about, Digits::Text));
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
        if !nulls.is_empty() {
            let differences = differences(head, figures, nulls.len());
            let hardest = hardest(&differences);
            let null = hardest.and_then(|(null, _)| mean(&|one| one.nulls[null].values.plain[rank]));
            row.push(null.into());
            row.push(hardest.map(|(_, interval)| interval.low).into());
            row.push(hardest.map(|(_, interval)| interval.high).into());
            row.push(verdict::verdict(&differences).name().into());
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
        let ends = [end("low", "2.5 % bootstrap end"), end("high", "97.5 % bootstrap end")];
        all.push(column);
        all.extend(ends);
    }
    let names: Vec<&str> = nulls.iter().map(|null| null.model.name).collect();
    all.extend(verdict::columns(&names));
    all
}

/// One row a head: means over windows with 95 % bootstrap intervals.
pub(super) fn aggregated(
    heads: &Heads<'_>,
    source: &dyn Source,
    figures: &[Figure],
    nulls: &[Asked],
    seed: u64,
) -> Table {
    let keys = head_columns(source, true);
    let all = aggregated_columns(figures, nulls);
    let mut table =
        Table::new(format!("Singular values of attention, means over windows: {}", source.name()), all);
    for head in &heads.0 {
        let Some(first) = head.first() else { continue };
        let mut row = head_cells(first, &keys);
        row.push(head.len().into());
        let mut rng = stream(seed, &format!("bootstrap {} n {}", first.label, first.n));
        let cells = |values: fn(&Measured, usize) -> &Values, side: usize| -> Vec<Vec<Option<f64>>> {
            head.iter().map(|one| values(one, side).cells(figures).collect()).collect()
        };
        let mut sides = vec![cells(|one, _| &one.values, 0)];
        sides.extend((0..nulls.len()).map(|null| cells(|one, null| &one.nulls[null].values, null)));
        for windows in sides {
            for i in 0..windows.first().map_or(0, Vec::len) {
                let values: Option<Vec<f64>> = windows.iter().map(|window| window[i]).collect();
                let interval = values.as_ref().and_then(|values| stats::bootstrap_mean(values, &mut rng));
                row.push(values.map(|values| stats::mean(&values)).into());
                row.push(interval.map(|interval| interval.low).into());
                row.push(interval.map(|interval| interval.high).into());
            }
        }
        row.extend(verdict::cells(&differences(head, figures, nulls.len())));
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
) -> Vec<String> {
    let mut notes = vec![
        "two definitions of energy: cum_l1 is the share of the sum of singular values (Linformer's figure 1), \
         cum_energy the share of the sum of their squares; rank90 counts the leading values that reach 90 %"
            .to_string(),
        "centred: of the matrix less its mean row, which alone gives a row-stochastic matrix a large first value"
            .to_string(),
    ];
    let windows = source.windows();
    if !nulls.is_empty() {
        let count = |wanted| {
            heads
                .0
                .iter()
                .filter(|head| verdict::verdict(&differences(head, figures, nulls.len())) == wanted)
                .count()
        };
        let over = if windows > 1 {
            format!("Student's 95 % interval over {windows} windows")
        } else {
            format!(
                "Student's 95 % interval over {} draws of the null, about this one window",
                config.null_draws
            )
        };
        notes.push(format!(
            "effective rank lower than the null models': {} lower, {} not lower, {} undecided of {} ({over})",
            count(Verdict::Lower),
            count(Verdict::NotLower),
            count(Verdict::Undecided),
            heads.0.len(),
        ));
        if windows == 1 && config.null_draws == 1 {
            notes.push(
                "one window and one draw leave no interval: take --windows or --null-draws above 1".into(),
            );
        }
    }
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
    if (2..8).contains(&windows) {
        notes.push(format!("{windows} windows: bootstrap intervals of so few are too narrow"));
    }
    if engine == Engine::Faer && source.is_layered() {
        notes.push(
            "values below 1e-8 sigma_max of matrices made in f32 are rounding (they come from the f64 Gram matrix)"
                .into(),
        );
    }
    notes
}

fn lengths(source: &dyn Source) -> String {
    source.lengths().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
