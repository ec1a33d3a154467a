//! Values with their intervals as text: a line each, over a common axis.

use std::fmt::Write;

use super::figure::Dots;
use super::wrap::shorten;
use super::{Digits, Style, axis};

/// The values within the width of `style`.
pub(super) fn plot(dots: &Dots, style: Style) -> String {
    let widest = dots.dots.iter().map(|dot| dot.label.chars().count()).max().unwrap_or(0);
    let margin = widest.min(style.width / 3);
    // The value itself follows the axis.
    let cols = style.width.saturating_sub(margin + 12).max(10);
    let x = dots.scale(0.02);
    let column = |place: f64| ((place * cols as f64) as usize).min(cols - 1);
    let mut text = String::new();
    for dot in &dots.dots {
        let mut line = vec![' '; cols];
        if let Some((low, high)) = dot.ends.filter(|(low, high)| low <= high) {
            let (low, high) = (column(x.clamped(low)), column(x.clamped(high)));
            line[low..=high].fill('─');
            (line[low], line[high]) = ('├', '┤');
        }
        for place in dots.marks.iter().filter_map(|(at, _)| x.place(*at)) {
            let at = &mut line[column(place)];
            *at = if *at == ' ' { '┊' } else { '┼' };
        }
        if let Some(place) = x.place(dot.value) {
            line[column(place)] = if dot.faint { '○' } else { '●' };
        }
        let line: String = line.into_iter().collect();
        let value = Digits::Significant(3).show(dot.value);
        let _ = writeln!(text, "{:>margin$} │{line} {value}", shorten(&dot.label, margin.max(1)));
    }
    text += &axis::horizontal(&x, margin, cols);
    let _ = writeln!(text, "{:>1$}", shorten(&dots.value_label, style.width), style.width);
    for (at, label) in &dots.marks {
        let shown = Digits::Significant(3).show(*at);
        let _ = writeln!(text, "┊ {}", shorten(&format!("{label}: {shown}"), style.width.saturating_sub(2)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::figure::Dot;
    use super::*;

    #[test]
    fn every_value_has_a_dot_on_a_line_of_its_own() {
        let dot =
            |label: &str, value: f64, ends| Dot { label: label.into(), value, ends, faint: false, hue: None };
        let dots = Dots {
            value_label: "error".into(),
            log: true,
            dots: vec![
                dot("nystrom", 0.2, Some((0.1, 0.4))),
                dot("a name that is longer than a third of the width", 0.3, Some((0.0, f64::INFINITY))),
                dot("linear", 1.0, None),
            ],
            marks: vec![(0.5, "softmax".into())],
        };
        for width in [40, 80] {
            let text = plot(&dots, Style { width, colour: false });
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert_eq!(text.matches('●').count(), 3, "{text}");
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines[0].contains('├') && lines[2].contains('┊'), "{text}");
            assert!(!lines[2].contains('├') && lines[2].trim_end().ends_with("1.00"), "{text}");
            assert!(text.contains("┊ softmax: 0.500"), "{text}");
        }
        assert!(plot(&Dots::default(), Style { width: 3, colour: false }).contains('└'));
    }
}
