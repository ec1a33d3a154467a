//! How costs grow with the length, and from which length on a mechanism is cheaper than exact attention.

use std::collections::BTreeMap;

use super::cell::{Cell, Form};
use super::measure::{Measured, Sweep};
use super::row;
use super::settings::Settings;
use super::subject::{self, Facts};
use crate::attention;
use crate::name::Spec;
use crate::report::{Column, Digits, Table};
use crate::rng::{below, stream};
use crate::stats::{self, Interval, Line};

/// Resamples of rounds behind the interval of a crossover.
const RESAMPLES: usize = 1_000;
/// The longest length that a crossover is looked for at.
const LONGEST: f64 = 1e9;

/// The cells of one line that were timed in rounds, by length.
fn line_of<'a>(sweep: &'a Sweep, cell: &'a Cell) -> impl Iterator<Item = &'a Measured> + 'a {
    sweep.cells.iter().filter(move |one| one.cell.is_beside(cell))
}

/// The first cell of each line.
pub(super) fn lines(sweep: &Sweep) -> Vec<&Measured> {
    let mut lines: Vec<&Measured> = Vec::new();
    for one in &sweep.cells {
        if !lines.iter().any(|line| line.cell.is_beside(&one.cell)) {
            lines.push(one);
        }
    }
    lines
}

/// Log n and log seconds of what was timed of a line.
fn timed(sweep: &Sweep, cell: &Cell) -> Vec<(f64, f64)> {
    let timed = line_of(sweep, cell).filter(|one| !one.times.is_empty());
    timed
        .map(|one| {
            let seconds: Vec<f64> = one.times.values().copied().collect();
            ((one.cell.n as f64).ln(), stats::median(&seconds).ln())
        })
        .collect()
}

fn through(points: &[(f64, f64)]) -> Option<Line> {
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    stats::line(&x, &y)
}

/// Lengths below which nothing is predicted, and how far apart the ends of a prediction's interval may be.
const FEWEST: usize = 3;
const WIDEST: f64 = 10.0;
/// Lengths that a prediction stands on: the longest, since short ones are about threads and not about products.
const NEAREST: usize = 4;

/// Seconds that the longest timed lengths of a line predict at the length of a cell, with the interval of one new
/// measurement.
pub(super) fn predicted(sweep: &Sweep, cell: &Cell) -> Option<Interval> {
    let points = timed(sweep, cell);
    if points.len() < FEWEST {
        return None;
    }
    let line = through(&points[points.len().saturating_sub(NEAREST)..])?;
    let found = line.predict((cell.n as f64).ln());
    if found.high - found.low > WIDEST.ln() {
        return None;
    }
    Some(Interval { mid: found.mid.exp(), low: found.low.exp(), high: found.high.exp() })
}

/// The exponents of each line: FLOPs, time and memory as powers of n.
pub(super) fn exponents(sweep: &Sweep) -> Option<Table> {
    let columns = [
        ("mechanism", "the mechanism, exact attention by its form", Digits::Text),
        ("l", "projected length", Digits::Integer),
        ("flops", "exponent of n in the FLOPs", Digits::Fixed(2)),
        ("f_low", "lower end of its 95 % interval", Digits::Fixed(2)),
        ("f_high", "upper end of it", Digits::Fixed(2)),
        ("time", "exponent of n in the time", Digits::Fixed(2)),
        (
            "low",
            "lower end of its 95 % interval (Student's, of the slope; none below three lengths)",
            Digits::Fixed(2),
        ),
        ("high", "upper end of it", Digits::Fixed(2)),
        ("mem", "exponent of n in the memory beyond inputs and outputs", Digits::Fixed(2)),
        ("m_low", "lower end of its 95 % interval", Digits::Fixed(2)),
        ("m_high", "upper end of it", Digits::Fixed(2)),
    ];
    let columns = columns.map(|(name, about, digits)| Column::new(name, "", about, digits));
    let mut table = Table::new("Costs as powers of the length: cost = c n^x", columns.into());
    for first in lines(sweep) {
        let points = |value: &dyn Fn(&Measured) -> Option<f64>| -> Vec<(f64, f64)> {
            let all = line_of(sweep, &first.cell);
            all.filter_map(|one| Some(((one.cell.n as f64).ln(), value(one)?.ln()))).collect()
        };
        let flops = through(&points(&|one| Some(one.facts.cost.flops() as f64)));
        let memory = through(&points(&|one| row::extra(one).map(|bytes| bytes as f64)));
        let time = through(&timed(sweep, &first.cell));
        if flops.is_none() {
            continue;
        }
        let end = |line: Option<Line>, end: fn(Interval) -> f64| {
            line.map(|line| end(line.slope)).filter(|x| !x.is_nan())
        };
        table.push(vec![
            first.cell.title().into(),
            first.cell.l.into(),
            flops.map(|line| line.slope.mid).into(),
            end(flops, |slope| slope.low).into(),
            end(flops, |slope| slope.high).into(),
            time.map(|line| line.slope.mid).into(),
            end(time, |slope| slope.low).into(),
            end(time, |slope| slope.high).into(),
            memory.map(|line| line.slope.mid).into(),
            end(memory, |slope| slope.low).into(),
            end(memory, |slope| slope.high).into(),
        ]);
    }
    (!table.rows.is_empty()).then_some(table)
}

