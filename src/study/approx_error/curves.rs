//! Error against l for every mechanism, with the optimum as the floor.

use super::fits::Role;
use super::measure::Job;
use super::rows::place;
use super::summary::Group;
use crate::report::{Curves, Figure, Kind, Series};
use crate::study::input::Source;

/// One figure: output errors beside matrix errors, at the longest n.
pub(super) fn figures(source: &dyn Source, job: &Job<'_>, groups: &[Group]) -> Vec<Figure> {
    let Some(n) = groups.iter().map(|group| group.n).max() else { return Vec::new() };
    let groups: Vec<&Group> = groups.iter().filter(|group| group.n == n).collect();
    let panel = |name: &str, title: &str, label: &str| Figure {
        name: name.into(),
        title: title.into(),
        kind: Kind::Curves(Curves {
            x_label: "projected length l".into(),
            y_label: label.into(),
            log_x: true,
            log_y: true,
            series: series(job, &groups, place(name)),
            marks: Vec::new(),
        }),
    };
    let title = format!("{}, n = {n}", source.name());
    let fitted = groups.iter().any(|group| group.role == Role::Train);
    let beside = if fitted { "the same heads; dashed: on the windows of the fit" } else { "the same heads" };
    let panels = vec![
        panel("output_rel_fro", &title, "relative error of the output"),
        panel("matrix_rel_fro", beside, "relative error of the matrix"),
    ];
    vec![Figure { name: "error".into(), title: String::new(), kind: Kind::Panels(panels) }]
}

fn series(job: &Job<'_>, groups: &[&Group], metric: usize) -> Vec<Series> {
    let lengths = groups.iter().filter_map(|group| group.l).map(|l| l as f64);
    let (least, most) = lengths.fold((f64::INFINITY, 0.0_f64), |(low, high), l| (low.min(l), high.max(l)));
    let mut all: Vec<(String, Series)> = Vec::new();
    for group in groups {
        let Some((mean, interval)) = group.interval(metric, job) else { continue };
        let label = match group.role {
            Role::Judged => group.name(job.asked).to_string(),
            role => format!("{} ({})", group.name(job.asked), role.name().unwrap_or_default()),
        };
        // Groups of one mechanism follow each other, held-out ones first: the training errors share their colour.
        let train = group.role == Role::Train;
        let (low, high) = interval.map_or((mean, mean), |interval| (interval.low, interval.high));
        let at = all.iter().position(|(known, _)| *known == label).unwrap_or_else(|| {
            let shown = if train { String::new() } else { label.clone() };
            let dashed = group.asked.is_none() || train;
            let band = (!train).then(|| (vec![], vec![]));
            let empty = Series { label: shown, dashed, band, ..Series::default() };
            all.push((label, empty));
            all.len() - 1
        });
        // What takes no l is as good at every l.
        let x = group.l.map_or_else(|| vec![least, most], |l| vec![l as f64]);
        let series = &mut all[at].1;
        for x in x.into_iter().filter(|x| x.is_finite() && *x > 0.0) {
            series.x.push(x);
            series.y.push(mean);
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
