//! Costs as powers of the length.

use super::columns::{F2, TEXT, WHOLE};
use super::fit::{shared_rounds, through};
use super::sweep::{Measured, Sweep};
use crate::report::Table;
use crate::stats::{self, Interval};
use crate::study::columns::described;

/// The exponent between the two longest lengths of a closed form: exact, without an interval.
fn local(points: &[(usize, f64)]) -> Option<f64> {
    let [.., (n, cost), (longer, more)] = *points else { return None };
    Some((more / cost).ln() / (longer as f64 / n as f64).ln()).filter(|exponent| exponent.is_finite())
}

/// The exponent of times over all lengths: the median over rounds of the slope within a round, with the interval of that
/// median (none below six rounds). Lengths are timed one after the other: a drift of the machine between them is in no
/// interval.
fn of_rounds(cells: &[&Measured]) -> Option<(f64, Option<Interval>)> {
    let slope = |round: usize| {
        let points: Option<Vec<(f64, f64)>> =
            cells.iter().map(|one| Some(((one.cell.n as f64).ln(), one.times.get(round)?.ln()))).collect();
        Some(through(&points?)?.slope.mid)
    };
    let slopes: Vec<f64> = (0..shared_rounds(cells)).filter_map(slope).collect();
    (!slopes.is_empty()).then(|| (stats::median(&slopes), stats::median_interval(&slopes)))
}

/// The exponents of each curve: FLOPs, memory and time as powers of n.
pub(super) fn table(sweep: &Sweep) -> Option<Table> {
    let columns = [
        ("mechanism", "", "the mechanism, exact attention by its form", TEXT),
        ("l", "", "projected length", WHOLE),
        ("flops", "", "exponent of n in the FLOPs between the two longest lengths (exact)", F2),
        ("mem", "", "exponent of n in the extra memory between them (closed form)", F2),
        ("time", "", "exponent of n in the time over all lengths from..to: median over rounds", F2),
        ("low", "", "lower end of its 95 % interval: timing noise only, not curvature", F2),
        ("high", "", "upper end of it", F2),
        ("from", "", "shortest length that the exponent of the time was fitted over", WHOLE),
        ("to", "", "longest length of it", WHOLE),
    ];
    let mut table = Table::new("Costs as powers of the length: cost = c n^x", described(&columns));
    for first in sweep.curves() {
        let closed = |value: &dyn Fn(&Measured) -> Option<f64>| -> Option<f64> {
            let all = sweep.curve(&first.cell);
            local(&all.filter_map(|one| Some((one.cell.n, value(one)?))).collect::<Vec<_>>())
        };
        let flops = closed(&|one| Some(one.facts.cost.flops() as f64));
        let memory = closed(&|one| one.facts.extra_bytes.map(|bytes| bytes as f64));
        if flops.is_none() {
            continue;
        }
        let timed: Vec<&Measured> = sweep.timed(&first.cell).collect();
        let time = of_rounds(&timed);
        let ends = time.and_then(|(_, interval)| interval);
        let length = |one: Option<&&Measured>| one.filter(|_| time.is_some()).map(|one| one.cell.n);
        table.push(vec![
            first.cell.title().into(),
            first.cell.l.into(),
            flops.into(),
            memory.into(),
            time.map(|(exponent, _)| exponent).into(),
            ends.map(|ends| ends.low).into(),
            ends.map(|ends| ends.high).into(),
            length(timed.first()).into(),
            length(timed.last()).into(),
        ]);
    }
    (!table.rows.is_empty()).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::super::planted;
    use super::*;
    use crate::rng::stream;

    #[test]
    fn a_closed_form_has_the_exponent_of_its_longest_lengths() {
        // n^2 dominates n at the end only: the exponent over all lengths would be about 1.5.
        let cost = |n: usize| (n * n + 1000 * n) as f64;
        let found = local(&[64, 1024, 1 << 20, 1 << 21].map(|n| (n, cost(n)))).unwrap();
        assert!((found - 2.0).abs() < 1e-3, "{found}");
        assert_eq!(local(&[(64, 1.0)]), None);
    }

    #[test]
    fn an_exponent_of_times_is_covered_by_its_interval() {
        let lengths = [128, 256, 512, 1024];
        let mut rng = stream(11, "exponents");
        for (rounds, noise) in [(6, 0.05), (15, 0.3)] {
            let covered = (0..300)
                .filter(|_| {
                    let sweep =
                        planted::curve(&lengths, rounds, noise, &mut rng, |n| 1e-6 * (n as f64).powf(1.4));
                    let cells: Vec<&Measured> = sweep.cells.iter().collect();
                    let (_, interval) = of_rounds(&cells).unwrap();
                    interval.is_some_and(|ends| ends.low <= 1.4 && 1.4 <= ends.high)
                })
                .count();
            // 95 %, less three standard deviations.
            assert!(covered >= 274, "{covered} of 300 at {rounds} rounds");
        }
    }
}
