//! Aligned columns for a terminal: no borders, a rule under the header, notes below.
//!
//! A table that is too wide is fitted in this order: headers break at their underscores, words inside text cells wrap,
//! columns move closer together, and finally they are split into blocks below each other, each with the columns that
//! identify the row.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, CellAlignment, ColumnConstraint, LineStyle, Width};

use super::wrap::{self, header, wrap};
use super::{Column, Digits, Report, Style, Table};

/// Spaces between two columns, and where the width is short.
const GAP: usize = 2;
const SHORT_GAP: usize = 1;

pub(super) fn write(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
    for (index, view) in report.readable().into_iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        table(view, style, out)?;
    }
    notes(&report.notes, style, out)
}

fn table(table: &Table, style: Style, out: &mut dyn Write) -> io::Result<()> {
    for line in wrap(&table.title, style.width) {
        if style.colour {
            writeln!(out, "\u{1b}[1m{line}\u{1b}[0m")?;
        } else {
            writeln!(out, "{line}")?;
        }
    }
    if !table.title.is_empty() {
        writeln!(out)?;
    }
    let cells = Cells::of(table);
    let (blocks, gap) = blocks(table, &cells, style.width);
    for (index, block) in blocks.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", render(table, &cells, block, gap, style))?;
    }
    notes(&table.notes, style, out)
}

