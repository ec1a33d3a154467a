//! Lines over a common axis: bands first, then pale lines, then the others; the legend below the axis and the labels of marks
//! outside the frame, so that no text covers a curve.

use super::super::figure::{Curves, Mark, Series, near};
use super::super::palette;
use super::super::scale::Scale;
use super::element::{Anchor, GREY, INK, LABEL, Pen, SMALL, Svg, Words, fitted, numbers, width};

const PLOT: (f64, f64) = (400.0, 270.0);
/// A line of the legend, or of labels of marks.
const LINE: f64 = 18.0;
/// The sample of a line in the legend, with the space after it.
const SAMPLE: f64 = 32.0;
/// Lines of which no single one can be followed: coarser ones serve, and a figure of 1,000 heads stays small.
const MANY: usize = 200;
/// From the frame down to the legend: labels of ticks and of the axis.
const FOOT: f64 = 50.0;

/// The positions of all parts, relative to the upper left corner.
struct Layout<'a> {
    x: Scale,
    y: Scale,
    y_ticks: Vec<(f64, String)>,
    left: f64,
    top: f64,
    right: f64,
    /// Labels of vertical marks: position, line, text.
    above: Vec<(f64, usize, &'a str)>,
    /// Position, line and index of the series of each entry of the legend.
    legend: Vec<(f64, usize, usize)>,
}

impl<'a> Layout<'a> {
    fn of(curves: &'a Curves) -> Self {
        let vertical = |mark: &Mark| if let Mark::Vertical { at, .. } = mark { Some(*at) } else { None };
        let horizontal = |mark: &Mark| if let Mark::Horizontal { at, .. } = mark { Some(*at) } else { None };
        let xs = curves.series.iter().flat_map(|series| series.x.iter().copied());
        let ys = || curves.series.iter().flat_map(|series| series.y.iter().copied());
        let bands = curves
            .series
            .iter()
            .flat_map(|series| series.band.iter().flat_map(|(low, high)| low.iter().chain(high).copied()));
        let ys = ys().chain(near(ys(), bands, curves.log_y));
        let x = Scale::over(xs.chain(curves.marks.iter().filter_map(vertical)), curves.log_x, 0.0);
        let y = Scale::over(ys.chain(curves.marks.iter().filter_map(horizontal)), curves.log_y, 0.03);
        let y_ticks = y.ticks(6);
        let widest = y_ticks.iter().map(|(_, label)| width(label, SMALL)).fold(0.0, f64::max);
        let above = above(curves, &x);
        let rows = above.iter().map(|(_, row, _)| row + 1).max().unwrap_or(0);
        let aside = curves.marks.iter().filter_map(|mark| match mark {
            Mark::Horizontal { label, .. } => Some(width(label, SMALL) + 8.0),
            Mark::Vertical { .. } => None,
        });
        Self {
            left: 26.0 + widest,
            top: 6.0 + rows as f64 * LINE,
            right: aside.fold(14.0, f64::max).min(160.0),
            legend: legend(curves),
            x,
            y,
            y_ticks,
            above,
        }
    }

    fn legend_height(&self) -> f64 {
        self.legend.iter().map(|(_, row, _)| (row + 1) as f64 * LINE).fold(0.0, f64::max)
    }
}

/// Labels of vertical marks, each on the lowest line where it touches no other.
fn above<'a>(curves: &'a Curves, x: &Scale) -> Vec<(f64, usize, &'a str)> {
    let mut placed: Vec<(f64, usize, &str)> = Vec::new();
    for mark in &curves.marks {
        let Mark::Vertical { at, label } = mark else { continue };
        let Some(place) = x.place(*at).map(|place| place * PLOT.0) else { continue };
        let touches = |row: usize| {
            placed.iter().any(|(other, other_row, other_label)| {
                *other_row == row
                    && (place - other).abs()
                        < f64::midpoint(width(label, SMALL), width(other_label, SMALL)) + 6.0
            })
        };
        let row = (0..placed.len()).find(|row| !touches(*row)).unwrap_or(placed.len());
        placed.push((place, row, label));
    }
    placed
}

