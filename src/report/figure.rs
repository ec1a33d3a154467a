//! Figures as data: what is drawn, not how. [`to_svg`](super::to_svg) draws them for a
//! page, [`to_terminal`](super::to_terminal) for a terminal.

use ndarray::Array2;

use super::palette;
use super::scale::Scale;

/// One figure; its name is the name of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Names the file: lower case, hyphens.
    pub name: String,
    /// Above the figure; may be empty.
    pub title: String,
    /// What is drawn.
    pub kind: Plot,
}

/// What a figure draws.
#[derive(Clone, Debug, PartialEq)]
pub enum Plot {
    /// Lines over a common axis.
    Curves(Curves),
    /// A coloured cell for each number.
    Heat(Heat),
    /// Values with their intervals, one below the other.
    Dots(Dots),
    /// Figures side by side.
    Panels(Vec<Figure>),
}

/// Lines over a common axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// The horizontal axis, with its unit.
    pub x_label: String,
    /// The vertical axis, with its unit.
    pub y_label: String,
    /// Whether the horizontal axis is logarithmic; points at or below zero are left out.
    pub log_x: bool,
    /// Whether the vertical axis is logarithmic; points at or below zero are left out.
    pub log_y: bool,
    /// The lines.
    pub series: Vec<Series>,
    /// Reference lines.
    pub marks: Vec<Mark>,
}

/// One line. Points that are not finite break it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The name in the legend; a line without one has the colour of the series before it and no entry in the legend.
    pub label: String,
    /// Its own name where it has no entry of its own in the legend: one head among many. A page shows it.
    pub name: String,
    /// The points on the horizontal axis.
    pub x: Vec<f64>,
    /// The points on the vertical axis.
    pub y: Vec<f64>,
    /// The lower and the upper edge of an interval around the line.
    pub band: Option<(Vec<f64>, Vec<f64>)>,
    /// Drawn with dashes: a control, a null model.
    pub dashed: bool,
    /// Drawn thin and pale: one head among many.
    pub faint: bool,
    /// Drawn with a dot at each point: few points, each of them a measurement.
    pub dots: bool,
    /// The number of its colour, by which one thing has one colour in every figure; the next one if none.
    pub hue: Option<usize>,
}

impl Series {
    /// The number of the colour of each line, and how many lines before it have that colour. A series without a label has
    /// those of the one before it.
    pub(super) fn colours(all: &[Self]) -> Vec<(usize, usize)> {
        let (mut next, mut found) = (0, Vec::<(usize, usize)>::new());
        for series in all {
            let last = found.last().copied().filter(|_| series.label.is_empty());
            found.push(last.unwrap_or_else(|| {
                let number = series.hue.unwrap_or(next) % palette::COLOURS;
                next += usize::from(series.hue.is_none());
                let before = found.iter().filter(|(colour, _)| *colour == number);
                (number, before.map(|(_, variant)| variant + 1).max().unwrap_or(0))
            }));
        }
        found
    }
}

/// A straight reference line across the whole plot.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// At one value of the horizontal axis.
    Vertical {
        /// The value.
        at: f64,
        /// Its label.
        label: String,
    },
    /// At one value of the vertical axis.
    Horizontal {
        /// The value.
        at: f64,
        /// Its label.
        label: String,
    },
}

/// Values with their intervals, each on its own line: a comparison at one setting, where a curve would be a single point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dots {
    /// The axis of the values, with its unit.
    pub value_label: String,
    /// Whether it is logarithmic; values at or below zero are left out.
    pub log: bool,
    /// The values, from the top.
    pub dots: Vec<Dot>,
    /// Reference values with their labels.
    pub marks: Vec<(f64, String)>,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Dot {
    /// Its name.
    pub label: String,
    /// The value.
    pub value: f64,
    /// The ends of its interval, if it has one.
    pub ends: Option<(f64, f64)>,
    /// Drawn pale: a lower bound, a control.
    pub faint: bool,
    /// The number of its colour; the first if none.
    pub hue: Option<usize>,
}

impl Dots {
    /// The axis that shows every value, and intervals as far as the values stay distinguishable.
    pub(super) fn scale(&self, pad: f64) -> Scale {
        let values = || self.dots.iter().map(|dot| dot.value).chain(self.marks.iter().map(|(at, _)| *at));
        let ends = self.dots.iter().filter_map(|dot| dot.ends).flat_map(|(low, high)| [low, high]);
        Scale::over(values().chain(near(values(), ends, self.log)), self.log, pad)
    }
}

/// Ends of intervals, clipped where they would compress the values: on a logarithmic axis at a tenth of the smallest value
/// and at ten times the largest.
pub(super) fn near(
    values: impl Iterator<Item = f64>,
    ends: impl Iterator<Item = f64>,
    log: bool,
) -> Vec<f64> {
    let shown = values.filter(|value| value.is_finite() && (!log || *value > 0.0));
    let (low, high) = shown.fold((f64::INFINITY, 0.0_f64), |(a, b), value| (a.min(value), b.max(value)));
    let clipped = |end: f64| if log && low <= high { end.clamp(low / 10.0, high * 10.0) } else { end };
    ends.filter(|end| !end.is_nan()).map(clipped).collect()
}

/// A number for each cell: rows downwards, columns to the right. NaN is a missing cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Heat {
    /// What a row is ("layer").
    pub row_label: String,
    /// What a column is ("head").
    pub col_label: String,
    /// What the number is, with its unit.
    pub value_label: String,
    /// The values.
    pub values: Array2<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hue_is_kept_and_lines_of_one_colour_are_counted() {
        let line = |label: &str, hue| Series { label: label.into(), hue, ..Series::default() };
        let all = [
            line("a", Some(6)),
            line("b", None),
            line("", None),
            line("c", Some(6)),
            line("d", None),
            line("e", Some(7)),
            line("", Some(3)),
        ];
        // 7 is the first colour again, which 'b' has.
        assert_eq!(Series::colours(&all), [(6, 0), (0, 0), (0, 0), (6, 1), (1, 0), (0, 1), (0, 1)]);
        assert_eq!(Series::colours(&[line("", None)]), [(0, 0)]);
    }
}
