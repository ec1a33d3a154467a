//! The Pareto front of error, FLOPs, time and memory, and the knee of each mechanism's curve over l.

use super::super::cell::Form;
use super::columns::{F3, S3, TEXT, WHOLE};
use super::fit::compare;
use super::sweep::{Measured, Sweep};
use crate::report::Table;
use crate::stats::{self, Verdict};
use crate::study::columns::described;

/// Error, FLOPs, seconds and bytes of one cell: lower is better.
#[derive(Clone, Copy, Debug)]
struct Costs {
    /// Error, FLOPs and bytes.
    exact: [f64; 3],
    time: f64,
}

/// Whether `a` dominates `b`: nowhere worse and somewhere better. Undecided times count as equal.
fn dominates(a: &Costs, b: &Costs, time: Verdict) -> bool {
    let pairs = || a.exact.iter().zip(&b.exact);
    pairs().all(|(a, b)| a <= b)
        && time != Verdict::Higher
        && (pairs().any(|(a, b)| a < b) || time == Verdict::Lower)
}

/// Whether any of `others` dominates a cell. The error rate of each comparison is such that all of them together call a cell
/// of equal cost dominated in at most 5 % of sweeps (Bonferroni).
fn is_dominated(own: (&Measured, &Costs), others: &[(&Measured, &Costs)]) -> bool {
    let miss = 0.05 / others.len().max(1) as f64;
    others.iter().any(|(one, costs)| {
        // That the other is slower keeps a cell on the front: that test is at 5 %.
        let slower = compare(one, own.0, 0.05) == Verdict::Higher;
        let time = if slower { Verdict::Higher } else { compare(one, own.0, miss) };
        dominates(costs, own.1, time)
    })
}

/// A point closer to the line than this is on it.
const ON_LINE: f64 = 1e-9;

/// The index of the knee of a curve that falls in `y` as `x` rises: the point farthest below the straight line from its
/// first to its last point, both axes logarithmic and scaled to 1 (Satopaa et al. 2011, without smoothing); none below
/// three points, or where no point lies below that line.
fn knee(points: &[(f64, f64)]) -> Option<usize> {
    let (first, last) = (points.first()?, points.last()?);
    let scaled = |value: f64, from: f64, to: f64| (value / from).ln() / (to / from).ln();
    // In the square of the two ends the line is y = 1 - x.
    let below =
        |point: &(f64, f64)| 1.0 - scaled(point.1, last.1, first.1) - scaled(point.0, first.0, last.0);
    let gains: Vec<f64> = points.iter().map(below).collect();
    let best = (1..points.len().saturating_sub(1)).max_by(|a, b| gains[*a].total_cmp(&gains[*b]))?;
    (gains.iter().all(|gain| gain.is_finite()) && gains[best] > ON_LINE).then_some(best)
}

