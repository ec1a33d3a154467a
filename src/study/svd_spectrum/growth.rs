//! How the rank grows with the length: a power of n, or only the logarithm that Linformer's theorem asks for.

use super::columns::Figure;
use super::measured::{Heads, Measured, windows_of};
use crate::report::Digits::{Fixed, Text};
use crate::report::{Cell, Table};
use crate::stats;
use crate::study::columns::described;
use crate::study::input::{HeadPlace, HeadWindow, Source};

/// The figures whose growth is fitted.
const FITTED: [&str; 2] = ["rank90_energy", "effective_rank"];

/// Both laws fitted to one head's figure: by least squares of its logarithm, one loss for both.
struct Fit {
    /// Of the power law over all lengths; NaN ends below three points.
    exponent: stats::Interval,
    /// b of `a + b ln(n)` over all lengths.
    log_slope: Option<f64>,
    /// What each law, fitted to the shorter lengths, makes of the longest.
    held_out: Option<HeldOut>,
}

/// How the laws predict the longest length, which they were not fitted to.
struct HeldOut {
    /// Prediction over the mean there, less 1.
    power_error: f64,
    log_error: f64,
    /// Which is nearer; none if the windows leave that open, or if there is one window and so no telling.
    closer: Option<&'static str>,
}

/// One row a head and figure: the exponent of the power law with its interval, beside the logarithm.
pub(super) fn table(heads: &Heads<'_>, source: &dyn Source, figures: &[Figure]) -> Table {
    let mut keys = HeadWindow::columns_for_people(source, false);
    keys.retain(|column| column.name != "n");
    let mut all = keys.clone();
    all.extend(described(&[
        ("figure", "", "whose growth with n is fitted", Text),
        ("exponent", "", "slope of ln(figure) on ln(n)", Fixed(2)),
        ("exponent_low", "", "lower 95 % end of it (Student)", Fixed(2)),
        ("exponent_high", "", "upper 95 % end of it", Fixed(2)),
        ("log_slope", "", "b of a + b ln(n)", Fixed(1)),
        (
            "power_error",
            "",
            "relative error at the longest n of c n^exponent, fitted to the shorter ones",
            Fixed(3),
        ),
        (
            "log_error",
            "",
            "relative error at the longest n of a + b ln(n), fitted to the shorter ones",
            Fixed(3),
        ),
        (
            "closer_law",
            "",
            "the law whose prediction is closer: power, log, or undecided (95 % interval over windows)",
            Text,
        ),
    ]));
    let mut table = Table::new("Growth with n", all);
    let mut seen: Vec<&HeadPlace> = Vec::new();
    for head in &heads.0 {
        let Some(first) = head.first().filter(|first| !seen.contains(&&first.at.place)) else { continue };
        seen.push(&first.at.place);
        for name in FITTED {
            let Some(index) = figures.iter().position(|figure| figure.metric.name == name) else { continue };
            let is_same = |other: &&Measured| other.at.place == first.at.place;
            let same = heads.0.iter().filter(|other| other.first().is_some_and(is_same));
            let points: Vec<Points> = same
                .filter_map(|head| {
                    let values = windows_of(head, |one| one.values.plain[index])?;
                    Some(Points { n: head.first()?.at.n as f64, values })
                })
                .collect();
            let mut row = first.at.cells(&keys);
            row.push(name.into());
            let step = if figures[index].metric.integer { 1.0 } else { 0.0 };
            row.extend(cells(fit(&points, step)));
            table.push(row);
        }
    }
    table
}

/// The values of a figure at one length, one a window.
#[derive(Clone, Debug)]
struct Points {
    n: f64,
    values: Vec<f64>,
}

/// Every value with its ln(n).
fn flat(points: &[Points]) -> (Vec<f64>, Vec<f64>) {
    points.iter().flat_map(|at| at.values.iter().map(|value| (at.n.ln(), *value))).unzip()
}

