//! Tables to paste into a page: what a person would read in the terminal, as GitHub's Markdown.

use std::io::{self, Write};

use super::{Digits, Report, Style, Table};

pub(super) fn write(report: &Report, _: Style, out: &mut dyn Write) -> io::Result<()> {
    for (index, view) in report.readable().into_iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        table(view, out)?;
    }
    notes(&report.notes, out)
}

pub(super) fn table(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    if !table.title.is_empty() {
        writeln!(out, "**{}**\n", escape(&table.title))?;
    }
    for column in &table.columns {
        let unit = if column.unit.is_empty() { String::new() } else { format!(" ({})", column.unit) };
        write!(out, "| {}{} ", escape(&column.name), escape(&unit))?;
    }
    writeln!(out, "|")?;
    for column in &table.columns {
        write!(out, "{}", if column.digits == Digits::Text { "| --- " } else { "| ---: " })?;
    }
    writeln!(out, "|")?;
    for row in &table.rows {
        for (cell, column) in row.iter().zip(&table.columns) {
            write!(out, "| {} ", escape(&cell.show(column.digits)))?;
        }
        writeln!(out, "|")?;
    }
    notes(&table.notes, out)
}

fn notes(notes: &[String], out: &mut dyn Write) -> io::Result<()> {
    for note in notes {
        writeln!(out, "\n{}", escape(note))?;
    }
    Ok(())
}

/// A bar would end the cell, a line break the row; `_` and `*` inside names would turn into emphasis, brackets into links.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '*' | '_' | '<' | '`' | '[' | ']' | '~' | '&' => escaped.extend(['\\', c]),
            '\n' | '\r' => escaped.push(' '),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn bars_inside_a_cell_do_not_end_it() {
        let mut out = Vec::new();
        write(&sample::report(), Style::default(), &mut out).unwrap();
        let expected = "**spectra**\n\n\
                        | head | effective\\_rank |\n\
                        | --- | ---: |\n\
                        | 0.0 | 34.6 |\n\
                        | 0.1, \"q\\|k\" | NaN |\n\
                        | λ | 0.333 |\n\n\
                        one head of three is lower than its null model\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
