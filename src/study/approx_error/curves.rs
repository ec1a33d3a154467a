//! Error against l for every mechanism, with the optimum as the floor; where there is one l, the mechanisms themselves.

use std::collections::BTreeSet;

use super::fits::Role;
use super::group::Group;
use super::measure::Job;
use super::rows::place;
use crate::report::{Curves, Dot, Dots, Figure, Mark, Plot, Series};
use crate::study::hue;
use crate::study::input::Source;

/// What a point is beside the mechanisms that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Apart {
    No,
    /// A floor under the others.
    Floor,
    /// Of a mechanism that stands before it: on the windows of its fit.
    Train,
}

/// A mechanism at one l.
pub(super) struct Point {
    pub(super) label: String,
    /// None if it takes none, and is as good at every l.
    pub(super) l: Option<usize>,
    pub(super) value: f64,
    pub(super) ends: Option<(f64, f64)>,
    pub(super) apart: Apart,
}

/// The axis of the values, with the values to compare them with.
pub(super) struct Axis {
    pub(super) value: String,
    pub(super) log: bool,
    pub(super) marks: Vec<(f64, String)>,
}

/// One figure: output errors, with those that are asked for, beside matrix errors, at the longest n.
pub(super) fn figures(source: &dyn Source, job: &Job<'_>, groups: &[Group], targets: &[f64]) -> Vec<Figure> {
    let Some(n) = groups.iter().map(|group| group.n).max() else { return Vec::new() };
    let groups: Vec<&Group> = groups.iter().filter(|group| group.n == n).collect();
    let panel = |name: &str, title: &str, label: &str, targets: &[f64]| {
        let points = groups.iter().filter_map(|group| point(job, group, place(name))).collect();
        let axis = Axis {
            value: label.into(),
            log: true,
            marks: targets.iter().map(|eps| (*eps, format!("{eps}"))).collect(),
        };
        Figure { name: name.into(), title: title.into(), kind: against_l(points, axis) }
    };
    let title = format!("{}, n = {n}", source.name());
    let fitted = groups.iter().any(|group| group.role == Role::Train);
    let beside = if fitted { "the same heads; dashed: on the windows of the fit" } else { "the same heads" };
    let panels = vec![
        panel("output_rel_fro", &title, "relative error of the output", targets),
        panel("matrix_rel_fro", beside, "relative error of the matrix", &[]),
    ];
    vec![Figure { name: "error".into(), title: String::new(), kind: Plot::Panels(panels) }]
}

fn point(job: &Job<'_>, group: &Group, metric: usize) -> Option<Point> {
    let (value, interval) = group.interval(metric)?;
    let apart = match (group.candidate, group.role) {
        (None, _) => Apart::Floor,
        (_, Role::Train) => Apart::Train,
        _ => Apart::No,
    };
    let label = match group.role {
        Role::Judged => group.name(job.candidates).to_string(),
        role => format!("{} ({})", group.name(job.candidates), role.name().unwrap_or_default()),
    };
    // An error cannot be below 0.
    let ends = interval.map(|interval| (interval.low.max(0.0), interval.high));
    Some(Point { label, l: group.l, value, ends, apart })
}

/// Lines over l; a line has to have two ends, so that of one l (or none) the mechanisms stand below each other.
pub(super) fn against_l(points: Vec<Point>, axis: Axis) -> Plot {
    let lengths: BTreeSet<usize> = points.iter().filter_map(|point| point.l).collect();
    match (lengths.first(), lengths.last()) {
        (Some(first), Some(last)) if first < last => Plot::Curves(Curves {
            x_label: "projected length l".into(),
            y_label: axis.value,
            log_x: true,
            log_y: axis.log,
            series: series(points, (*first as f64, *last as f64)),
            marks: axis.marks.into_iter().map(|(at, label)| Mark::Horizontal { at, label }).collect(),
        }),
        _ => Plot::Dots(dots(points, axis)),
    }
}

fn dots(mut points: Vec<Point>, axis: Axis) -> Dots {
    points.sort_by(|a, b| a.value.total_cmp(&b.value));
    let value_label = match points.iter().find_map(|point| point.l) {
        Some(l) => format!("{} at l = {l}", axis.value),
        None => axis.value,
    };
    let dot = |point: Point| {
        let Point { label, value, ends, apart, l } = point;
        let hue = hue::of(&label);
        let label = if l.is_none() { format!("{label} (takes no l)") } else { label };
        Dot { label, value, ends, faint: apart != Apart::No, hue }
    };
    Dots { value_label, log: axis.log, dots: points.into_iter().map(dot).collect(), marks: axis.marks }
}

fn series(points: Vec<Point>, (first, last): (f64, f64)) -> Vec<Series> {
    let mut all: Vec<(String, Series)> = Vec::new();
    for point in points {
        // Groups of one mechanism follow each other, held-out ones first: the training errors share their colour.
        let train = point.apart == Apart::Train;
        let (low, high) = point.ends.unwrap_or((point.value, point.value));
        let at = all.iter().position(|(known, _)| *known == point.label).unwrap_or_else(|| {
            let label = if train { String::new() } else { point.label.clone() };
            let band = (!train && point.ends.is_some()).then(|| (vec![], vec![]));
            let dashed = point.apart != Apart::No;
            let hue = hue::of(&point.label);
            let line = Series { label, dashed, band, dots: true, hue, ..Series::default() };
            all.push((point.label.clone(), line));
            all.len() - 1
        });
        // What takes no l is as good at every l.
        let x = point.l.map_or_else(|| vec![first, last], |l| vec![l as f64]);
        let series = &mut all[at].1;
        for x in x {
            series.x.push(x);
            series.y.push(point.value);
            if let Some((lows, highs)) = &mut series.band {
                lows.push(low);
                highs.push(high);
            }
        }
    }
    for (_, series) in &mut all {
        let mut order: Vec<usize> = (0..series.x.len()).collect();
        order.sort_by(|a, b| series.x[*a].total_cmp(&series.x[*b]));
        let sorted = |values: &[f64]| order.iter().map(|at| values[*at]).collect::<Vec<_>>();
        (series.x, series.y) = (sorted(&series.x), sorted(&series.y));
        series.band = series.band.take().map(|(low, high)| (sorted(&low), sorted(&high)));
    }
    all.into_iter().map(|(_, series)| series).collect()
}