/// Where a mechanism becomes cheaper than exact attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Crossing {
    /// Within the measured lengths.
    At(f64),
    /// Beyond them, by the line through the nearest three.
    Extrapolated(f64),
    /// At the least measured length already, and by the line at every shorter one.
    Always,
    /// Nowhere up to [`LONGEST`].
    Never,
}

impl Crossing {
    /// Where the logarithm of a ratio (own cost over exact cost), given at ascending ln n, comes to stay below 0.
    pub(super) fn of(points: &[(f64, f64)]) -> Self {
        let Some((first, last)) = points.first().zip(points.last()) else { return Self::Never };
        let near = points.len().min(NEAREST - 1);
        if last.1 < 0.0 {
            if let Some(above) = points.iter().rposition(|(_, ratio)| *ratio >= 0.0) {
                let (from, to) = (points[above], points[above + 1]);
                let share = from.1 / (from.1 - to.1);
                return Self::At((from.0 + share * (to.0 - from.0)).exp());
            }
            let line = through(&points[..near]).filter(|line| line.slope.mid < 0.0);
            let zero = line.map(|line| -line.intercept / line.slope.mid).filter(|zero| *zero < first.0);
            return zero
                .filter(|zero| *zero > 0.0)
                .map_or(Self::Always, |zero| Self::Extrapolated(zero.exp()));
        }
        let line = through(&points[points.len() - near..]).filter(|line| line.slope.mid < 0.0);
        let zero = line.map(|line| -line.intercept / line.slope.mid).filter(|zero| *zero >= last.0);
        zero.filter(|zero| *zero < LONGEST.ln()).map_or(Self::Never, |zero| Self::Extrapolated(zero.exp()))
    }

    fn number(self) -> f64 {
        match self {
            Self::At(n) | Self::Extrapolated(n) => n,
            Self::Always => 1.0,
            Self::Never => f64::INFINITY,
        }
    }
}

/// The crossover in time against exact attention of one form, with the ends of its interval over resampled rounds.
fn in_time(sweep: &Sweep, cell: &Cell, form: Form, seed: u64) -> Option<(Crossing, (f64, f64))> {
    let mut lengths: Vec<(f64, Vec<f64>)> = Vec::new();
    for own in line_of(sweep, cell).filter(|one| !one.times.is_empty()) {
        let exact = sweep.cells.iter().find(|one| one.cell.is_exact(form, own.cell.n))?;
        let ratio = |(round, own): (&usize, &f64)| Some((own / exact.times.get(round)?).ln());
        let ratios: Vec<f64> = own.times.iter().filter_map(ratio).collect();
        if !ratios.is_empty() {
            lengths.push(((own.cell.n as f64).ln(), ratios));
        }
    }
    if lengths.len() < 2 {
        return None;
    }
    let medians = |choose: &dyn Fn(&[f64]) -> Vec<f64>| -> Vec<(f64, f64)> {
        lengths.iter().map(|(n, ratios)| (*n, stats::median(&choose(ratios)))).collect()
    };
    let found = Crossing::of(&medians(&|ratios| ratios.to_vec()));
    let rounds = lengths.iter().map(|(_, ratios)| ratios.len()).max().unwrap_or(1);
    let mut rng = stream(seed, "bootstrap crossover");
    let mut drawn: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            // The same rounds at every length: what slows a round slows all its cells.
            let rounds: Vec<usize> = (0..rounds).map(|_| below(&mut rng, rounds)).collect();
            Crossing::of(&medians(&|ratios| {
                rounds.iter().map(|round| ratios[round % ratios.len()]).collect()
            }))
            .number()
        })
        .collect();
    drawn.sort_unstable_by(f64::total_cmp);
    // Not interpolated: between a length and "never" there is nothing in between.
    let end = |share: f64| drawn[(share * (RESAMPLES - 1) as f64).round() as usize];
    Some((found, (end(0.025), end(0.975))))
}

