//! The data of a page: what the format JSON holds, in less space, and found again in the text of a page.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::super::{Cell, Report, Table};

/// Begins a page; a file of a result begins with a brace.
const DOCTYPE: &str = "<!doctype html>";
/// Around the data of a run; nothing inside them is a `<`.
const OPEN: &str = r#"<script type="application/json" id="run-"#;
const CLOSE: &str = "</script>";
/// Bytes of all rows in full precision, and rounded, that a page holds at most.
const EXACT: usize = 500_000;
const ROUNDED: usize = 800_000;
/// Significant digits of rounded numbers: those of f32.
const DIGITS: usize = 7;

/// What of a result a page keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// The result as JSON, with rows as lists.
    pub json: String,
    /// How many columns of the rows were left out.
    pub left_out: usize,
    /// What it lacks, in sentences; they are among the notes of the JSON too.
    pub notes: Vec<String>,
}

/// The result within a page's space: exact where it fits, else rounded, else without the last columns, of which those in
/// `first` are the last to go.
pub fn kept(report: &Report, first: &[String]) -> Kept {
    let of = |rows: &Table, digits: Option<usize>| {
        let (all, left_out) = (report.rows.columns.len(), report.rows.columns.len() - rows.columns.len());
        let mut notes = Vec::new();
        notes.extend(digits.map(|digits| {
            format!(
                "from a page, whose numbers have {digits} significant digits: result.json of the run has all"
            )
        }));
        if left_out > 0 {
            let which = "are not on the page, which would be too long: result.csv of the run has them";
            notes.push(format!("{left_out} of {all} columns {which}"));
        }
        Kept { json: json(report, rows, digits, &notes), left_out, notes }
    };
    let exact = of(&report.rows, None);
    if exact.json.len() <= EXACT {
        return exact;
    }
    let rounded = of(&report.rows, Some(DIGITS));
    if rounded.json.len() <= ROUNDED {
        return rounded;
    }
    let empty = Table { rows: Vec::new(), ..report.rows.clone() };
    let mut room = ROUNDED.saturating_sub(json(report, &empty, Some(DIGITS), &[]).len());
    let names = report.rows.columns.iter().map(|column| &column.name);
    let order = first.iter().chain(names.filter(|name| !first.contains(*name)));
    let mut columns: Vec<&String> = Vec::new();
    for name in order {
        let cells = report.rows.cells(name).into_iter().flatten();
        let size: usize = cells.map(|cell| value(cell, Some(DIGITS)).to_string().len() + 1).sum();
        if size > room {
            break;
        }
        room -= size;
        columns.push(name);
    }
    // In the order of the result.
    let names = report.rows.columns.iter().map(|column| &column.name);
    let names: Vec<&String> = names.filter(|name| columns.contains(name)).collect();
    of(&report.rows.select(&names).unwrap_or_default(), Some(DIGITS))
}

fn json(report: &Report, rows: &Table, digits: Option<usize>, more: &[String]) -> String {
    let mut object = Map::new();
    object.insert("stamp".into(), report.stamp.to_json());
    let mut all = table(rows, digits);
    let notes = rows.notes.iter().chain(&report.notes).chain(more).cloned().collect();
    all.insert("notes".into(), notes);
    object.extend(all);
    let views = report.views.iter().map(|(name, view)| (name.clone(), table(view, digits).into()));
    object.insert("views".into(), Value::Object(views.collect()));
    // Inside a string the escape means the same; outside of strings there is none.
    Value::Object(object).to_string().replace('<', "\\u003c")
}

fn table(table: &Table, digits: Option<usize>) -> Map<String, Value> {
    let mut object = super::super::json::head(table);
    let row = |cells: &Vec<Cell>| Value::Array(cells.iter().map(|cell| value(cell, digits)).collect());
    object.insert("rows".into(), table.rows.iter().map(row).collect());
    object.insert("notes".into(), table.notes.clone().into());
    object
}

