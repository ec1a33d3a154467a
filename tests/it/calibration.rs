//! Measured error rates of intervals and verdicts: the tables of `experiments/calibration`.

use std::fmt::Write;

use luna::rng::{Rng, below, normal, stream};
use luna::stats::{Interval, Verdict, bootstrap, from_best, mean, paired, quantile, student_mean, wilson};

/// Samples of each figure: a share of 5 % has a standard deviation of 0.3 %.
const SAMPLES: usize = 5_000;

fn standard(rng: &mut Rng) -> f64 {
    f64::from(normal(rng, 1, 1)[(0, 0)])
}

/// The former interval: plain percentiles.
fn percentiles(values: &[f64], rng: &mut Rng) -> Interval {
    let mut found: Vec<f64> = (0..1000)
        .map(|_| {
            (0..values.len()).map(|_| values[below(rng, values.len())]).sum::<f64>() / values.len() as f64
        })
        .collect();
    found.sort_unstable_by(f64::total_cmp);
    Interval { mid: mean(values), low: quantile(&found, 0.025), high: quantile(&found, 0.975) }
}

fn misses(interval: Option<Interval>, truth: f64) -> Option<bool> {
    interval.map(|ends| ends.low > truth || ends.high < truth)
}

/// Percent of the samples; a dash where there was no interval.
fn shown(found: &[Option<bool>]) -> String {
    let known: Vec<bool> = found.iter().filter_map(|miss| *miss).collect();
    if known.is_empty() {
        return "-".into();
    }
    format!("{:.1}", 100.0 * known.iter().filter(|miss| **miss).count() as f64 / known.len() as f64)
}

type Population = (&'static str, fn(&mut Rng) -> f64, f64);

fn means() -> String {
    let populations: [Population; 4] = [
        ("normal", standard, 0.0),
        ("uniform", |rng| below(rng, 1 << 20) as f64 / f64::from(1 << 20), 0.5),
        ("skewed (log-normal, sd 0.5)", |rng| (0.5 * standard(rng)).exp(), 0.125_f64.exp()),
        ("very skewed (log-normal, sd 1)", |rng| standard(rng).exp(), 0.5_f64.exp()),
    ];
    let mut text =
        String::from("| values | n | percentiles | bootstrap | Student |\n|---|---|---|---|---|\n");
    for (name, draw, truth) in populations {
        for n in [2, 4, 8, 16, 72] {
            let mut rng = stream(1, &format!("calibration {name} {n}"));
            let mut found = [Vec::new(), Vec::new(), Vec::new()];
            for _ in 0..SAMPLES / 5 {
                let values: Vec<f64> = (0..n).map(|_| draw(&mut rng)).collect();
                let mean_of = |drawn: &[usize]| drawn.iter().map(|at| values[*at]).sum::<f64>() / n as f64;
                found[0].push(misses(Some(percentiles(&values, &mut rng)), truth));
                found[1].push(misses(bootstrap(n, &mut rng, mean_of), truth));
                found[2].push(misses(student_mean(&values), truth));
            }
            let _ =
                writeln!(text, "| {name} | {n} | {} |", found.each_ref().map(|one| shown(one)).join(" | "));
        }
    }
    text
}

fn best() -> String {
    let mut text = String::from("| compared | pairs | at 95 % | at 1 - 0.1 / M |\n|---|---|---|---|\n");
    for (things, pairs) in [(2, 3), (2, 16), (4, 6), (8, 3), (8, 16), (8, 72)] {
        let mut rng = stream(1, &format!("calibration best {things} {pairs}"));
        let mut decided = [Vec::new(), Vec::new()];
        for _ in 0..SAMPLES {
            let common: Vec<f64> = (0..pairs).map(|_| 5.0 * standard(&mut rng)).collect();
            let mut own = || common.iter().map(|head| head + standard(&mut rng).exp()).collect();
            let groups: Vec<Vec<f64>> = (0..things).map(|_| own()).collect();
            let Some(found) = from_best(&groups, true) else { continue };
            for at in (0..things).filter(|at| *at != found.baseline) {
                let plain = paired(&groups[at], &groups[found.baseline], 0.95);
                decided[0].push(Some(Verdict::of(plain) != Verdict::Undecided));
                decided[1].push(Some(Verdict::of(found.differences[at]) != Verdict::Undecided));
            }
        }
        let _ = writeln!(
            text,
            "| {things} | {pairs} | {} |",
            decided.each_ref().map(|one| shown(one)).join(" | ")
        );
    }
    text
}

/// Neighbouring windows are similar: differences with this correlation of neighbours.
fn neighbours() -> String {
    let mut text = String::from("| correlation of neighbours | 4 windows | 16 | 64 |\n|---|---|---|---|\n");
    for correlation in [0.0, 0.1, 0.3, 0.5_f64] {
        let cells = [4, 16, 64].map(|windows| {
            let mut rng = stream(1, &format!("calibration neighbours {correlation} {windows}"));
            let found: Vec<Option<bool>> = (0..SAMPLES)
                .map(|_| {
                    let mut last = standard(&mut rng);
                    let values: Vec<f64> = (0..windows)
                        .map(|_| {
                            let fresh = (1.0 - correlation * correlation).sqrt() * standard(&mut rng);
                            let next = correlation * last + fresh;
                            std::mem::replace(&mut last, next)
                        })
                        .collect();
                    misses(student_mean(&values), 0.0)
                })
                .collect();
            shown(&found)
        });
        let _ = writeln!(text, "| {correlation} | {} |", cells.join(" | "));
    }
    text
}

fn shares() -> String {
    let mut text = String::from("| right answers | of 50 | of 500 |\n|---|---|---|\n");
    for share in [0.02, 0.1, 0.35, 0.5] {
        let cells = [50, 500].map(|count| {
            let mut rng = stream(1, &format!("calibration share {share} {count}"));
            let right =
                |rng: &mut Rng| (0..count).filter(|_| below(rng, 1000) < (1000.0 * share) as usize).count();
            let found: Vec<_> = (0..SAMPLES)
                .map(|_| misses(Some(wilson(right(&mut rng) as f64 / count as f64, count)), share))
                .collect();
            shown(&found)
        });
        let _ = writeln!(text, "| {:.0} % | {} |", 100.0 * share, cells.join(" | "));
    }
    text
}

#[test]
#[ignore = "half a minute of simulation: the tables of experiments/calibration/README.md"]
#[allow(clippy::print_stdout)] // it prints the tables
fn tables() {
    for (title, table) in
        [("means", means()), ("best", best()), ("neighbours", neighbours()), ("shares", shares())]
    {
        assert!(table.lines().count() > 4, "{title}");
        println!("{title}\n{table}");
    }
}