/// Entries side by side as long as they fit below the plot.
fn legend(curves: &Curves) -> Vec<(f64, usize, usize)> {
    let (mut x, mut row, mut entries) = (0.0, 0, Vec::new());
    for (index, series) in curves.series.iter().enumerate() {
        if series.label.is_empty() {
            continue;
        }
        let entry = SAMPLE + width(&series.label, SMALL) + 14.0;
        if x > 0.0 && x + entry > PLOT.0 + 14.0 {
            (x, row) = (0.0, row + 1);
        }
        entries.push((x, row, index));
        x += entry;
    }
    entries
}

pub(super) fn size(curves: &Curves) -> (f64, f64) {
    let layout = Layout::of(curves);
    (layout.left + PLOT.0 + layout.right, layout.top + PLOT.1 + FOOT + layout.legend_height())
}

pub(super) fn draw(curves: &Curves, svg: &mut Svg, (x, y): (f64, f64)) {
    let layout = Layout::of(curves);
    let (left, top) = (x + layout.left, y + layout.top);
    let (right, bottom) = (left + PLOT.0, top + PLOT.1);
    let frame = numbers(&[left, top, PLOT.0, PLOT.1]);
    let facts = [("frame", frame.as_str()), ("x", &layout.x.words()), ("y", &layout.y.words())];
    svg.begin("curves", &[&facts[..], &[("xlabel", &curves.x_label), ("ylabel", &curves.y_label)]].concat());
    axes(curves, &layout, svg, (left, top));
    marks(curves, &layout, svg, (left, top));

    let at = |x: f64, y: f64| {
        let (x, y) = (layout.x.place(x)?, layout.y.place(y)?);
        Some((left + x * PLOT.0, bottom - y * PLOT.1))
    };
    let styles = styles(&curves.series);
    let keys = keys(&curves.series);
    let thin = if curves.series.len() > MANY { corners } else { thin };
    svg.begin("data", &[]);
    for ((series, style), key) in curves.series.iter().zip(&styles).zip(&keys) {
        if let Some((low, high)) = &series.band {
            svg.begin("series", &[("s", key)]);
            // What ends beyond the axis, as an interval that reaches 0 on a logarithmic one, is clipped at the frame.
            let end = |x: f64, y: f64| {
                let x = layout.x.place(x).filter(|_| !y.is_nan())?;
                Some((left + x * PLOT.0, bottom - layout.y.clamped(y) * PLOT.1))
            };
            for (below, above) in runs(&series.x, low, end).into_iter().zip(runs(&series.x, high, end)) {
                if is_point(&below) {
                    bar(svg, below[0], above[0], &style.colour);
                }
                let outline: Vec<_> = below.into_iter().chain(above.into_iter().rev()).collect();
                svg.area(&outline, &style.colour, 0.2);
            }
            svg.end();
        }
    }
    for faint in [true, false] {
        let all = curves.series.iter().zip(&styles).zip(&keys);
        for ((series, style), key) in all.filter(|((series, _), _)| series.faint == faint) {
            let name = if series.name.is_empty() { &series.label } else { &series.name };
            svg.begin("series", &[("s", key), ("name", name)]);
            for run in runs(&series.x, &series.y, at) {
                // A line of one point would be invisible.
                if series.dots || is_point(&run) {
                    for point in &run {
                        svg.dot(*point, 2.6, &style.colour);
                    }
                }
                svg.path(&thin(run), style.pen());
            }
            svg.end();
        }
    }
    svg.end();
    for (place, row, index) in &layout.legend {
        let series = &curves.series[*index];
        let (x, y) = (left + place, bottom + FOOT + *row as f64 * LINE + 8.0);
        svg.begin("key", &[("s", &keys[*index])]);
        if series.band.is_some() {
            svg.rect((x, y - 5.0), (SAMPLE - 8.0, 10.0), &palette::css(palette::tint(styles[*index].rgb)));
        }
        svg.line((x, y), (x + SAMPLE - 8.0, y), styles[*index].pen());
        let label = fitted(&series.label, SMALL, right + layout.right - x - SAMPLE);
        svg.text((x + SAMPLE, y + 4.0), &label, &Words::default());
        svg.end();
    }
    svg.end();
}