fn power(points: &[Points]) -> Option<stats::Line> {
    let (x, y) = flat(points);
    stats::line(&x, &y.iter().map(|y| y.ln()).collect::<Vec<_>>())
}

/// `a` and `b` of the logarithm `a + b x` whose own logarithm is nearest to those of the values: Gauss and Newton's steps,
/// halved while they do not help; none if no such line is positive at every length.
fn logarithm(points: &[Points]) -> Option<(f64, f64)> {
    let (x, y) = flat(points);
    let loss = |(a, b): (f64, f64)| -> f64 {
        let squares = x.iter().zip(&y).map(|(x, y)| {
            let at = a + b * x;
            if at > 0.0 { (y.ln() - at.ln()).powi(2) } else { f64::INFINITY }
        });
        squares.sum()
    };
    // The power law's values at the ends are a positive start.
    let line = power(points)?;
    let (first, last) = (x.iter().copied().reduce(f64::min)?, x.iter().copied().reduce(f64::max)?);
    let slope = (line.at(last).exp() - line.at(first).exp()) / (last - first);
    let mut best = (line.at(first).exp() - slope * first, slope);
    for _ in 0..100 {
        let (mut aa, mut ab, mut bb, mut ra, mut rb) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (x, y) in x.iter().zip(&y) {
            let at = best.0 + best.1 * x;
            let rest = y.ln() - at.ln();
            let (da, db) = (1.0 / at, x / at);
            (aa, ab, bb) = (aa + da * da, ab + da * db, bb + db * db);
            (ra, rb) = (ra + da * rest, rb + db * rest);
        }
        let determinant = aa * bb - ab * ab;
        let step = ((bb * ra - ab * rb) / determinant, (aa * rb - ab * ra) / determinant);
        let now = loss(best);
        let halved = (0..40).map(|halving| 0.5_f64.powi(halving)).find_map(|share| {
            let next = (best.0 + share * step.0, best.1 + share * step.1);
            (loss(next) < now).then_some(next)
        });
        let Some(next) = halved else { break };
        best = next;
    }
    loss(best).is_finite().then_some(best)
}

/// The logarithms of both predictions of the longest length from the others, and the mean logarithm there.
fn predictions(points: &[Points]) -> Option<(f64, f64, f64)> {
    let (longest, shorter) = points.split_last()?;
    let x = longest.n.ln();
    let (a, b) = logarithm(shorter)?;
    let found = stats::mean(&longest.values.iter().map(|value| value.ln()).collect::<Vec<_>>());
    let by_logarithm = a + b * x;
    (by_logarithm > 0.0).then(|| Some((power(shorter)?.at(x), by_logarithm.ln(), found)))?
}

/// How much closer the power law's prediction is than the logarithm's: the distance of what was found from the middle
/// between both, counted towards the power law.
fn lead((power, logarithm, found): (f64, f64, f64)) -> f64 {
    (found - f64::midpoint(power, logarithm)) * (power - logarithm).signum()
}

/// The jackknife standard error of [`lead`] over the windows of each length, and the fewest windows of a length; none
/// where a length has one window.
fn standard_error(points: &[Points], sign: f64) -> Option<(f64, usize)> {
    let middle = |points: &[Points]| {
        let (power, logarithm, found) = predictions(points)?;
        Some((found - f64::midpoint(power, logarithm)) * sign)
    };
    let fewest = points.iter().map(|at| at.values.len()).min().filter(|fewest| *fewest > 1)?;
    let mut variance = 0.0;
    for (place, at) in points.iter().enumerate() {
        let count = at.values.len();
        let without = |window: usize| {
            let mut rest = points.to_vec();
            rest[place].values.remove(window);
            middle(&rest)
        };
        let leads: Vec<f64> = (0..count).map(without).collect::<Option<_>>()?;
        let mean = stats::mean(&leads);
        let squares: f64 = leads.iter().map(|lead| (lead - mean).powi(2)).sum();
        variance += squares * (count as f64 - 1.0) / count as f64;
    }
    Some((variance.sqrt(), fewest))
}

