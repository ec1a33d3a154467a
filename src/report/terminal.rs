//! Figures as text: lines in Braille dots (two by four a character), heat maps as blocks.
//!
//! Own code: the terminal plots of kuva draw the legend as a solid block over the curves, and the grid covers them.

use std::fmt::Write;

use super::figure::{Curves, Figure, Mark, Plot, Series};
use super::heat::heat_map;
use super::scale::Scale;
use super::wrap::{shorten, wrap};
use super::{Digits, Style, axis, dots, palette};

/// The figure within the width of `style`; each plot of lines takes about `height` lines.
pub fn to_terminal(figure: &Figure, style: Style, height: usize) -> String {
    let mut text = String::new();
    if !figure.title.is_empty() {
        text = wrap(&figure.title, style.width).join("\n") + "\n\n";
    }
    match &figure.kind {
        Plot::Curves(curves) => text += &plot(curves, style, height),
        Plot::Heat(heat) => text += &heat_map(heat, None, style),
        Plot::Dots(dots) => text += &dots::plot(dots, style),
        Plot::Panels(panels) => {
            let panels: Vec<String> = panels.iter().map(|panel| to_terminal(panel, style, height)).collect();
            text += &panels.join("\n");
        }
    }
    text
}

/// The dots of a plot, and the series that last drew into each character.
struct Canvas {
    cols: usize,
    rows: usize,
    dots: Vec<u8>,
    owner: Vec<Option<usize>>,
}

impl Canvas {
    fn new(cols: usize, rows: usize) -> Self {
        Self { cols, rows, dots: vec![0; cols * rows], owner: vec![None; cols * rows] }
    }

    /// A dot at a place from 0 to 1 on both axes.
    fn dot(&mut self, (x, y): (f64, f64), owner: Option<usize>) {
        // The bit of a Braille character for each dot.
        const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        let at = |place: f64, dots: usize| ((place * dots as f64) as usize).min(dots - 1);
        let (x, y) = (at(x, self.cols * 2), at(1.0 - y, self.rows * 4));
        let cell = y / 4 * self.cols + x / 2;
        self.dots[cell] |= BITS[x % 2][y % 4];
        self.owner[cell] = owner.or(self.owner[cell]);
    }

    /// A line of dots; a dashed one has a dash every `dash` dots.
    fn line(&mut self, from: (f64, f64), to: (f64, f64), owner: Option<usize>, dash: usize) {
        let along = |a: f64, b: f64, dots: usize| (b - a).abs() * dots as f64;
        let steps =
            along(from.0, to.0, self.cols * 2).max(along(from.1, to.1, self.rows * 4)).ceil() as usize;
        for step in 0..=steps {
            let share = step as f64 / steps.max(1) as f64;
            let point = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            // By place, not by step: the dashes of a curve of many short pieces stay even.
            let place = (point.0 * (self.cols * 2) as f64) as usize;
            if dash == 0 || place % dash < dash / 2 {
                self.dot(point, owner);
            }
        }
    }

    fn row(&self, row: usize, colour: bool) -> String {
        let mut text = String::new();
        for cell in row * self.cols..(row + 1) * self.cols {
            let dots = char::from_u32(0x2800 + u32::from(self.dots[cell])).unwrap_or(' ');
            match (self.dots[cell], self.owner[cell]) {
                (0, _) => text.push(' '),
                (_, Some(index)) if colour => text += &painted(&dots.to_string(), index),
                _ => text.push(dots),
            }
        }
        text.trim_end().into()
    }
}

/// In the colour of a number; lines of one colour, which a page tells apart by their dashes, are paler one by one.
fn painted(text: &str, number: usize) -> String {
    let (colour, variant) = (number % palette::COLOURS, number / palette::COLOURS);
    // The last colour is black, which a dark terminal would swallow.
    let (red, green, blue) =
        if colour + 1 == palette::COLOURS { (150, 150, 150) } else { palette::line(colour) };
    let paler = |part: u8| (0..variant.min(3)).fold(part, |part, _| part + (255 - part) / 2);
    let [red, green, blue] = [red, green, blue].map(paler);
    format!("\u{1b}[38;2;{red};{green};{blue}m{text}\u{1b}[0m")
}