/// The number of the entry of the legend that each line belongs to.
fn keys(series: &[Series]) -> Vec<String> {
    let mut entry = 0;
    let number = |(index, one): (usize, &Series)| {
        entry = if one.label.is_empty() { entry } else { index };
        entry.to_string()
    };
    series.iter().enumerate().map(number).collect()
}

fn axes(curves: &Curves, layout: &Layout, svg: &mut Svg, (left, top): (f64, f64)) {
    let (right, bottom) = (left + PLOT.0, top + PLOT.1);
    svg.begin("ticks y", &[]);
    for (value, label) in &layout.y_ticks {
        let Some(place) = layout.y.place(*value) else { continue };
        let y = bottom - place * PLOT.1;
        svg.line((left, y), (right, y), Pen::solid("#e8e8e8", 0.8));
        svg.line((left - 4.0, y), (left, y), Pen::solid(INK, 1.0));
        svg.text((left - 7.0, y + 4.0), label, &Words { anchor: Anchor::End, ..Words::default() });
    }
    svg.end();
    // As many labels as do not overlap.
    let apart = |ticks: &Vec<(f64, String)>| {
        let places =
            ticks.iter().filter_map(|(value, label)| Some((layout.x.place(*value)? * PLOT.0, label)));
        let ends: Vec<_> = places.map(|(x, label)| (x, width(label, SMALL) / 2.0)).collect();
        ends.windows(2).all(|pair| pair[0].0 + pair[0].1 + 6.0 < pair[1].0 - pair[1].1)
    };
    let ticks = (2..=10).rev().map(|max| layout.x.ticks(max)).find(apart).unwrap_or_default();
    svg.begin("ticks x", &[]);
    for (value, label) in ticks {
        let Some(place) = layout.x.place(value) else { continue };
        let x = left + place * PLOT.0;
        svg.line((x, bottom), (x, bottom + 4.0), Pen::solid(INK, 1.0));
        svg.text((x, bottom + 17.0), &label, &Words { anchor: Anchor::Middle, ..Words::default() });
    }
    svg.end();
    svg.path(&[(left, top), (left, bottom), (right, bottom)], Pen::solid(INK, 1.0));
    let words = Words { size: LABEL, anchor: Anchor::Middle, ..Words::default() };
    let label = fitted(&curves.x_label, LABEL, PLOT.0 + 60.0);
    svg.text((f64::midpoint(left, right), bottom + 37.0), &label, &words);
    let place = (left - layout.left + 12.0, f64::midpoint(top, bottom));
    let label = fitted(&curves.y_label, LABEL, PLOT.1 + 60.0);
    svg.text(place, &label, &Words { upright: true, ..words });
}

fn marks(curves: &Curves, layout: &Layout, svg: &mut Svg, (left, top): (f64, f64)) {
    let pen = Pen { dashes: "2 3", ..Pen::solid(GREY, 1.0) };
    for (place, row, label) in &layout.above {
        let x = left + place;
        let y = top - 5.0 - *row as f64 * LINE;
        svg.begin("mark", &[("x", &numbers(&[x]))]);
        svg.line((x, top + PLOT.1), (x, y + 2.0), pen);
        svg.text((x, y), label, &Words { anchor: Anchor::Middle, colour: GREY, ..Words::default() });
        svg.end();
    }
    for mark in &curves.marks {
        let Mark::Horizontal { at, label } = mark else { continue };
        let Some(place) = layout.y.place(*at) else { continue };
        let y = top + PLOT.1 * (1.0 - place);
        svg.begin("mark", &[("y", &numbers(&[y]))]);
        svg.line((left, y), (left + PLOT.0, y), pen);
        let label = fitted(label, SMALL, layout.right - 4.0);
        svg.text((left + PLOT.0 + 5.0, y + 4.0), &label, &Words { colour: GREY, ..Words::default() });
        svg.end();
    }
}