/// The least n from which on a closed form of a cell stays below that of exact attention.
fn in_closed_form(
    cell: &Cell,
    form: Form,
    settings: &Settings,
    value: fn(&Facts) -> Option<f64>,
) -> Option<usize> {
    const MOST: usize = 1 << 22;
    let softmax: Spec = "softmax".parse().ok()?;
    let softmax =
        Cell { kind: attention::find(&softmax).ok()?, spec: softmax, form, l: None, ..cell.clone() };
    let at = |cell: &Cell, n: usize| value(&subject::facts(&Cell { n, ..cell.clone() }, settings).ok()?);
    let cheaper = |n: usize| Some(at(cell, n)? < at(&softmax, n)?);
    let mut high = cell.l.unwrap_or(1).max(1);
    while !cheaper(high)? {
        high *= 2;
        if high > MOST {
            return None;
        }
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if middle > 0 && cheaper(middle)? { high = middle } else { low = middle }
    }
    Some(high)
}

/// From which length on each mechanism is cheaper than exact attention, in FLOPs, time and memory.
pub(super) fn crossovers(sweep: &Sweep, settings: &Settings, seed: u64) -> Option<Table> {
    let columns = [
        ("mechanism", "the mechanism", Digits::Text),
        ("l", "projected length", Digits::Integer),
        ("against", "exact attention in which form", Digits::Text),
        ("n_flops", "fewer FLOPs from this length on (closed forms; none: at no length)", Digits::Integer),
        ("n_time", "quicker from this length on", Digits::Significant(3)),
        (
            "low",
            "lower end of its 95 % bootstrap interval over rounds, where it is measured",
            Digits::Significant(3),
        ),
        ("high", "upper end of it; none where some resamples never cross", Digits::Significant(3)),
        ("how", "measured: between two lengths; extrapolated: beyond them; always or never", Digits::Text),
        (
            "n_memory",
            "less memory beyond inputs and outputs from this length on (as n_flops)",
            Digits::Integer,
        ),
    ];
    let columns = columns.map(|(name, about, digits)| Column::new(name, "", about, digits));
    let mut table = Table::new("From which length n on it pays", columns.into());
    for first in lines(sweep).into_iter().filter(|one| one.cell.kind.name != "softmax") {
        let cell = &first.cell;
        let there = |form: &Form| sweep.cells.iter().any(|one| one.cell.is_exact(*form, one.cell.n));
        for form in [Form::Fused, Form::Materialised].into_iter().filter(there) {
            let time = in_time(sweep, cell, form, seed);
            let (n_time, how) = match time {
                Some((Crossing::At(n), _)) => (Some(n), "measured"),
                Some((Crossing::Extrapolated(n), _)) => (Some(n), "extrapolated"),
                Some((Crossing::Always, _)) => (None, "always"),
                Some((Crossing::Never, _)) => (None, "never"),
                None => (None, "not timed"),
            };
            // Rounds say nothing of how a line bends beyond its ends.
            let ends = time.filter(|(found, _)| matches!(found, Crossing::At(_))).map(|(_, ends)| ends);
            table.push(vec![
                cell.name.as_str().into(),
                cell.l.into(),
                form.name().into(),
                in_closed_form(cell, form, settings, |facts| Some(facts.cost.flops() as f64)).into(),
                n_time.into(),
                ends.map(|ends| ends.0).into(),
                ends.map(|ends| ends.1).filter(|high| high.is_finite()).into(),
                how.into(),
                in_closed_form(cell, form, settings, |facts| facts.extra_bytes.map(|bytes| bytes as f64))
                    .into(),
            ]);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// How far two copies of the same cell are apart, by length: the ratio of their times with its interval.
pub(super) fn noise(sweep: &Sweep) -> Vec<(usize, Interval)> {
    let mut all: BTreeMap<usize, Interval> = BTreeMap::new();
    for (at, twin) in &sweep.twins {
        let one = &sweep.cells[*at];
        let ratios: Vec<f64> =
            twin.iter().filter_map(|(round, own)| Some(own / one.times.get(round)?)).collect();
        if let Some(interval) = stats::median_interval(&ratios) {
            all.insert(one.cell.n, interval);
        }
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(lengths: &[f64], ratio: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        lengths.iter().map(|n| (n.ln(), ratio(*n).ln())).collect()
    }

    #[test]
    fn a_crossing_is_found_where_it_is() {
        let at = |found: Crossing| found.number();
        let within = Crossing::of(&points(&[256.0, 512.0, 1024.0], |n| 600.0 / n));
        assert!(matches!(within, Crossing::At(_)) && (at(within) - 600.0).abs() < 1e-6, "{within:?}");
        let above = Crossing::of(&points(&[256.0, 512.0, 1024.0], |n| 5000.0 / n));
        assert!(matches!(above, Crossing::Extrapolated(_)) && (at(above) - 5000.0).abs() < 1e-6, "{above:?}");
        let below = Crossing::of(&points(&[256.0, 512.0, 1024.0], |n| 100.0 / n));
        assert!(matches!(below, Crossing::Extrapolated(_)) && (at(below) - 100.0).abs() < 1e-6, "{below:?}");
        assert_eq!(Crossing::of(&points(&[256.0, 512.0], |n| n)), Crossing::Never);
        assert_eq!(Crossing::of(&points(&[256.0, 512.0], |_| 0.5)), Crossing::Always);
        assert_eq!(Crossing::of(&[]), Crossing::Never);
    }

    /// Exact attention at these lengths, in as many rounds as there are factors on `seconds(n)`.
    fn sweep(lengths: &[usize], seconds: impl Fn(usize) -> f64) -> Sweep {
        let spec: Spec = "softmax".parse().unwrap();
        let kind = attention::find(&spec).unwrap();
        let cells = lengths.iter().map(|n| {
            let cell =
                Cell { spec: spec.clone(), name: "softmax".into(), kind, form: Form::Fused, n: *n, l: None };
            let facts = Facts {
                cost: crate::cost::Cost::product(*n, 128, *n),
                bytes: 1,
                extra_bytes: None,
                shared_bytes: 0,
                own_bytes: 0,
            };
            let times = [0.99, 1.0, 1.01].iter().map(|factor| factor * seconds(*n)).enumerate().collect();
            Measured { cell, facts, state: super::super::measure::State::Measured, probe: None, times }
        });
        Sweep { cells: cells.collect(), ..Sweep::default() }
    }

    #[test]
    fn a_prediction_stands_on_three_lengths_and_on_a_line_that_is_one() {
        let long = |sweep: &Sweep| predicted(sweep, &Cell { n: 4096, ..sweep.cells[0].cell.clone() });
        let square = |n: usize| 1e-9 * (n * n) as f64;
        let found = long(&sweep(&[256, 512, 1024], square)).unwrap();
        assert!((found.mid / square(4096) - 1.0).abs() < 1e-9, "{found:?}");
        assert!(found.low <= found.mid && found.mid <= found.high);
        assert_eq!(long(&sweep(&[512, 1024], square)), None);
        // A line that bends this much says nothing of lengths far away.
        assert_eq!(long(&sweep(&[256, 512, 1024], |n| square(n) * if n == 512 { 2.0 } else { 1.0 })), None);
    }

    #[test]
    fn a_ratio_that_rises_again_has_not_stayed_below() {
        let ratios = [(5.0, 0.2), (6.0, -0.1), (7.0, 0.1), (8.0, -0.3)];
        let Crossing::At(n) = Crossing::of(&ratios) else { panic!("crossed") };
        assert!((7.0..8.0).contains(&n.ln()));
    }
}
