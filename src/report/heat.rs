//! A heat map as text: layers downwards, heads to the right.
//!
//! With colour, each cell is a coloured block; without, it is two digits (how far along the range, in
//! hundredths), or one bar of eight heights where digits would not fit. A missing cell is a dot.

use std::fmt::Write;

use super::figure::Heat;
use super::wrap::shorten;
use super::{Digits, Style, palette};

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a cell is drawn, the widest first.
#[derive(Clone, Copy, PartialEq)]
enum CellStyle {
    Digits,
    Block,
    Dot,
    Bar,
}

impl CellStyle {
    fn width(self) -> usize {
        match self {
            Self::Digits => 3,
            Self::Block => 2,
            Self::Dot | Self::Bar => 1,
        }
    }

    fn cell(self, share: Option<f64>) -> String {
        let Some(share) = share else {
            return format!("{:>1$}", "·", self.width());
        };
        let paint = |text: &str| {
            let (red, green, blue) = palette::ramp(share);
            format!("\u{1b}[48;2;{red};{green};{blue}m{text}")
        };
        match self {
            Self::Digits => format!(" {:02.0}", (share * 100.0).floor().min(99.0)),
            Self::Block => paint("  ") + "\u{1b}[0m",
            Self::Dot => paint(" ") + "\u{1b}[0m",
            Self::Bar => BARS[((share * 8.0) as usize).min(7)].to_string(),
        }
    }
}

/// The map within a width. `range` sets the ends of the colour scale, so that two maps can be compared; without it they are
/// the smallest and the largest value. Maps that are too wide are split into blocks.
pub fn heat_map(heat: &Heat, range: Option<(f64, f64)>, style: Style) -> String {
    let (rows, cols) = heat.values.dim();
    let finite = heat.values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = range.unwrap_or_else(|| {
        finite
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    });
    let share = |value: f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        value.is_finite().then(|| share.clamp(0.0, 1.0))
    };
    let margin = heat.row_label.chars().count().min(12) + 2 + rows.saturating_sub(1).to_string().len() + 1;
    let room = style.width.saturating_sub(margin).max(1);
    let styles =
        if style.colour { [CellStyle::Block, CellStyle::Dot] } else { [CellStyle::Digits, CellStyle::Bar] };
    let cell = styles.into_iter().find(|cell| cell.width() * cols <= room).unwrap_or(styles[1]);

    let mut text = String::new();
    // Writing to a String cannot fail, so the results of `writeln!` carry nothing.
    let _ = writeln!(text, "{}\n", shorten(&heat.value_label, style.width));
    let columns: Vec<usize> = (0..cols).collect();
    for block in columns.chunks(room / cell.width()) {
        let _ = writeln!(text, "{:margin$}{}", "", shorten(&heat.col_label, room));
        let _ = writeln!(text, "{:margin$}{}", "", numbers(block, cell.width(), room));
        for row in 0..rows {
            let label = if row == 0 { shorten(&heat.row_label, 12) } else { String::new() };
            let number = margin - label.chars().count() - 1;
            let _ = write!(text, "{label}{row:>number$} ");
            for &col in block {
                text += &cell.cell(share(heat.values[(row, col)]));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    let missing = heat.values.iter().any(|value| !value.is_finite());
    text += &legend(cell, low, high, missing);
    text
}

/// Numbers of columns, as many as fit.
fn numbers(block: &[usize], width: usize, room: usize) -> String {
    let longest = block.last().map_or(1, |col| col.to_string().len());
    let stride = [1, 2, 5, 10, 20, 50].into_iter().find(|stride| stride * width > longest).unwrap_or(100);
    let mut line = String::new();
    for (place, col) in block.iter().enumerate().filter(|(_, col)| *col % stride == 0) {
        // Above the cell's last digit where there is a label for each, else above its first column.
        let number = if stride == 1 { format!("{col:>width$}") } else { col.to_string() };
        let start = place * width + usize::from(stride > 1 && width == 3);
        if start + number.len() <= room {
            let gap = start.saturating_sub(line.len());
            line.push_str(&" ".repeat(gap));
            line.push_str(&number);
        }
    }
    line
}

fn legend(cell: CellStyle, low: f64, high: f64, missing: bool) -> String {
    if low > high {
        return "no values\n".into();
    }
    let show = |value| Digits::Significant(3).show(value);
    let (low, high) = (show(low), show(high));
    let scale = match cell {
        CellStyle::Digits => format!("00 = {low}, 99 = {high}"),
        CellStyle::Bar => format!("{low} {} {high}", BARS.iter().collect::<String>()),
        CellStyle::Block | CellStyle::Dot => {
            let steps: String =
                (0..16).map(|step| CellStyle::Dot.cell(Some(f64::from(step) / 15.0))).collect();
            format!("{low} {steps} {high}")
        }
    };
    if missing { format!("{scale}   · no value\n") } else { scale + "\n" }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn map(rows: usize, cols: usize) -> Heat {
        let last = (rows * cols - 1) as f64;
        let mut values = Array2::from_shape_fn((rows, cols), |(row, col)| (row * cols + col) as f64 / last);
        values[(0, 1)] = f64::NAN;
        let [row_label, col_label, value_label] = ["layer", "head", "effective_rank"].map(String::from);
        Heat { row_label, col_label, value_label, values }
    }

    #[test]
    fn without_colour_a_small_map_has_digits() {
        let expected = "\
effective_rank

         head
           0  1  2  3
layer  0  00  · 18 27
       1  36 45 54 63
       2  72 81 90 99

00 = 0, 99 = 1.00   · no value
";
        assert_eq!(heat_map(&map(3, 4), None, Style::default()), expected);
    }

    #[test]
    fn a_big_model_fits() {
        let text = heat_map(&map(48, 64), None, Style::default());
        assert_eq!(text.lines().count(), 48 + 6, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("0    5    10   15"), "{text}");
        assert!(text.lines().nth(4).unwrap().starts_with("layer   0 ▁·▁"), "{text}");
    }

    #[test]
    fn a_narrow_terminal_gets_blocks() {
        let text = heat_map(&map(2, 64), None, Style { width: 40, colour: false });
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert_eq!(text.matches("head").count(), 3, "{text}");
    }

    #[test]
    fn colour_paints_two_columns_a_cell_and_leaves_missing_ones_bare() {
        let text = heat_map(&map(1, 3), None, Style { width: 80, colour: true });
        let row = "layer  0 \u{1b}[48;2;68;1;84m  \u{1b}[0m ·\u{1b}[48;2;253;231;37m  \u{1b}[0m";
        assert_eq!(text.lines().nth(4), Some(row));
    }

    #[test]
    fn a_fixed_range_holds_and_nothing_to_show_is_said() {
        let text = heat_map(&map(3, 4), Some((0.0, 10.0)), Style::default());
        assert!(text.contains("00 = 0, 99 = 10.0") && text.contains(" 09"), "{text}");
        let mut empty = map(1, 2);
        empty.values.fill(f64::NAN);
        assert!(heat_map(&empty, None, Style::default()).ends_with("no values\n"));
        empty.values = Array2::zeros((0, 0));
        assert!(heat_map(&empty, None, Style::default()).ends_with("no values\n"));
    }
}
