//! What to know of a comparison: what was matched, what is no number, and what intervals are over.

use super::difference::Difference;
use super::pairing::{Pair, Pairing};
use crate::report::{Cell, Digits, Table, shorten};
use crate::stats::Verdict;
use crate::study::runs::Run;
use crate::study::runs::shape::Shape;

/// Characters of a list of columns.
const WIDTH: usize = 200;

/// The notes on all pairings, and on the differences that are shown.
pub(super) fn notes(
    pairings: &[Pairing<'_>],
    shape: &Shape,
    shown: &[&Difference],
    runs: &[Run],
) -> Vec<String> {
    let mut notes = Vec::new();
    for pairing in pairings {
        let name = if pairings.len() > 1 { format!("{}: ", pairing.other.name()) } else { String::new() };
        let of_pairing = [Some(matched(pairing)), columns_of_one(pairing)].into_iter().flatten();
        notes.extend(of_pairing.chain(words(pairing, shape)).map(|note| name.clone() + &note));
    }
    notes.extend(intervals(shape.units(pairings[0].first), shown));
    let decidable = || shown.iter().filter(|one| one.ends.is_some() && one.verdict() != "equal");
    let decided = decidable().filter(|one| one.verdict() != Verdict::Undecided.name()).count();
    let compared = decidable().count();
    if compared > 0 {
        let chance = 0.05 * compared as f64;
        notes.push(format!(
            "{decided} of {compared} differences are decided; were all 0, about {chance:.1} would be by chance (5 %)"
        ));
    }
    let tokens = |run: &Run| ["text_sha256", "window_starts"].map(|fact| run.report.stamp.get(fact).cloned());
    if shape.unit.is_some() && runs.iter().any(|run| tokens(run) != tokens(&runs[0])) {
        let note = "windows of the runs hold other tokens: pairs have nothing in common, and intervals are those of independent windows";
        notes.push(note.into());
    }
    let seed = |run: &Run| run.report.stamp.get("seed").cloned();
    if shape.units(pairings[0].first).is_some_and(|units| units == "windows")
        && runs.iter().any(|run| seed(run) != seed(&runs[0]))
    {
        notes.push("seeds differ: intervals over windows do not hold what other seeds would change".into());
    }
    if runs.iter().any(|run| run.report.stamp.get("interrupted") == Some(&true.into())) {
        notes.push("a run was interrupted: rows that it does not have are not compared".into());
    }
    notes
}

/// What the intervals are over, or why there are none.
fn intervals(units: Option<String>, shown: &[&Difference]) -> Option<String> {
    let Some(units) = units else {
        return Some("no intervals: the rows are of no window or seed, over which they would be".into());
    };
    let count = || shown.iter().map(|one| one.units);
    let (least, most) = (count().min()?, count().max()?);
    let count = if least == most { most.to_string() } else { format!("{least} to {most}") };
    Some(match most {
        1 => format!("no intervals: they would be over two {units} or more"),
        _ => format!("intervals: Student's, paired, over {count} {units}, each the mean of its rows"),
    })
}

fn matched(pairing: &Pairing<'_>) -> String {
    let alone = match pairing.alone {
        (0, 0) => String::new(),
        (first, other) => format!("; {first} of the first run and {other} of the other have no match"),
    };
    format!("{} rows are matched by their keys{alone}", pairing.pairs.len())
}

fn columns_of_one(pairing: &Pairing<'_>) -> Option<String> {
    let less = |a: &Table, b: &Table| {
        let is_there = |name: &str| b.columns.iter().any(|column| column.name == name);
        let names = a.columns.iter().map(|column| column.name.clone());
        names.filter(|name| !is_there(name)).collect::<Vec<_>>()
    };
    let other = &pairing.other.report.rows;
    let names = [less(pairing.first, other), less(other, pairing.first)].concat();
    (!names.is_empty()).then(|| format!("columns of one run only: {}", shorten(&names.join(", "), WIDTH)))
}

/// Columns of words that differ.
fn words(pairing: &Pairing<'_>, shape: &Shape) -> Vec<String> {
    let others = &pairing.other.report.rows.columns;
    let of = |(at, column): (usize, &crate::report::Column)| {
        let other = others.iter().position(|other| other.name == column.name)?;
        let is_word = |cell: &Cell| matches!(cell, Cell::Text(_) | Cell::Bool(_));
        let differs = |pair: &&Pair<'_>| {
            let [first, other] = [&pair.first[at], &pair.other[other]];
            first != other && (is_word(first) || is_word(other))
        };
        let count = pairing.pairs.iter().filter(differs).count();
        let one = pairing.pairs.iter().find(differs)?;
        let [was, is] = [&one.first[at], &one.other[other]].map(|cell| cell.show(Digits::Text));
        let place = shape.place(pairing.first, one.first);
        Some(format!("{} differs in {count} rows: {was} and {is} in {place}", column.name))
    };
    let all = pairing.first.columns.iter().enumerate().filter(|(at, _)| !shape.keys.contains(at));
    all.filter_map(of).collect()
}
