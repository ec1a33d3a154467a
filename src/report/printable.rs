//! Names of files, labels and values come from outside: they must not contain control characters that act on a terminal or
//! break a line of CSV or an SVG.

use serde_json::Value;

use super::{Cell, Curves, Dots, Figure, Heat, Mark, Plot, Report, Table};

/// A text without control characters and without marks that change the direction of writing; each becomes a space.
pub fn printable(text: &str) -> String {
    text.chars().map(|letter| if is_printable(letter) { letter } else { ' ' }).collect()
}

fn is_printable(letter: char) -> bool {
    !letter.is_control() && !matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Makes a text printable in place.
fn clean(text: &mut String) {
    if !text.chars().all(is_printable) {
        *text = printable(text);
    }
}

impl Report {
    /// Makes every text printable, whatever format it will be written in.
    pub fn make_printable(&mut self) {
        let views = self.views.iter_mut().chain(&mut self.tables).map(|(_, table)| table);
        views.chain([&mut self.rows]).for_each(table);
        self.figures.iter_mut().for_each(figure);
        self.notes.iter_mut().for_each(clean);
        self.stamp.values_mut().for_each(value);
    }
}

fn value(one: &mut Value) {
    match one {
        Value::String(text) => clean(text),
        Value::Array(all) => all.iter_mut().for_each(value),
        Value::Object(all) => all.values_mut().for_each(value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn table(table: &mut Table) {
    clean(&mut table.title);
    table.notes.iter_mut().for_each(clean);
    for column in &mut table.columns {
        [&mut column.name, &mut column.unit, &mut column.about].into_iter().for_each(clean);
    }
    for cell in table.rows.iter_mut().flatten() {
        if let Cell::Text(text) = cell {
            clean(text);
        }
    }
}

fn figure(one: &mut Figure) {
    clean(&mut one.title);
    match &mut one.kind {
        Plot::Panels(panels) => panels.iter_mut().for_each(figure),
        Plot::Heat(Heat { row_label, col_label, value_label, .. }) => {
            [row_label, col_label, value_label].into_iter().for_each(clean);
        }
        Plot::Dots(Dots { value_label, dots, marks, .. }) => {
            clean(value_label);
            let labels = dots.iter_mut().map(|dot| &mut dot.label);
            labels.chain(marks.iter_mut().map(|(_, label)| label)).for_each(clean);
        }
        Plot::Curves(Curves { x_label, y_label, series, marks, .. }) => {
            [x_label, y_label].into_iter().for_each(clean);
            series.iter_mut().map(|series| &mut series.label).for_each(clean);
            for Mark::Vertical { label, .. } | Mark::Horizontal { label, .. } in marks {
                clean(label);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Digits, Format, Style, to_svg};
    use super::*;

    #[test]
    fn no_format_passes_a_control_character_on() {
        let evil = "a\u{1b}[31m\u{7}\u{9b}1m\u{202e}b";
        let mut rows = Table::new(evil, vec![Column::new(evil, evil, evil, Digits::Text)]);
        rows.push(vec![evil.into()]);
        rows.notes.push(evil.into());
        let curves = Curves {
            x_label: evil.into(),
            y_label: evil.into(),
            series: vec![super::super::Series { label: evil.into(), ..Default::default() }],
            marks: vec![Mark::Vertical { at: 1.0, label: evil.into() }],
            ..Curves::default()
        };
        let panels = vec![Figure { name: "panel".into(), title: evil.into(), kind: Plot::Curves(curves) }];
        let mut report = Report {
            views: vec![("view".into(), rows.clone())],
            tables: vec![("table".into(), rows.clone())],
            rows,
            figures: vec![Figure { name: "a".into(), title: evil.into(), kind: Plot::Panels(panels) }],
            notes: vec![evil.into()],
            ..Report::default()
        };
        report.stamp.push("file", evil);
        report.make_printable();
        let held = |text: &str| text.chars().any(|letter| letter != '\n' && !is_printable(letter));
        for format in Format::ALL.iter().filter(|format| !format.is_binary()) {
            let mut out = Vec::new();
            format.write(&report, Style { width: 80, colour: false }, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!held(&text) && text.contains('a'), "{}: {text:?}", format.name);
        }
        assert!(!held(&to_svg(&report.figures[0])));
        assert_eq!(printable("é λ\n"), "é λ ");
    }
}