/// One row a mechanism, length and l with its four costs, whether it is on the front, and the knees.
pub(super) fn table(sweep: &Sweep) -> Option<Table> {
    let columns = [
        ("n", "tokens", "sequence length", WHOLE),
        ("mechanism", "", "the mechanism, exact attention by its form", TEXT),
        ("l", "", "projected length", WHOLE),
        ("error", "", "output_rel_fro, mean over heads", F3),
        ("mflop", "MFLOP", "FLOPs of the products", S3),
        ("time", "ms", "median over rounds", S3),
        ("memory", "KiB", "beyond inputs and outputs", S3),
        ("front", "", "yes: no cell of this n is better in one of the four and worse in none", TEXT),
        ("knee", "", "knee: the l of this mechanism after which more time buys less error", TEXT),
    ];
    let mut table = Table::new("Pareto front of error, FLOPs, time and memory", described(&columns));
    let mut known: Vec<(usize, Costs)> = Vec::new();
    for (at, one) in sweep.cells.iter().enumerate() {
        let costs = || {
            // Predicted times and those of one run are not compared with measured ones.
            let exact = [one.error?.0, one.facts.cost.flops() as f64, one.extra_bytes()? as f64];
            (!one.times.is_empty()).then(|| Costs { exact, time: stats::median(&one.times) })
        };
        known.extend(costs().map(|costs| (at, costs)));
    }
    for (at, costs) in &known {
        let cell = &sweep.cells[*at].cell;
        let same = |other: usize| sweep.cells[other].cell.n == cell.n;
        let others: Vec<(&Measured, &Costs)> = known
            .iter()
            .filter(|(other, _)| other != at && same(*other))
            .map(|(other, costs)| (&sweep.cells[*other], costs))
            .collect();
        let dominated = is_dominated((&sweep.cells[*at], costs), &others);
        let mut curve: Vec<(usize, usize, Costs)> = known
            .iter()
            .filter(|(other, _)| same(*other) && sweep.cells[*other].cell.name == cell.name)
            .filter_map(|(other, costs)| Some((sweep.cells[*other].cell.l?, *other, *costs)))
            .collect();
        curve.sort_by_key(|(l, ..)| *l);
        let points: Vec<(f64, f64)> = curve.iter().map(|(.., costs)| (costs.time, costs.exact[0])).collect();
        let is_knee = knee(&points).is_some_and(|place| curve[place].1 == *at);
        table.push(vec![
            cell.n.into(),
            cell.title().into(),
            cell.l.into(),
            costs.exact[0].into(),
            (costs.exact[1] / 1e6).into(),
            (costs.time * 1e3).into(),
            (costs.exact[2] / 1024.0).into(),
            Some("yes").filter(|_| !dominated).into(),
            Some("knee").filter(|_| is_knee && cell.form == Form::Fused).into(),
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
    fn only_what_is_nowhere_worse_dominates() {
        let costs = |exact| Costs { exact, time: 1.0 };
        let a = costs([0.1, 5.0, 8.0]);
        assert!(dominates(&a, &a, Verdict::Lower));
        assert!(dominates(&a, &costs([0.2, 5.0, 8.0]), Verdict::Undecided), "undecided times count as equal");
        assert!(!dominates(&a, &costs([0.2, 5.0, 8.0]), Verdict::Higher));
        assert!(!dominates(&a, &a, Verdict::Undecided));
        assert!(!dominates(&a, &costs([0.2, 4.0, 9.0]), Verdict::Lower));
    }

    #[test]
    fn of_equal_costs_few_are_dominated() {
        let mut rng = stream(31, "front");
        let costs = Costs { exact: [0.1, 1.0, 1.0], time: 1e-3 };
        for (cells, rounds, noise) in [(2, 6, 0.2), (6, 15, 0.1), (12, 15, 0.3)] {
            let dominated = (0..300)
                .filter(|_| {
                    let all: Vec<Measured> = (0..cells)
                        .map(|_| {
                            let times = planted::times(1e-3, rounds, noise, &mut rng);
                            planted::cell("linear", Form::Fused, 64, times)
                        })
                        .collect();
                    let others: Vec<_> = all[1..].iter().map(|one| (one, &costs)).collect();
                    is_dominated((&all[0], &costs), &others)
                })
                .count();
            // 5 %, and three standard deviations.
            assert!(dominated <= 26, "{dominated} of 300 with {cells} cells");
        }
    }

    #[test]
    fn the_knee_is_where_the_curve_turns() {
        // Steep to (4, 0.1), flat after it.
        let curve = [(1.0, 0.8), (2.0, 0.3), (4.0, 0.1), (8.0, 0.09), (16.0, 0.08)];
        assert_eq!(knee(&curve), Some(2));
        // A power law has no knee, nor has a curve that bends the other way.
        let straight: Vec<(f64, f64)> = [1.0_f64, 2.0, 4.0, 8.0].map(|x| (x, 1.0 / x)).into();
        assert_eq!(knee(&straight), None);
        assert_eq!(knee(&[(1.0, 0.8), (2.0, 0.79), (4.0, 0.1)]), None);
        assert_eq!(knee(&curve[..2]), None);
    }
}
