//! Which heads are low-rank and which are sparse: figures of the spectrum and of the rows in one table.

use super::columns::Figure;
use super::measured::{Heads, mean_of};
use crate::metric::sink_mass::SINK;
use crate::report::Digits::Fixed;
use crate::report::{Column, Table};
use crate::stats;
use crate::study::input::{HeadWindow, Source, lengths};

/// The columns of [`table`], as the rows of the result call them.
const SHOWN: [&str; 6] = ["effective_rank", "rank90_energy", "keys90", "max_prob", "sink_mass", "distance"];

/// One row a head: how many values its spectrum has, how many keys its rows have, and where these are.
pub(super) fn table(heads: &Heads<'_>, source: &dyn Source, figures: &[Figure]) -> Table {
    let keys = HeadWindow::columns_for_people(source, false);
    let shown: Vec<(usize, &Figure)> = SHOWN.iter().filter_map(|name| Figure::find(figures, name)).collect();
    let mut all = keys.clone();
    all.extend(shown.iter().map(|(_, figure)| figure.short()));
    let place = 1 + all.iter().position(|column| column.name == "erank").unwrap_or(0);
    let about = "effective_rank of the matrix less its mean row";
    all.insert(place, Column::new("centred_erank", "", about, Fixed(1)));
    let mut table = Table::new(format!("Rank and sparsity: {}, n = {}", source.name(), lengths(source)), all);
    let rank = Figure::effective_rank(figures);
    for head in &heads.0 {
        let Some(first) = head.first() else { continue };
        let mut row = first.at.cells(&keys);
        row.extend(shown.iter().map(|(at, _)| mean_of(head, |one| one.values.plain[*at]).into()));
        row.insert(place, mean_of(head, |one| one.values.centred[rank]).into());
        table.push(row);
    }
    table
}

/// What the notes of a head rest on: means over its windows.
pub(super) struct Shape {
    pub(super) n: usize,
    pub(super) rank: Option<f64>,
    pub(super) keys90: Option<f64>,
    pub(super) sink_mass: Option<f64>,
}

/// How many heads are sinks, and whether low-rank heads are sparse ones; `rank` is what `Shape::rank` is called. Heads of one
/// length follow each other.
pub(super) fn notes(heads: &[Shape], rank: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let several = heads.iter().any(|head| head.n != heads[0].n);
    for heads in heads.chunk_by(|a, b| a.n == b.n) {
        let at = if several { format!(" at n = {}", heads[0].n) } else { String::new() };
        let sinks = heads.iter().filter(|head| head.sink_mass.is_some_and(|mass| mass > SINK)).count();
        notes.push(format!(
            "{sinks} of {} heads{at} are sink heads: their mean weight on the first key is above {SINK} (Gu et al. 2024)",
            heads.len()
        ));
        let pairs: Vec<(f64, f64)> =
            heads.iter().filter_map(|head| Some((head.rank?, head.keys90?))).collect();
        let (ranks, keys): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        if let Some(found) = stats::spearman(&ranks, &keys) {
            let reading = match (found.low > 0.0, found.high < 0.0) {
                (true, _) => "low-rank heads are the sparse ones",
                (_, true) => "low-rank heads are those that read many keys",
                _ => "neither direction is shown",
            };
            notes.push(format!(
                "rank correlation of {rank} and keys90 over {} heads{at}: {:.2} ({:.2} to {:.2}, 95 %, heads taken as \
                 independent): {reading}",
                ranks.len(),
                found.mid,
                found.low,
                found.high
            ));
        }
    }
    notes
}

/// The shapes of heads that were decomposed.
pub(super) fn shapes(heads: &Heads<'_>, figures: &[Figure]) -> Vec<Shape> {
    let shape = |head: &Vec<&super::measured::Measured>| {
        let value = |name: &str| {
            let (at, _) = Figure::find(figures, name)?;
            mean_of(head, |one| one.values.plain[at])
        };
        let (rank, keys90) = (value("effective_rank"), value("keys90"));
        Some(Shape { n: head.first()?.at.n, rank, keys90, sink_mass: value("sink_mass") })
    };
    heads.0.iter().filter_map(shape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(n: usize, rank: f64, keys90: f64, sink_mass: f64) -> Shape {
        Shape { n, rank: Some(rank), keys90: Some(keys90), sink_mass: Some(sink_mass) }
    }

    #[test]
    fn sinks_are_counted_at_each_length_and_correlations_are_read() {
        let mut heads: Vec<Shape> =
            (0..12).map(|i| shape(64, f64::from(i), f64::from(20 - i), 0.3)).collect();
        heads.extend((0..3).map(|i| shape(128, 1.0, 1.0, if i == 0 { 0.31 } else { 0.1 })));
        let notes = notes(&heads, "effective_rank");
        assert!(notes[0].starts_with("0 of 12 heads at n = 64 are sink heads"), "{notes:?}");
        assert!(notes[1].contains("keys90 over 12 heads at n = 64: -1.00 (-1.00 to -1.00"), "{notes:?}");
        assert!(notes[1].ends_with("read many keys"), "{notes:?}");
        assert!(notes[2].starts_with("1 of 3 heads at n = 128"), "{notes:?}");
        assert_eq!(notes.len(), 3, "three heads have no interval");
    }
}