/// `step` is what the figure moves in: 1 of whole numbers, whose equal values have no noise that could be seen.
fn held_out(points: &[Points], step: f64) -> Option<HeldOut> {
    if points.len() < 3 {
        return None;
    }
    let all = predictions(points)?;
    let (power, logarithm, found) = all;
    let closer = standard_error(points, (power - logarithm).signum()).and_then(|(error, fewest)| {
        let half = (stats::student_quantile(fewest - 1, 0.95)? * error).max(step / 2.0 / found.exp());
        let ahead = lead(all);
        match (ahead > half, ahead < -half) {
            (true, _) => Some("power"),
            (_, true) => Some("log"),
            _ => None,
        }
    });
    Some(HeldOut { power_error: (power - found).exp_m1(), log_error: (logarithm - found).exp_m1(), closer })
}

/// Points in ascending order of length; none where a value is not positive, or there is one length.
fn fit(points: &[Points], step: f64) -> Option<Fit> {
    if points.iter().flat_map(|at| &at.values).any(|value| value.is_nan() || *value <= 0.0) {
        return None;
    }
    Some(Fit {
        exponent: power(points)?.slope,
        log_slope: logarithm(points).map(|(_, b)| b),
        held_out: held_out(points, step),
    })
}

fn cells(fit: Option<Fit>) -> Vec<Cell> {
    let Some(fit) = fit else { return vec![Cell::Missing; 7] };
    let finite = |value: f64| Some(value).filter(|value| value.is_finite());
    let held_out = fit.held_out.as_ref();
    vec![
        fit.exponent.mid.into(),
        finite(fit.exponent.low).into(),
        finite(fit.exponent.high).into(),
        fit.log_slope.into(),
        held_out.map(|held| held.power_error).into(),
        held_out.map(|held| held.log_error).into(),
        held_out.map(|held| held.closer.unwrap_or("undecided")).into(),
    ]
}

/// What the table of growth says, a note a figure.
pub(super) fn notes(table: &Table, lengths: usize) -> Vec<String> {
    if lengths == 2 {
        return vec!["growth: two lengths decide between no laws; three or more --seq-len do".into()];
    }
    FITTED.iter().filter_map(|name| over_heads(table, name)).collect()
}

