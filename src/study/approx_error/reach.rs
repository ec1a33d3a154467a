//! l*(eps): the smallest projected length at which a mechanism's output error stays below eps.

use super::group::Group;
use super::measure::Job;
use super::rows::{mechanism, place};
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Cell, Table};
use crate::rng::stream;
use crate::stats;
use crate::study::columns::described;

/// Where a curve of errors over l comes to stay below a target.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reach {
    /// At the smallest l already.
    First(f64),
    /// Between two lengths, interpolated along a straight line of the error over ln l (errors may be 0).
    At(f64),
    Never,
}

impl Reach {
    fn of(curve: &[(f64, f64)], eps: f64) -> Self {
        let Some(above) = curve.iter().rposition(|(_, error)| error.is_nan() || *error > eps) else {
            return curve.first().map_or(Self::Never, |(l, _)| Self::First(*l));
        };
        let (Some((l, error)), Some((next, less))) = (curve.get(above), curve.get(above + 1)) else {
            return Self::Never;
        };
        // No line leads down from an error without bound (an output of zeros).
        let share = if error.is_finite() { (error - eps) / (error - less) } else { 1.0 };
        Self::At((l.ln() + share * (next / l).ln()).exp())
    }

    fn number(self) -> f64 {
        match self {
            Self::First(l) | Self::At(l) => l,
            Self::Never => f64::INFINITY,
        }
    }
}

/// One row a mechanism and target.
pub(super) fn table(targets: &[f64], job: &Job<'_>, groups: &[Group]) -> Table {
    let mut columns = vec![mechanism()];
    columns.extend(described(&[
        ("fit", "", "train or held-out, of a mechanism with fitted parts", Text),
        ("n", "", "rows of the attention matrix", Integer),
        ("target_error", "", "output error to stay below", Significant(3)),
        ("l_star", "rows", "smallest l at which the mean output error stays below it", Fixed(1)),
        (
            "l_star_low",
            "rows",
            "lower end of its 95 % bootstrap interval over heads (of 8 or more)",
            Fixed(1),
        ),
        ("l_star_high", "rows", "upper end; none if some resamples never reach it", Fixed(1)),
        ("reached", "", "yes, at the smallest l, or not reached", Text),
    ]));
    let mut table = Table::new("Smallest l at which the output error stays below a target", columns);
    let metric = place("output_rel_fro");
    let mut seen: Vec<(usize, &str, super::fits::Role)> = Vec::new();
    for group in groups.iter().filter(|group| group.l.is_some()) {
        let key = (group.n, group.name(job.candidates), group.role);
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let mut curve: Vec<(f64, Vec<f64>)> = groups
            .iter()
            .filter(|other| (other.n, other.name(job.candidates), other.role) == key)
            .filter_map(|other| Some((other.l? as f64, other.values(metric)?)))
            .collect();
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
        for eps in targets {
            let mean = |heads: &dyn Fn(&[f64]) -> f64| -> Vec<(f64, f64)> {
                curve.iter().map(|(l, values)| (*l, heads(values))).collect()
            };
            let found = Reach::of(&mean(&|values| stats::mean(values)), *eps);
            let count = curve.iter().map(|(_, values)| values.len()).min().unwrap_or(0);
            let mut rng = stream(job.context.seed, "bootstrap reach");
            let ends = stats::bootstrap(count, &mut rng, |drawn| {
                let drawn = |values: &[f64]| drawn.iter().map(|at| values[*at]).sum::<f64>() / count as f64;
                Reach::of(&mean(&drawn), *eps).number()
            });
            let (l, reached) = match found {
                Reach::At(l) => (Some(l), "yes"),
                Reach::First(l) => (Some(l), "at the smallest l"),
                Reach::Never => (None, "not reached"),
            };
            table.push(vec![
                key.1.into(),
                key.2.name().into(),
                key.0.into(),
                (*eps).into(),
                l.into(),
                finite(ends.map(|ends| ends.low)),
                finite(ends.map(|ends| ends.high)),
                reached.into(),
            ]);
        }
    }
    table
}

fn finite(value: Option<f64>) -> Cell {
    value.filter(|value| value.is_finite()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_over_the_logarithm_is_crossed_where_it_says() {
        let curve: Vec<(f64, f64)> = [16.0_f64, 32.0, 64.0, 128.0].map(|l| (l, 1.0 - 0.1 * l.log2())).into();
        let Reach::At(l) = Reach::of(&curve, 0.45) else { panic!("reached") };
        assert!((l.log2() - 5.5).abs() < 1e-9, "{l}");
        assert_eq!(Reach::of(&curve, 0.1), Reach::Never);
        assert_eq!(Reach::of(&curve, 0.6), Reach::First(16.0));
    }

    #[test]
    fn an_infinite_error_is_left_at_the_next_length() {
        for error in [f64::INFINITY, f64::NAN] {
            let Reach::At(l) = Reach::of(&[(1.0, error), (4.0, 0.0)], 0.3) else { panic!("reached") };
            assert!((l - 4.0).abs() < 1e-12, "{l}");
            assert_eq!(Reach::of(&[(1.0, 0.0), (4.0, error)], 0.3), Reach::Never);
        }
    }

    #[test]
    fn a_curve_that_rises_again_has_not_stayed_below() {
        let Reach::At(l) = Reach::of(&[(16.0, 0.05), (32.0, 0.4), (64.0, 0.1)], 0.2) else {
            panic!("reached")
        };
        assert!(l > 32.0 && l < 64.0);
        assert_eq!(Reach::of(&[(16.0, 0.05), (32.0, 0.4)], 0.2), Reach::Never);
        assert_eq!(Reach::of(&[], 0.2), Reach::Never);
    }
}
