//! Differences from the best or from a named one, pair by pair: the table that says which of several is better.

use std::collections::BTreeMap;

use super::columns::described;
use crate::report::Digits::{Integer, Text};
use crate::report::{Cell, Column, Digits, Table};
use crate::stats::{self, Verdict, from_baseline, from_best};

/// Differences of less are rounding of single precision, whatever their interval.
const ROUNDING: f64 = 1e-6;

/// One of those that are compared.
pub(super) struct Competitor {
    /// The cells that name it.
    pub(super) keys: Vec<Cell>,
    /// What is compared, by the head, window or seed that it belongs to; nothing is compared but what all have.
    pub(super) values: BTreeMap<usize, f64>,
    /// Whether it is the one that the others of its set are compared with, and not the best of them.
    pub(super) baseline: bool,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared<'a> {
    /// Its name and unit, as in the other tables.
    pub(super) name: &'a str,
    pub(super) unit: &'a str,
    pub(super) digits: Digits,
    /// Whether less is better.
    pub(super) lowest: bool,
    /// What makes a pair, in the plural: heads, windows, seeds.
    pub(super) pairs: &'a str,
    /// What was named to compare with; none for the best.
    pub(super) baseline: Option<&'a str>,
}

/// How many comparisons were made, how many were decided, and at which confidence.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) compared: usize,
    pub(super) decided: usize,
    /// The fewest and the most that were compared with each other.
    of: Option<(usize, usize)>,
}

impl Compared<'_> {
    /// The table of all sets of competitors: within each the best, and how far the others are from it; none where
    /// nothing has a competitor.
    pub(super) fn table(
        self,
        title: impl Into<String>,
        keys: Vec<Column>,
        sets: Vec<Vec<Competitor>>,
    ) -> Option<(Table, Tally)> {
        let mut columns = keys;
        let about = format!("{} less that of {}, mean over {}", self.name, self.other(), self.pairs);
        let confidence = match self.baseline {
            Some(_) => "lower end of its Student's 95 % interval",
            None => "lower end of its Student's interval, at 1 - 0.1 / M of M that are compared",
        };
        columns.extend(described(&[
            (self.pairs, "", "pairs that the difference is over", Integer),
            ("diff", self.unit, about.as_str(), self.digits),
            ("low", self.unit, confidence, self.digits),
            ("high", self.unit, "upper end of it", self.digits),
            ("verdict", "", "undecided where the interval holds 0", Text),
        ]));
        let mut table = Table::new(title, columns);
        let mut tally = Tally::default();
        for set in sets {
            self.rows(set, &mut table, &mut tally);
        }
        (!table.rows.is_empty()).then_some((table, tally))
    }

    /// What the others are compared with.
    fn other(self) -> &'static str {
        if self.baseline.is_some() { "the baseline" } else { "the best" }
    }

    fn rows(self, mut set: Vec<Competitor>, table: &mut Table, tally: &mut Tally) {
        set.retain(|one| !one.values.is_empty());
        let [first, others @ ..] = &set[..] else { return };
        let common: Vec<usize> = first
            .values
            .keys()
            .filter(|key| others.iter().all(|other| other.values.contains_key(key)))
            .copied()
            .collect();
        let values: Vec<Vec<f64>> =
            set.iter().map(|one| common.iter().map(|key| one.values[key]).collect()).collect();
        let found = match (self.baseline, set.iter().position(|one| one.baseline)) {
            (Some(_), Some(at)) => Some(from_baseline(&values, at)),
            (Some(_), None) => None,
            (None, _) => from_best(&values, self.lowest),
        };
        let Some(found) = found.filter(|_| !others.is_empty() && !common.is_empty()) else { return };
        tally.of =
            Some(tally.of.map_or((set.len(), set.len()), |(fewest, most)| {
                (fewest.min(set.len()), most.max(set.len()))
            }));
        let means: Vec<f64> = values.iter().map(|values| stats::mean(values)).collect();
        let mut order: Vec<usize> = (0..set.len()).collect();
        order.sort_by(|a, b| {
            let (better, worse) = if self.lowest { (a, b) } else { (b, a) };
            let others = |at: &usize| *at != found.baseline;
            means[*better].total_cmp(&means[*worse]).then(others(a).cmp(&others(b)))
        });
        for at in order {
            let mut row = set[at].keys.clone();
            row.push(common.len().into());
            if at == found.baseline {
                let name = if self.baseline.is_some() { "baseline" } else { "best" };
                row.extend([Cell::Missing, Cell::Missing, Cell::Missing, name.into()]);
            } else {
                let verdict = verdict(found.differences[at]);
                tally.compared += 1;
                tally.decided += usize::from(verdict != Verdict::Undecided);
                let ends = found.differences[at];
                row.extend([
                    (means[at] - means[found.baseline]).into(),
                    ends.map(|ends| ends.low).into(),
                    ends.map(|ends| ends.high).into(),
                    verdict.name().into(),
                ]);
            }
            table.push(row);
        }
    }
}

