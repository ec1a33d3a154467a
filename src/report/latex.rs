//! Tables for a paper: what a person would read in the terminal, as LaTeX with the packages booktabs and siunitx.

use std::io::{self, Write};

use super::{Cell, Digits, Report, Style, Table};

pub(super) fn write(report: &Report, _: Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "% \\usepackage{{booktabs,siunitx}}")?;
    for view in report.readable() {
        table(view, out)?;
    }
    notes(&report.notes, out)
}

fn table(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let shown: Vec<Vec<String>> = (0..table.columns.len()).map(|at| cells(table, at)).collect();
    let kinds: Vec<String> = (0..shown.len()).map(|at| kind(table, at, &shown[at])).collect();
    writeln!(out, "\\begin{{table}}\n  \\centering")?;
    if !table.title.is_empty() {
        writeln!(out, "  \\caption{{{}}}", escape(&table.title))?;
    }
    writeln!(out, "  \\begin{{tabular}}{{{}}}\n    \\toprule", kinds.join(" "))?;
    let header = table.columns.iter().map(|column| {
        let unit = if column.unit.is_empty() { String::new() } else { format!(" ({})", column.unit) };
        format!("{{{}}}", escape(&format!("{}{unit}", column.name)))
    });
    writeln!(out, "    {} \\\\\n    \\midrule", header.collect::<Vec<_>>().join(" & "))?;
    for row in 0..table.rows.len() {
        let row: Vec<&str> = shown.iter().map(|column| column[row].as_str()).collect();
        writeln!(out, "    {} \\\\", row.join(" & "))?;
    }
    writeln!(out, "    \\bottomrule\n  \\end{{tabular}}\n\\end{{table}}")?;
    notes(&table.notes, out)
}

/// Comments: where a note belongs in a paper is for its author to say.
fn notes(notes: &[String], out: &mut dyn Write) -> io::Result<()> {
    notes.iter().try_for_each(|note| writeln!(out, "% {}", note.replace(['\n', '\r'], " ")))
}

/// Whether every cell is a number or missing.
fn is_numeric(table: &Table, at: usize) -> bool {
    table.columns[at].digits != Digits::Text
        && table.rows.iter().all(|row| matches!(row[at], Cell::Missing | Cell::Int(_) | Cell::Float(_)))
}

/// What stands in the cells of a column. Braces keep siunitx from reading what is no number.
fn cells(table: &Table, at: usize) -> Vec<String> {
    let numeric = is_numeric(table, at);
    let cell = |cell: &Cell| match cell {
        Cell::Missing if numeric => "{--}".into(),
        Cell::Missing => "--".into(),
        Cell::Int(_) | Cell::Float(_) if numeric && cell.number().is_some_and(f64::is_finite) => {
            cell.show(table.columns[at].digits)
        }
        _ => format!("{{{}}}", escape(&cell.show(table.columns[at].digits))),
    };
    table.rows.iter().map(|row| cell(&row[at])).collect()
}

/// The kind of a column: left-aligned text, or numbers aligned at their decimal points.
fn kind(table: &Table, at: usize, shown: &[String]) -> String {
    if !is_numeric(table, at) {
        return "l".into();
    }
    let (mut sign, mut whole, mut decimals, mut exponent) = ("", 1, 0, String::new());
    for number in shown.iter().filter(|number| !number.starts_with('{')) {
        let (mantissa, power) = number.split_once('e').unwrap_or((number, ""));
        let unsigned = mantissa.trim_start_matches('-');
        let (before, after) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        if unsigned.len() < mantissa.len() {
            sign = "-";
        }
        whole = whole.max(before.len());
        decimals = decimals.max(after.len());
        if !power.is_empty() {
            let digits =
                power.trim_start_matches('-').len().max(exponent.trim_start_matches(['e', '-']).len());
            let minus = if power.starts_with('-') || exponent.starts_with("e-") { "-" } else { "" };
            exponent = format!("e{minus}{}", "9".repeat(digits));
        }
    }
    let decimals = if decimals == 0 { String::new() } else { format!(".{decimals}") };
    format!("S[table-format={sign}{whole}{decimals}{exponent}]")
}

/// Text in which nothing is a command.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', c]),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '|' => escaped.push_str("\\textbar{}"),
            '"' => escaped.push_str("\\textquotedbl{}"),
            '\n' | '\r' => escaped.push(' '),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::super::{Column, sample};
    use super::*;

    fn written(report: &Report) -> String {
        let mut out = Vec::new();
        write(report, Style::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// A report whose cells have every character that LaTeX reads as a command.
    fn hostile() -> Report {
        let columns = vec![
            Column::new("a_b & c%", "ms", "", Digits::Significant(3)),
            Column::new("#1 {x}", "", "", Digits::Text),
            Column::new("s^2 ~ $", "", "", Digits::Significant(3)),
            Column::new("n", "", "", Digits::Integer),
        ];
        let mut rows = Table::new("\\input{x} 50 % of {all} <b>", columns);
        rows.push(vec![(-0.012).into(), "\\end{table} | \"q\"".into(), 1.5e-7.into(), 12.into()]);
        rows.push(vec![123.4.into(), "luna:p=x,l=16".into(), 2e12.into(), Cell::Missing]);
        rows.push(vec![f64::NAN.into(), Cell::Missing, f64::INFINITY.into(), 3.into()]);
        Report { rows, notes: vec!["a note with % and \\ and\na line".into()], ..Report::default() }
    }

    #[test]
    fn a_table_has_rules_and_aligned_numbers() {
        let expected = "% \\usepackage{booktabs,siunitx}\n\
                        \\begin{table}\n  \\centering\n  \\caption{spectra}\n  \
                        \\begin{tabular}{l S[table-format=2.3]}\n    \\toprule\n    \
                        {head} & {effective\\_rank} \\\\\n    \\midrule\n    \
                        {0.0} & 34.6 \\\\\n    \
                        {0.1, \\textquotedbl{}q\\textbar{}k\\textquotedbl{}} & {NaN} \\\\\n    \
                        {λ} & 0.333 \\\\\n    \
                        \\bottomrule\n  \\end{tabular}\n\\end{table}\n\
                        % one head of three is lower than its null model\n";
        assert_eq!(written(&sample::report()), expected);
        let hostile = written(&hostile());
        assert!(
            hostile.contains("{S[table-format=-3.4] l S[table-format=1.2e-99] S[table-format=2]}"),
            "{hostile}"
        );
    }

    #[test]
    fn it_compiles() {
        let found = Command::new("kpsewhich").args(["siunitx.sty", "booktabs.sty"]).output();
        if !found.is_ok_and(|found| found.status.success()) {
            eprintln!(
                "skipped: no LaTeX with siunitx and booktabs here (Debian: texlive-latex-base, texlive-science)"
            );
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let head = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs,siunitx}\n\
                    \\DeclareUnicodeCharacter{03BB}{\\ensuremath{\\lambda}}\\begin{document}\n";
        let text = format!("{head}{}{}\\end{{document}}\n", written(&sample::report()), written(&hostile()));
        std::fs::write(dir.path().join("page.tex"), text).unwrap();
        let mut latex = Command::new("pdflatex");
        latex.args(["-interaction=nonstopmode", "-halt-on-error", "page.tex"]).current_dir(dir.path());
        let ran = latex.stdin(Stdio::null()).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    }
}