/// The mean exponent of a figure over the heads, and which law predicts them.
fn over_heads(table: &Table, name: &str) -> Option<String> {
    let place = |column: &str| table.index(column).ok();
    let (figure, exponent, closer) = (place("figure")?, place("exponent")?, place("closer_law")?);
    let rows: Vec<&Vec<Cell>> = table.rows.iter().filter(|row| row[figure] == Cell::from(name)).collect();
    let exponents: Vec<f64> = rows.iter().filter_map(|row| row[exponent].number()).collect();
    let mean = stats::mean(&exponents);
    let of = |law: &str| rows.iter().filter(|row| row[closer] == Cell::from(law)).count();
    let (power, log) = (of("power"), of("log"));
    let over = match stats::student_mean(&exponents) {
        Some(interval) => format!(
            "n^{mean:.2} in the mean over {} heads (95 % interval {:.2} to {:.2})",
            exponents.len(),
            interval.low,
            interval.high
        ),
        None => format!("n^{:.2}", exponents.first()?),
    };
    Some(format!(
        "{name} grows as {over}; the power law predicts the longest length better in {power}, the logarithm in {log}, \
         undecided in {} ({:.1} would be decided by chance)",
        rows.len() - power - log,
        0.05 * rows.len() as f64,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{normal, stream};

    const LENGTHS: [f64; 4] = [64.0, 128.0, 256.0, 512.0];

    /// Values of a law with relative noise, `windows` of each length.
    fn planted(label: &str, windows: usize, noise: f64, law: impl Fn(f64) -> f64) -> Vec<Points> {
        let mut rng = stream(8, label);
        let at = |n: f64| {
            let noise = normal(&mut rng, 1, windows).mapv(|x| f64::from(x) * noise);
            Points { n, values: noise.iter().map(|noise| law(n) * noise.exp()).collect() }
        };
        LENGTHS.into_iter().map(at).collect()
    }

    fn closer(points: &[Points]) -> Option<&'static str> {
        fit(points, 0.0).unwrap().held_out.unwrap().closer
    }

    #[test]
    fn each_law_predicts_its_own_points() {
        let power = planted("power", 8, 0.01, |n| 2.0 * n.powf(0.8));
        let log = planted("log", 8, 0.01, |n| 3.0 + 5.0 * n.ln());
        assert_eq!((closer(&power), closer(&log)), (Some("power"), Some("log")));
        let exact = fit(&planted("exact", 2, 0.0, |n| 3.0 + 5.0 * n.ln()), 0.0).unwrap();
        assert!(
            (exact.log_slope.unwrap() - 5.0).abs() < 1e-6 && exact.held_out.unwrap().log_error.abs() < 1e-8
        );
        let exact = fit(&planted("exact", 2, 0.0, |n| 2.0 * n.powf(0.8)), 0.0).unwrap();
        assert!(
            (exact.exponent.mid - 0.8).abs() < 1e-12 && exact.held_out.unwrap().power_error.abs() < 1e-10
        );
    }

    #[test]
    fn two_lengths_and_one_window_decide_nothing() {
        let points = planted("power", 8, 0.01, |n| 2.0 * n.powf(0.8));
        let two = cells(fit(&points[..2], 0.0));
        assert!(two[4..].iter().all(|cell| *cell == Cell::Missing), "{two:?}");
        let one = cells(fit(&planted("power", 1, 0.01, |n| 2.0 * n.powf(0.8)), 0.0));
        assert_eq!(one[6], "undecided".into());
        let two_of_one = cells(fit(&planted("power", 1, 0.01, |n| n)[..2], 0.0));
        assert!(two_of_one[1..3].iter().all(|cell| *cell == Cell::Missing), "no NaN: {two_of_one:?}");
        assert!(cells(fit(&[], 0.0)).iter().all(|cell| *cell == Cell::Missing));
        assert_eq!(notes(&Table::new("", Vec::new()), 2).len(), 1);
    }

    #[test]
    fn whole_numbers_that_repeat_are_not_without_noise() {
        let ranks = |last: f64| -> Vec<Points> {
            [(64.0, 10.0), (128.0, 12.0), (256.0, last)]
                .map(|(n, rank)| Points { n, values: vec![rank; 4] })
                .into()
        };
        let of = |last| fit(&ranks(last), 1.0).unwrap().held_out.unwrap().closer;
        assert_eq!([14.0, 20.0, 10.0].map(of), [None, Some("power"), Some("log")]);
    }

    /// What grows by neither law more than by the other (in the middle between both predictions, or not at all) is
    /// called for one of them in at most one of twenty heads.
    #[test]
    fn a_tie_between_the_laws_is_decided_in_one_of_twenty() {
        let clean = planted("middle", 2, 0.0, |n| 2.0 * n.powf(0.6));
        let (power, logarithm, _) = predictions(&clean).unwrap();
        let middle = f64::midpoint(power, logarithm).exp();
        for windows in [2, 4, 8] {
            let mut decided = [0.0; 2];
            let heads = 400;
            for head in 0..heads {
                let tie = |n: f64| if n == 512.0 { middle } else { 2.0 * n.powf(0.6) };
                let flat = |_| 50.0;
                let label = format!("{head} of {windows}");
                decided[0] += f64::from(u8::from(closer(&planted(&label, windows, 0.05, tie)).is_some()));
                decided[1] += f64::from(u8::from(closer(&planted(&label, windows, 0.05, flat)).is_some()));
            }
            let expected = 0.05 * f64::from(heads);
            let most = expected + 3.0 * (expected * 0.95).sqrt();
            assert!(
                decided.iter().all(|decided| *decided <= most),
                "{decided:?} of {heads} at {windows} windows"
            );
        }
    }
}