fn notes(notes: &[String], style: Style, out: &mut dyn Write) -> io::Result<()> {
    for note in notes {
        writeln!(out)?;
        for line in wrap(note, style.width) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// The rounded cells, row by row, and how wide each column is for them.
struct Cells {
    rows: Vec<Vec<String>>,
    widths: Vec<usize>,
}

impl Cells {
    fn of(table: &Table) -> Self {
        let show = |row: &Vec<super::Cell>| {
            row.iter().zip(&table.columns).map(|(cell, column)| cell.show(column.digits)).collect()
        };
        let rows: Vec<Vec<String>> = table.rows.iter().map(show).collect();
        // comfy-table measures what a terminal shows: some characters are two columns wide, some none.
        let mut measure = comfy_table::Table::new();
        measure.add_row(vec![""; table.columns.len()]).add_rows(&rows);
        let widths = measure.column_max_content_widths().into_iter().map(usize::from).collect();
        Self { rows, widths }
    }
}

/// Some columns side by side: the index of each in the table, its width, and the lines of its header.
type Block = Vec<(usize, usize, Vec<String>)>;

/// The table in as few blocks as fit, and the gap between columns.
fn blocks(table: &Table, cells: &Cells, width: usize) -> (Vec<Block>, usize) {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    // No text cell needs more than a third of the width once its words wrap.
    let limit = (width / 3).max(12);
    for (limit, gap) in [(usize::MAX, GAP), (limit, GAP), (limit, SHORT_GAP)] {
        if let Some(block) = fit(table, cells, &all, width, limit, gap) {
            return (vec![block], gap);
        }
    }
    let narrow = |columns: &[usize]| narrowest(table, cells, columns, limit);
    let mut keys = all.iter().take_while(|&&index| is_key(&table.columns[index])).count();
    while keys > 1 && narrow(&all[..keys]) > width / 2 {
        keys -= 1;
    }
    let mut blocks = Vec::new();
    let mut columns = all[..keys].to_vec();
    for &index in &all[keys..] {
        columns.push(index);
        if columns.len() > keys + 1 && narrow(&columns) > width {
            columns.pop();
            blocks.push(std::mem::replace(&mut columns, all[..keys].to_vec()));
            columns.push(index);
        }
    }
    blocks.push(columns);
    let lay = |columns: &Vec<usize>| {
        fit(table, cells, columns, width, limit, GAP)
            .unwrap_or_else(|| tight(table, cells, columns, limit, 0))
    };
    (blocks.iter().map(lay).collect(), GAP)
}

/// The columns before the first measurement identify the row.
fn is_key(column: &Column) -> bool {
    matches!(column.digits, Digits::Text | Digits::Integer)
}

/// The columns with headers broken only as much as the width requires; `None` if they cannot fit.
fn fit(
    table: &Table,
    cells: &Cells,
    columns: &[usize],
    width: usize,
    limit: usize,
    gap: usize,
) -> Option<Block> {
    let longest = columns.iter().map(|&index| table.columns[index].name.chars().count()).max().unwrap_or(0);
    let headers = (0..=longest).rev().map(|wide| tight(table, cells, columns, limit, wide));
    headers.into_iter().find(|block| total(block, gap) <= width)
}

/// The columns with headers broken to `wide` where their pieces allow it, text cells to `limit`.
fn tight(table: &Table, cells: &Cells, columns: &[usize], limit: usize, wide: usize) -> Block {
    let column = |&index: &usize| {
        let column = &table.columns[index];
        let mut width = cells.widths[index];
        if column.digits == Digits::Text {
            width = width.min(limit);
        }
        let header = header(&column.name, &column.unit, wide.max(width));
        let longest = header.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        (index, width.max(longest), header)
    };
    columns.iter().map(column).collect()
}

fn narrowest(table: &Table, cells: &Cells, columns: &[usize], limit: usize) -> usize {
    total(&tight(table, cells, columns, limit, 0), GAP)
}

fn total(block: &Block, gap: usize) -> usize {
    block.iter().map(|(_, width, _)| width + gap).sum::<usize>().saturating_sub(gap)
}

fn render(table: &Table, cells: &Cells, block: &Block, gap: usize, style: Style) -> String {
    let height = block.iter().map(|(.., header)| header.len()).max().unwrap_or(0);
    let align = |index: usize| match table.columns[index].digits {
        Digits::Text => CellAlignment::Left,
        _ => CellAlignment::Right,
    };
    let mut text = comfy_table::Table::new();
    text.load_style(NOTHING.header_separator(LineStyle::none().fill('─')));
    if style.colour {
        text.enforce_styling();
    } else {
        text.force_no_tty();
    }
    text.set_header(block.iter().map(|(index, _, header)| {
        // Headers with fewer lines are aligned at the bottom.
        let lines = "\n".repeat(height - header.len()) + &header.join("\n");
        comfy_table::Cell::new(lines).set_alignment(align(*index)).add_attribute(Attribute::Bold)
    }));
    for row in &cells.rows {
        text.add_row(block.iter().map(|(index, width, _)| {
            comfy_table::Cell::new(wrap::cell(&row[*index], *width)).set_alignment(align(*index))
        }));
    }
    for (place, (_, width, _)) in block.iter().enumerate() {
        let gap = if place + 1 < block.len() { gap } else { 0 } as u16;
        if let Some(column) = text.column_mut(place) {
            column.set_padding((0, gap));
            // An absolute width counts the padding.
            let width = u16::try_from(*width).unwrap_or(u16::MAX - gap);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + gap)));
        }
    }
    text.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, sample};
    use super::*;

    fn shown(table: &Table, width: usize, colour: bool) -> String {
        let mut out = Vec::new();
        super::table(table, Style { width, colour }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn spectra() -> Table {
        let number = |name: &str| Column::new(name, "", "", Digits::Significant(3));
        let names = ["sigma_max", "cum_l1_at_128", "cum_energy_at_128", "effective_rank", "stable_rank"];
        let mut columns = vec![
            Column::new("layer", "", "", Digits::Integer),
            Column::new("head", "", "", Digits::Integer),
            Column::new("rank90_energy", "values", "", Digits::Integer),
        ];
        columns.extend(names.into_iter().map(number));
        columns.push(Column::new("verdict", "", "", Digits::Text));
        let mut table = Table::new("spectra of softmax attention", columns);
        for head in 0..3_usize {
            let mut row: Vec<Cell> = vec![0.into(), head.into(), 128.into()];
            row.extend([9.871_23, 0.824_8, 0.987_6, 101.4, 3.21].map(Cell::from));
            row.push("lower than its null model".into());
            table.push(row);
        }
        table.notes.push(
            "a head is called lower only where the interval of the difference in effective rank \
                          excludes zero"
                .into(),
        );
        table
    }

    #[test]
    fn numbers_stand_right_and_missing_is_a_dash() {
        let expected = "\
spectra

            rank90_energy
head             (values)  effective_rank  lower_than_null
──────────────────────────────────────────────────────────
0.0                    12            34.6  yes
0.1, \"q|k\"              -             NaN  no
λ                       3           0.333  -
";
        assert_eq!(shown(&sample::report().rows, 80, false), expected);
    }

    #[test]
    fn headers_break_before_cells_do() {
        let text = shown(&spectra(), 96, false);
        assert!(text.lines().all(|line| line.chars().count() <= 96), "{text}");
        assert_eq!(text.matches("lower than its null model").count(), 3, "{text}");
        assert!(text.lines().any(|line| line.contains("128") && line.contains("9.87")), "{text}");
    }

    #[test]
    fn a_narrow_terminal_gets_blocks_led_by_the_keys() {
        for width in [20, 40, 60, 80] {
            let text = shown(&spectra(), width, false);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        }
        let text = shown(&spectra(), 40, false);
        assert!(text.matches("layer  head").count() > 1, "{text}");
    }

    #[test]
    fn bold_only_where_colour_is_on() {
        assert!(shown(&spectra(), 80, true).contains("\u{1b}[1m"));
        assert!(!shown(&spectra(), 80, false).contains('\u{1b}'));
    }

    #[test]
    fn a_table_without_rows_or_columns_is_no_accident() {
        assert!(shown(&Table::default(), 80, false).len() < 3);
        let mut table = spectra();
        table.rows.clear();
        assert!(shown(&table, 80, false).contains("sigma"));
    }
}