fn plot(curves: &Curves, style: Style, height: usize) -> String {
    // Pale lines are context for the eye of a page; as dots they would bury the others.
    let all_faint = curves.series.iter().all(|series| series.faint);
    let colours = Series::colours(&curves.series).into_iter();
    let colours = colours.map(|(colour, variant)| colour + palette::COLOURS * variant);
    let drawn = curves.series.iter().zip(colours).filter(|(series, _)| all_faint || !series.faint);
    let drawn: Vec<(&Series, usize)> = drawn.collect();
    let values = |of: fn(&Series) -> &Vec<f64>| drawn.iter().flat_map(move |(series, _)| of(series)).copied();
    let at = |upright: bool| {
        curves.marks.iter().filter_map(move |mark| match mark {
            Mark::Vertical { at, .. } if upright => Some(*at),
            Mark::Horizontal { at, .. } if !upright => Some(*at),
            _ => None,
        })
    };
    let x = Scale::over(values(|series| &series.x).chain(at(true)), curves.log_x, 0.0);
    let y = Scale::over(values(|series| &series.y).chain(at(false)), curves.log_y, 0.02);
    let rows = height.max(4);
    let y_ticks = y.ticks(rows / 3);
    let margin = y_ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
    let cols = style.width.saturating_sub(margin + 2).max(10);

    let mut canvas = Canvas::new(cols, rows);
    for place in at(true).filter_map(|at| x.place(at)) {
        (0..rows).for_each(|row| canvas.dot((place, (row as f64 + 0.5) / rows as f64), None));
    }
    for place in at(false).filter_map(|at| y.place(at)) {
        canvas.line((0.0, place), (1.0, place), None, 4);
    }
    let mut legend = Vec::new();
    for (series, colour) in &drawn {
        if !series.label.is_empty() || legend.is_empty() {
            legend.push((labelled(series, style), series.dashed, *colour));
        }
        let owner = Some(*colour);
        let mut last = None;
        for (x, y) in series.x.iter().zip(&series.y).map(|(a, b)| (x.place(*a), y.place(*b))) {
            let point = x.zip(y);
            if let Some(point) = point {
                canvas.line(last.unwrap_or(point), point, owner, if series.dashed { 8 } else { 0 });
            }
            last = point;
        }
    }

    let mut text = shorten(&curves.y_label, style.width) + "\n";
    for row in 0..rows {
        let here = |value: f64| y.place(value).map(|place| ((1.0 - place) * rows as f64) as usize);
        let tick =
            y_ticks.iter().find(|(value, _)| here(*value).map(|place| place.min(rows - 1)) == Some(row));
        let (label, axis) = tick.map_or(("", '│'), |(_, label)| (label.as_str(), '┤'));
        let _ = writeln!(text, "{label:>margin$} {axis}{}", canvas.row(row, style.colour));
    }
    text += &axis::horizontal(&x, margin, cols);
    let _ = writeln!(text, "{:>1$}", shorten(&curves.x_label, style.width), style.width);
    for (label, dashed, colour) in legend.iter().filter(|(label, ..)| !label.is_empty()) {
        let sample = if *dashed { "⠒ ⠒ ⠒" } else { "⠒⠒⠒⠒⠒" };
        let sample = if style.colour { painted(sample, *colour) } else { sample.into() };
        let _ = writeln!(text, "{sample} {}", shorten(label, style.width.saturating_sub(6)));
    }
    for mark in &curves.marks {
        let (Mark::Vertical { label, .. } | Mark::Horizontal { label, .. }) = mark;
        let _ = writeln!(text, "⠂⠂⠂⠂⠂ {}", shorten(label, style.width.saturating_sub(6)));
    }
    text
}

/// A line's name, with where it begins and ends if colours cannot tell it from the others.
fn labelled(series: &Series, style: Style) -> String {
    match (series.y.first(), series.y.last()) {
        (Some(first), Some(last)) if !style.colour && !series.label.is_empty() => {
            let show = |value: f64| Digits::Significant(3).show(value);
            format!("{}: {} to {}", series.label, show(*first), show(*last))
        }
        _ => series.label.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> Figure {
        let x: Vec<f64> = (1..=512).map(f64::from).collect();
        let share = |rate: f64| x.iter().map(|x| 1.0 - (-x / rate).exp()).collect::<Vec<_>>();
        let line = |label: &str, rate, dashed| Series {
            label: label.into(),
            x: x.clone(),
            y: share(rate),
            dashed,
            ..Series::default()
        };
        let kind = Plot::Curves(Curves {
            x_label: "leading singular values k".into(),
            y_label: "cumulative share".into(),
            log_x: true,
            series: vec![line("mean of 72 heads", 60.0, false), line("Gaussian null", 200.0, true)],
            marks: vec![Mark::Vertical { at: 128.0, label: "k = 128".into() }],
            ..Curves::default()
        });
        Figure { name: "cumulative".into(), title: "cumulative spectra".into(), kind }
    }

    #[test]
    fn a_plot_keeps_to_its_width_and_names_its_lines() {
        for width in [40, 80] {
            let text = to_terminal(&figure(), Style { width, colour: false }, 14);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert!(
                text.contains("mean of 72 heads") && text.contains("k = 128") && text.contains(" 16 "),
                "{text}"
            );
            assert!(!text.contains('\u{1b}'));
        }
        assert!(
            to_terminal(&figure(), Style { width: 80, colour: true }, 14).contains("\u{1b}[38;2;0;114;178m")
        );
    }

    #[test]
    fn a_rising_line_rises() {
        let series = vec![Series { x: vec![0.0, 1.0], y: vec![0.0, 1.0], ..Series::default() }];
        let text = plot(&Curves { series, ..Curves::default() }, Style { width: 16, colour: false }, 4);
        let ends: Vec<usize> = text.lines().skip(1).take(4).map(|line| line.chars().count()).collect();
        assert!(ends.windows(2).all(|pair| pair[0] > pair[1]), "{text}");
    }

    #[test]
    fn nothing_to_draw_is_an_empty_frame() {
        let figure = Figure { name: "e".into(), title: String::new(), kind: Plot::Curves(Curves::default()) };
        assert!(to_terminal(&figure, Style { width: 3, colour: true }, 0).contains('└'));
    }

    #[test]
    fn a_line_has_its_colour_of_the_page_and_lines_of_one_colour_differ() {
        let line = |label: &str, hue| Series {
            label: label.into(),
            x: vec![0.0, 1.0],
            y: vec![0.0, 1.0],
            hue,
            ..Series::default()
        };
        let series = vec![line("a", Some(2)), line("b", Some(2)), line("c", Some(0))];
        let kind = Plot::Curves(Curves { series, ..Curves::default() });
        let figure = Figure { name: "f".into(), title: String::new(), kind };
        let text = to_terminal(&figure, Style { width: 60, colour: true }, 8);
        // The third, the third paler, the first.
        for colour in ["0;158;115", "127;206;185", "0;114;178"] {
            assert!(text.contains(&format!("\u{1b}[38;2;{colour}m⠒")), "{colour}: {text}");
        }
    }
}