fn value(cell: &Cell, digits: Option<usize>) -> Value {
    match cell {
        Cell::Missing => Value::Null,
        Cell::Int(value) => (*value).into(),
        Cell::Float(value) if !value.is_finite() => Value::Array(vec![value.to_string().into()]),
        Cell::Float(value) => {
            let rounded = digits.and_then(|digits| format!("{value:.*e}", digits - 1).parse().ok());
            rounded.unwrap_or(*value).into()
        }
        Cell::Text(text) => text.clone().into(),
        Cell::Bool(value) => (*value).into(),
    }
}

/// Whether a page ends as it should.
pub fn is_whole(page: &str) -> bool {
    page.trim_end().ends_with("</html>")
}

/// Whether a text is a page, and not a result by itself.
pub fn is_page(text: &str) -> bool {
    text.get(..DOCTYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(DOCTYPE))
}

/// The results that a page holds, each as JSON that [`Report::from_json`] reads.
pub fn data_of(page: &str) -> Vec<&str> {
    let after = page.split(OPEN).skip(1);
    after.filter_map(|rest| rest.split_once('>')?.1.split_once(CLOSE)).map(|(data, _)| data).collect()
}

/// The element that holds data.
pub(super) fn element(id: &str, json: &str, html: &mut String) {
    let _ = writeln!(html, r#"<script type="application/json" id="{id}">{json}{CLOSE}"#);
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::super::{Page, to_html};
    use super::*;

    fn page(report: &Report) -> String {
        let data = (0..2).map(|run| (format!("run-{run}"), kept(report, &[]).json)).collect();
        to_html(&Page { title: "a & <b>".into(), data, ..Page::default() })
    }

    #[test]
    fn what_a_page_holds_is_read_back_as_it_was() {
        let mut report = sample::report();
        report.notes.push("</script><script>alert(1)</script> & \"quoted\"".into());
        let html = page(&report);
        assert!(is_page(&html) && !is_page("{}") && !is_page("<!doc"));
        let runs = data_of(&html);
        assert_eq!(runs.len(), 2);
        for run in runs {
            let back = Report::from_json(run).unwrap();
            assert_eq!(json(&back, &back.rows, None, &[]), json(&report, &report.rows, None, &[]));
            assert_eq!(back.notes, report.notes);
            assert!(matches!(back.rows.rows[1][2], Cell::Float(value) if value.is_nan()));
        }
        assert!(!html.contains("<script>alert"));
    }

    #[test]
    fn a_long_result_is_rounded_and_then_loses_columns() {
        let columns = (0..60).map(|at| {
            super::super::super::Column::new(format!("c{at}"), "", "", super::super::super::Digits::Fixed(3))
        });
        let mut report = Report { rows: Table::new("t", columns.collect()), ..Report::default() };
        let push = |report: &mut Report, rows: usize| {
            for row in 0..rows {
                let value = |at: usize| Cell::Float(1.0 / (1.0 + row as f64 + 1000.0 * at as f64));
                report.rows.push((0..60).map(value).collect());
            }
        };
        push(&mut report, 10);
        assert_eq!((kept(&report, &[]).notes.len(), kept(&report, &[]).left_out), (0, 0));
        push(&mut report, 600);
        let rounded = kept(&report, &[]);
        assert_eq!((rounded.notes.len(), rounded.left_out), (1, 0));
        push(&mut report, 3000);
        let first = ["c59".to_string(), "c3".to_string()];
        let some = kept(&report, &first);
        assert!(some.json.len() <= ROUNDED && some.left_out > 30 && some.left_out < 58, "{}", some.left_out);
        let back = Report::from_json(&some.json).unwrap();
        assert!(some.notes.len() == 2 && back.notes.ends_with(&some.notes));
        assert!(back.rows.index("c59").is_ok() && back.rows.index("c3").is_ok());
        let (one, other) = (&back.rows.rows[7][0], &report.rows.rows[7][0]);
        assert!((one.number().unwrap() / other.number().unwrap() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn rows_without_names_must_have_a_value_for_each_column() {
        for row in ["[1]", "[1,2,3]", "[1,[2]]", "[1,[]]", "[1,{}]"] {
            let text =
                format!(r#"{{"stamp":{{}},"columns":[{{"name":"a"}},{{"name":"b"}}],"rows":[{row}]}}"#);
            let error = Report::from_json(&text).unwrap_err().to_string();
            assert!(error.contains("accepted") && !error.contains('\n'), "{error}");
        }
    }
}