struct LineStyle {
    rgb: palette::Rgb,
    colour: String,
    dashes: &'static str,
    faint: bool,
}

impl LineStyle {
    fn pen(&self) -> Pen<'_> {
        let (width, opacity) = if self.faint { (0.8, 0.38) } else { (1.9, 1.0) };
        Pen { colour: &self.colour, width, opacity, dashes: self.dashes }
    }
}

/// Lines of one colour differ in their dashes.
fn styles(series: &[Series]) -> Vec<LineStyle> {
    let style = |((number, variant), series): ((usize, usize), &Series)| {
        let rgb = palette::line(number);
        let dashes = match (series.dashed, variant) {
            (true, 0) => "6 3.5",
            (true, _) => "1.5 2.5",
            (false, 0) => "",
            (false, 1) => "9 2.5 2 2.5",
            (false, 2) => "3 2",
            (false, _) => "12 2 2 2 2 2",
        };
        LineStyle { rgb, colour: palette::css(rgb), dashes, faint: series.faint }
    };
    Series::colours(series).into_iter().zip(series).map(style).collect()
}

/// Whether all points coincide.
fn is_point(run: &[(f64, f64)]) -> bool {
    run.iter().all(|point| *point == run[0])
}

/// An interval that belongs to one point.
fn bar(svg: &mut Svg, low: (f64, f64), high: (f64, f64), colour: &str) {
    let pen = Pen { opacity: 0.6, ..Pen::solid(colour, 1.4) };
    svg.line(low, high, pen);
    for (x, y) in [low, high] {
        svg.line((x - 3.5, y), (x + 3.5, y), pen);
    }
}

/// The parts without a gap.
fn runs(x: &[f64], y: &[f64], at: impl Fn(f64, f64) -> Option<(f64, f64)>) -> Vec<Vec<(f64, f64)>> {
    let mut runs = vec![Vec::new()];
    for (x, y) in x.iter().zip(y) {
        match (at(*x, *y), runs.last_mut()) {
            (Some(point), Some(run)) => run.push(point),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// Removes points closer than half a pixel to their neighbour: spectra have thousands.
fn thin(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let last = points.len().saturating_sub(1);
    let mut thinned: Vec<(f64, f64)> = Vec::new();
    for (index, point) in points.into_iter().enumerate() {
        let near = thinned.last().is_some_and(|k| (k.0 - point.0).abs() < 0.5 && (k.1 - point.1).abs() < 0.5);
        if !near || index == last {
            thinned.push(point);
        }
    }
    thinned
}

/// Keeps the points whose straight connection is within a third of a pixel of all others (Ramer 1972; Douglas and Peucker 1973).
fn corners(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    const NEAR: f64 = 1.0 / 3.0;
    let points = thin(points);
    let mut kept = vec![false; points.len()];
    let mut pieces = vec![(0, points.len().saturating_sub(1))];
    while let Some((from, to)) = pieces.pop() {
        let (Some(a), Some(b)) = (points.get(from), points.get(to)) else { continue };
        (kept[from], kept[to]) = (true, true);
        let length = (b.0 - a.0).hypot(b.1 - a.1).max(1e-9);
        let far = |p: &(f64, f64)| ((b.0 - a.0) * (a.1 - p.1) - (a.0 - p.0) * (b.1 - a.1)).abs() / length;
        let inner = (from + 1..to).map(|at| (at, far(&points[at])));
        let farthest = inner.max_by(|one, other| one.1.total_cmp(&other.1));
        if let Some((at, _)) = farthest.filter(|(_, far)| *far > NEAR) {
            pieces.extend([(from, at), (at, to)]);
        }
    }
    points.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(point, _)| point).collect()
}
