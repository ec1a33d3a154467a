//! Dots with their intervals, one below the other: a comparison at one setting.

use super::super::figure::{Dot, Dots};
use super::super::palette;
use super::super::scale::Scale;
use super::element::{Anchor, GREY, INK, LABEL, Pen, SMALL, Svg, Words, fitted, width};

/// From the left end of the axis to its right end.
const PLOT: f64 = 300.0;
/// A line of a dot, or of the label of a mark.
const LINE: f64 = 21.0;
/// The widest name of a dot.
const NAME: f64 = 220.0;
/// Below the lines: labels of ticks and of the axis.
const FOOT: f64 = 46.0;

struct Layout {
    x: Scale,
    left: f64,
    top: f64,
    height: f64,
}

impl Layout {
    fn of(dots: &Dots) -> Self {
        let names = dots.dots.iter().map(|dot| width(&dot.label, SMALL));
        Self {
            x: dots.scale(0.05),
            left: names.fold(0.0, f64::max).min(NAME) + 14.0,
            top: 6.0 + dots.marks.len() as f64 * LINE,
            height: dots.dots.len().max(1) as f64 * LINE,
        }
    }

    fn x(&self, place: f64) -> f64 {
        self.left + place * PLOT
    }
}

pub(super) fn size(dots: &Dots) -> (f64, f64) {
    let layout = Layout::of(dots);
    (layout.left + PLOT + 24.0, layout.top + layout.height + FOOT)
}

pub(super) fn draw(dots: &Dots, svg: &mut Svg, (x, y): (f64, f64)) {
    let layout = Layout::of(dots);
    let (top, bottom) = (y + layout.top, y + layout.top + layout.height);
    axis(dots, &layout, svg, (x, top, bottom));
    for (row, (at, label)) in dots.marks.iter().enumerate() {
        let Some(place) = layout.x.place(*at) else { continue };
        let (at, above) = (x + layout.x(place), top - 5.0 - row as f64 * LINE);
        svg.line((at, bottom), (at, above + 2.0), Pen { dashes: "2 3", ..Pen::solid(GREY, 1.0) });
        svg.text((at, above), label, &Words { anchor: Anchor::Middle, colour: GREY, ..Words::default() });
    }
    for (row, dot) in dots.dots.iter().enumerate() {
        let middle = top + (row as f64 + 0.5) * LINE;
        let words = Words { anchor: Anchor::End, ..Words::default() };
        svg.text((x + layout.left - 8.0, middle + 4.0), &fitted(&dot.label, SMALL, NAME), &words);
        svg.begin("data", &[]);
        one(dot, &layout, svg, (x, middle));
        svg.end();
    }
}

fn one(dot: &Dot, layout: &Layout, svg: &mut Svg, (x, y): (f64, f64)) {
    let colour = if dot.faint { GREY.to_string() } else { palette::css(palette::line(dot.hue.unwrap_or(0))) };
    if let Some((low, high)) = dot.ends.filter(|(low, high)| low <= high) {
        let pen = Pen::solid(&colour, 1.6);
        let [low, high] = [low, high].map(|end| x + layout.x(layout.x.clamped(end)));
        svg.line((low, y), (high, y), pen);
        for end in [low, high] {
            svg.line((end, y - 3.5), (end, y + 3.5), pen);
        }
    }
    if let Some(place) = layout.x.place(dot.value) {
        svg.dot((x + layout.x(place), y), 3.6, &colour);
    }
}

fn axis(dots: &Dots, layout: &Layout, svg: &mut Svg, (x, top, bottom): (f64, f64, f64)) {
    for (value, label) in layout.x.ticks(5) {
        let Some(place) = layout.x.place(value) else { continue };
        let at = x + layout.x(place);
        svg.line((at, top), (at, bottom), Pen::solid("#e8e8e8", 0.8));
        svg.line((at, bottom), (at, bottom + 4.0), Pen::solid(INK, 1.0));
        svg.text((at, bottom + 17.0), &label, &Words { anchor: Anchor::Middle, ..Words::default() });
    }
    svg.line((x + layout.left, bottom), (x + layout.left + PLOT, bottom), Pen::solid(INK, 1.0));
    let words = Words { size: LABEL, anchor: Anchor::Middle, ..Words::default() };
    let label = fitted(&dots.value_label, LABEL, PLOT + 60.0);
    svg.text((x + layout.left + PLOT / 2.0, bottom + 36.0), &label, &words);
}
