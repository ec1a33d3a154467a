//! A coloured cell for each number, with a colour bar; the numbers themselves where the cells are large enough.

use super::super::figure::Heat;
use super::super::scale::Scale;
use super::super::{Digits, palette};
use super::element::{Anchor, INK, LABEL, Pen, SMALL, Svg, Words, fitted, numbers, width};

/// The largest width and height of a cell: six layers are as high as the plot in the panel beside them.
const CELL: (f64, f64) = (34.0, 44.0);
/// The smallest side of a cell.
const MIN_SIDE: f64 = 7.0;
/// The largest area of all cells.
const PLOT: (f64, f64) = (420.0, 290.0);
const LEFT: f64 = 48.0;
const TOP: f64 = 6.0;
const FOOT: f64 = 44.0;
/// Between the cells and the colour bar.
const BAR_GAP: f64 = 16.0;
const BAR: f64 = 12.0;
/// The colour bar is never shorter than this.
const BAR_HEIGHT: f64 = 140.0;
const MISSING: &str = "#e4e4e4";

struct Layout {
    rows: usize,
    cols: usize,
    cell: (f64, f64),
    scale: Scale,
    ticks: Vec<(f64, String)>,
    bar: f64,
}

impl Layout {
    fn of(heat: &Heat) -> Self {
        let (rows, cols) = heat.values.dim();
        let side = |room: f64, count: usize, max| (room / count.max(1) as f64).clamp(MIN_SIDE, max);
        let cell = (side(PLOT.0, cols, CELL.0), side(PLOT.1, rows, CELL.1));
        let scale = Scale::over(heat.values.iter().copied(), false, 0.0);
        let ticks = scale.ticks(5);
        Self { rows, cols, cell, scale, ticks, bar: (cell.1 * rows as f64).max(BAR_HEIGHT) }
    }

    fn width(&self) -> f64 {
        self.cell.0 * self.cols as f64
    }

    fn height(&self) -> f64 {
        self.cell.1 * self.rows as f64
    }
}

pub(super) fn size(heat: &Heat) -> (f64, f64) {
    let layout = Layout::of(heat);
    let widest = layout.ticks.iter().map(|(_, label)| width(label, SMALL)).fold(0.0, f64::max);
    let width = LEFT + layout.width() + BAR_GAP + BAR + 8.0 + widest + 24.0;
    (width, TOP + layout.bar.max(layout.height()) + FOOT)
}

pub(super) fn draw(heat: &Heat, svg: &mut Svg, (x, y): (f64, f64)) {
    let layout = Layout::of(heat);
    let (left, top) = (x + LEFT, y + TOP);
    let (wide, high) = layout.cell;
    let frame = numbers(&[left, top, wide, high]);
    let size = numbers(&[layout.rows as f64, layout.cols as f64]);
    let labels = [("row", heat.row_label.as_str()), ("col", &heat.col_label), ("label", &heat.value_label)];
    svg.begin("heat", &[&[("frame", frame.as_str()), ("size", &size)], &labels[..]].concat());
    svg.begin("data", &[]);
    for ((row, col), value) in heat.values.indexed_iter() {
        let place = (left + col as f64 * wide, top + row as f64 * high);
        // A hair of white between the cells, where there is room for it.
        let seam = if wide.min(high) > 12.0 { 0.8 } else { 0.0 };
        let colour = layout.scale.place(*value).map(palette::ramp);
        let fill = colour.map_or(MISSING.into(), palette::css);
        svg.cell(place, (wide - seam, high - seam), &fill, &told(*value));
        let (right, bottom) = (place.0 + wide - seam, place.1 + high - seam);
        match colour {
            None => svg.line((place.0, bottom), (right, place.1), Pen::solid("#9a9a9a", 0.8)),
            Some(colour) if wide >= 28.0 && high >= 16.0 => {
                let ink = if palette::is_dark(colour) { "#ffffff" } else { "#000000" };
                let middle = (place.0 + wide / 2.0 - 0.4, place.1 + high / 2.0 + 3.2);
                let words = Words { size: 9.5, anchor: Anchor::Middle, colour: ink, ..Words::default() };
                svg.text(middle, &short(*value), &words);
            }
            Some(_) => {}
        }
    }
    svg.end();
    axes(heat, &layout, svg, (left, top));
    bar(heat, &layout, svg, (left + layout.width() + BAR_GAP, top));
    svg.end();
}

/// The value as a page tells it.
fn told(value: f64) -> String {
    if value.is_finite() { Digits::Significant(5).show(value) } else { "-".into() }
}

/// As many digits as fit into a cell.
fn short(value: f64) -> String {
    let text = Digits::Significant(2).show(value);
    text.strip_prefix("0.").map_or(text.clone(), |rest| format!(".{rest}"))
}

fn axes(heat: &Heat, layout: &Layout, svg: &mut Svg, (left, top): (f64, f64)) {
    let bottom = top + layout.height();
    for col in (0..layout.cols).step_by(stride(22.0 / layout.cell.0)) {
        let x = left + (col as f64 + 0.5) * layout.cell.0;
        svg.text((x, bottom + 14.0), &col.to_string(), &Words { anchor: Anchor::Middle, ..Words::default() });
    }
    for row in (0..layout.rows).step_by(stride(14.0 / layout.cell.1)) {
        let y = top + (row as f64 + 0.5) * layout.cell.1 + 4.0;
        svg.text((left - 6.0, y), &row.to_string(), &Words { anchor: Anchor::End, ..Words::default() });
    }
    let words = Words { size: LABEL, anchor: Anchor::Middle, ..Words::default() };
    svg.text((left + layout.width() / 2.0, bottom + 34.0), &heat.col_label, &words);
    let upright = Words { upright: true, ..words };
    svg.text((left - LEFT + 14.0, top + layout.height() / 2.0), &heat.row_label, &upright);
}

/// Every label, or every 2nd, 5th, 10th, ... so that labels are so many cells apart.
fn stride(cells: f64) -> usize {
    [1, 2, 5, 10, 20, 50, 100].into_iter().find(|step| *step as f64 >= cells).unwrap_or(100)
}

fn bar(heat: &Heat, layout: &Layout, svg: &mut Svg, (left, top): (f64, f64)) {
    const STEPS: usize = 64;
    let step = layout.bar / STEPS as f64;
    for index in 0..STEPS {
        let colour = palette::css(palette::ramp(1.0 - (index as f64 + 0.5) / STEPS as f64));
        // Half a pixel of overlap hides the seams that renderers draw between rectangles.
        let height = if index + 1 < STEPS { step + 0.5 } else { step };
        svg.rect((left, top + index as f64 * step), (BAR, height), &colour);
    }
    let mut widest = 0.0_f64;
    for (value, label) in &layout.ticks {
        let Some(place) = layout.scale.place(*value) else { continue };
        let y = top + layout.bar * (1.0 - place);
        svg.line((left + BAR, y), (left + BAR + 3.0, y), Pen::solid(INK, 1.0));
        svg.text((left + BAR + 6.0, y + 4.0), label, &Words::default());
        widest = widest.max(width(label, SMALL));
    }
    let words = Words { anchor: Anchor::Middle, upright: true, ..Words::default() };
    let label = fitted(&heat.value_label, SMALL, layout.bar.max(layout.height()) + 40.0);
    svg.text((left + BAR + 20.0 + widest, top + layout.bar / 2.0), &label, &words);
}
