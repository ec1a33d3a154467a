//! Time and memory over the length, and the roofline.

use super::super::cell::Form;
use super::row;
use super::sweep::{Measured, Sweep};
use crate::report::{Curves, Figure, Mark, Plot, Series};
use crate::study::hue;

/// The name of a curve in the legend.
fn label(one: &Measured) -> String {
    let title = one.cell.title();
    one.cell.l.map_or_else(|| title.clone(), |l| format!("{title} l={l}"))
}

/// A curve without points.
fn line(one: &Measured) -> Series {
    let label = label(one);
    Series { hue: hue::of(&label), label, dots: true, ..Series::default() }
}

/// A height, and the ends of its interval where it has one.
type Point = (f64, Option<(f64, f64)>);

/// The points of each curve, with the ends of their intervals.
fn series(sweep: &Sweep, value: &dyn Fn(&Measured) -> Option<Point>) -> Vec<Series> {
    let mut all = Vec::new();
    for first in sweep.curves() {
        let mut one = Series { dashed: first.cell.is_softmax(), ..line(first) };
        let (mut lows, mut highs) = (Vec::new(), Vec::new());
        for cell in sweep.curve(&first.cell) {
            let Some((y, ends)) = value(cell) else { continue };
            one.x.push(cell.cell.n as f64);
            one.y.push(y);
            let (low, high) = ends.unwrap_or((y, y));
            lows.push(low);
            highs.push(high);
        }
        one.band = Some((lows, highs));
        if !one.x.is_empty() {
            all.push(one);
        }
    }
    all
}

/// Every figure, the main one first.
pub(super) fn all(sweep: &Sweep) -> Vec<Figure> {
    let time = series(sweep, &|one| {
        let time = row::time(sweep, one)?;
        let scaled = |(low, high): (f64, f64)| (1e3 * low, 1e3 * high);
        Some((1e3 * time.mid, time.ends.map(scaled)))
    });
    let memory = series(sweep, &|one| Some((one.extra_bytes()? as f64 / f64::from(1 << 20), None)));
    let mut panels = Vec::new();
    if !time.is_empty() {
        panels.push(panel("time", "time of one pass", "milliseconds", time));
    }
    if !memory.is_empty() {
        panels.push(panel("memory", "memory beyond inputs and outputs", "MiB", memory));
    }
    let mut figures = Vec::new();
    if !panels.is_empty() {
        figures.push(Figure { name: "scaling".into(), title: String::new(), kind: Plot::Panels(panels) });
    }
    figures.extend(crossover(sweep));
    figures.extend(roofline(sweep));
    figures
}

fn panel(name: &str, title: &str, y_label: &str, series: Vec<Series>) -> Figure {
    let curves = Curves {
        x_label: "sequence length n".into(),
        y_label: y_label.into(),
        log_x: true,
        log_y: true,
        series,
        marks: Vec::new(),
    };
    Figure { name: name.into(), title: title.into(), kind: Plot::Curves(curves) }
}

/// The speedup of each mechanism over exact attention: 1 is break-even.
fn crossover(sweep: &Sweep) -> Option<Figure> {
    let against = |form: Form, name: &str, title: &str| {
        let series = series(sweep, &|one| {
            let other = !one.cell.is_exact(form, one.cell.n);
            let (mid, interval) = row::speedup(sweep, one, form).filter(|_| other)?;
            Some((mid, interval.map(|interval| (interval.low, interval.high))))
        });
        let mut figure = panel(name, title, "speedup", series);
        if let Plot::Curves(curves) = &mut figure.kind {
            curves.marks.push(Mark::Horizontal { at: 1.0, label: "1".into() });
        }
        figure
    };
    let mut panels = vec![
        against(Form::Fused, "fused", "against fused exact attention"),
        against(Form::Materialised, "n-x-n", "against exact attention with n x n matrices"),
    ];
    panels.retain(|panel| matches!(&panel.kind, Plot::Curves(curves) if !curves.series.is_empty()));
    (!panels.is_empty()).then(|| Figure {
        name: "crossover".into(),
        title: String::new(),
        kind: Plot::Panels(panels),
    })
}

/// The rate of each cell over its arithmetic intensity, below the machine's roofline (Williams, Waterman and Patterson
/// 2009).
fn roofline(sweep: &Sweep) -> Option<Figure> {
    let (peak, (_, bandwidth)) = (sweep.peak()?, sweep.machine_rates()?);
    let intensity = |one: &Measured| one.facts.cost.flops() as f64 / one.facts.bytes as f64;
    let mut all = Vec::new();
    for first in sweep.curves() {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for one in sweep.timed(&first.cell) {
            let rate = one.facts.cost.flops() as f64 / row::time(sweep, one)?.mid / 1e9;
            points.push((intensity(one), rate));
        }
        let (x, y) = points.into_iter().unzip();
        all.push(Series { x, y, ..line(first) });
    }
    all.retain(|series| !series.x.is_empty());
    let ends = all
        .iter()
        .flat_map(|series| &series.x)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(*x), high.max(*x)));
    let (low, high) = (ends.0 / 2.0, ends.1 * 2.0);
    let ridge = (peak / bandwidth).clamp(low, high);
    let roof = |x: f64| (x * bandwidth).min(peak);
    let x = vec![low, ridge, high];
    let y = x.iter().map(|x| roof(*x)).collect();
    let label = format!("this machine's triad ({bandwidth:.0} GB/s) and matrix product ({peak:.0} GFLOP/s)");
    all.push(Series { label, x, y, dashed: true, ..Series::default() });
    let curves = Curves {
        x_label: "FLOP/byte".into(),
        y_label: "GFLOP/s".into(),
        log_x: true,
        log_y: true,
        series: all,
        marks: Vec::new(),
    };
    Some(Figure {
        name: "roofline".into(),
        title: "rate over arithmetic intensity".into(),
        kind: Plot::Curves(curves),
    })
}