/// What a difference says; nothing of one that is rounding.
fn verdict(difference: Option<stats::Interval>) -> Verdict {
    Verdict::of(difference.filter(|ends| ends.mid.abs() >= ROUNDING))
}

impl Tally {
    /// What a reader must know beside the verdicts.
    pub(super) fn note(&self, what: Compared<'_>) -> String {
        let Self { compared, decided, of } = self;
        let of = match of {
            Some((fewest, most)) if fewest != most => format!("{fewest} to {most}"),
            Some((of, _)) => of.to_string(),
            None => "M".into(),
        };
        let why = match what.baseline {
            Some(name) => format!("5 %; the baseline is {name}, as asked"),
            None => {
                format!("5 %; the best is picked from the same {}: intervals at 1 - 0.1 / {of}", what.pairs)
            }
        };
        format!(
            "{decided} of {compared} differences of {} from {} are decided; were all equal, about {:.1} would be by chance \
             ({why})",
            what.name,
            what.other(),
            0.05 * *compared as f64,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Digits;

    const ERROR: Compared<'_> = Compared {
        name: "out_err",
        unit: "",
        digits: Digits::Fixed(3),
        lowest: true,
        pairs: "heads",
        baseline: None,
    };

    fn competitor(name: &str, values: &[(usize, f64)]) -> Competitor {
        Competitor {
            keys: vec![name.into()],
            values: values.iter().copied().collect(),
            baseline: name == "base",
        }
    }

    fn keys() -> Vec<Column> {
        vec![Column::new("mechanism", "", "", Digits::Text)]
    }

    #[test]
    fn nothing_is_compared_but_what_all_have() {
        let set = vec![
            competitor("one", &[(0, 2.0), (1, 3.0), (2, 4.1)]),
            // A third head would make it the worst.
            competitor("other", &[(0, 1.0), (1, 2.1), (2, 3.0), (3, 90.0)]),
            competitor("none", &[]),
        ];
        let (table, tally) = ERROR.table("", keys(), vec![set]).unwrap();
        let texts = |column: &str| table.cells(column).unwrap().map(Cell::exact).collect::<Vec<_>>();
        assert_eq!(texts("mechanism"), ["other", "one"]);
        assert_eq!(texts("heads"), ["3", "3"]);
        assert_eq!(texts("verdict"), ["best", "higher"]);
        let expected = stats::student_mean(&[1.0, 0.9, 1.1]).unwrap();
        let number = |column: &str| table.cells(column).unwrap().nth(1).unwrap().number().unwrap();
        assert!((number("diff") - 1.0).abs() < 1e-12);
        assert!((number("low") - expected.low).abs() < 1e-9 && (number("high") - expected.high).abs() < 1e-9);
        assert_eq!((tally.compared, tally.decided), (1, 1));
        let note = tally.note(ERROR);
        assert!(
            note.starts_with("1 of 1 differences of out_err") && note.contains("about 0.1 would"),
            "{note}"
        );
        assert!(note.ends_with("the same heads: intervals at 1 - 0.1 / 2)"), "{note}");
    }

    #[test]
    fn a_named_baseline_takes_the_place_of_the_best() {
        let named = Compared { baseline: Some("base"), ..ERROR };
        let set = |name: &str| {
            vec![
                competitor("one", &[(0, 1.0), (1, 2.0), (2, 3.1)]),
                competitor(name, &[(0, 2.0), (1, 3.1), (2, 4.0)]),
            ]
        };
        let (table, tally) = named.table("", keys(), vec![set("base"), set("other")]).unwrap();
        let texts = |column: &str| table.cells(column).unwrap().map(Cell::exact).collect::<Vec<_>>();
        assert_eq!(texts("mechanism"), ["one", "base"], "a set without it is not compared");
        assert_eq!(texts("verdict"), ["lower", "baseline"]);
        let note = tally.note(named);
        assert!(
            note.contains("from the baseline are decided") && note.ends_with("is base, as asked)"),
            "{note}"
        );
    }

    #[test]
    fn one_alone_and_rounding_are_no_comparison() {
        let alone = vec![competitor("one", &[(0, 2.0), (1, 3.0)])];
        assert_eq!(ERROR.table("", keys(), vec![alone]), None);
        let same = |more: f64| -> Vec<(usize, f64)> { (0..9).map(|at| (at, 0.5 + more)).collect() };
        let set = vec![competitor("one", &same(0.0)), competitor("other", &same(1e-8))];
        let (table, tally) = ERROR.table("", keys(), vec![set]).unwrap();
        assert_eq!(table.cells("verdict").unwrap().nth(1).unwrap().exact(), "undecided");
        assert_eq!((tally.compared, tally.decided), (1, 0));
    }
}
