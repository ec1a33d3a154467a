//! Everything as JSON: stamp, columns with units and shown digits, rows in full precision, views, notes.
//!
//! JSON has no NaN: a number that is not finite is written as null, and its row gets an entry `status`
//! that names the column and the value (`{"effective_rank": "NaN"}`). Each row has a line of
//! its own, so that two results can be compared line by line.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{Cell, Report, Style, Table};

pub(super) fn write(report: &Report, _: Style, out: &mut dyn Write) -> io::Result<()> {
    lay(&value(report), 0, out)?;
    writeln!(out)
}

/// Every row as a line of its own.
pub(super) fn lines(report: &Report, _: Style, out: &mut dyn Write) -> io::Result<()> {
    report.rows.rows.iter().try_for_each(|cells| writeln!(out, "{}", row(&report.rows, cells)))
}

/// The whole report but for its figures and arrays.
fn value(report: &Report) -> Value {
    let named = |tables: &[(String, Table)]| -> Map<String, Value> {
        let with_notes = |(name, view): &(String, Table)| {
            let mut object = table(view);
            object.insert("notes".into(), view.notes.clone().into());
            (name.clone(), Value::Object(object))
        };
        tables.iter().map(with_notes).collect()
    };
    let mut object = Map::new();
    object.insert("stamp".into(), report.stamp.to_json());
    object.extend(table(&report.rows));
    object.insert("views".into(), Value::Object(named(&report.views)));
    if !report.tables.is_empty() {
        object.insert("tables".into(), Value::Object(named(&report.tables)));
    }
    object.insert("notes".into(), report.rows.notes.iter().chain(&report.notes).cloned().collect());
    Value::Object(object)
}

fn table(table: &Table) -> Map<String, Value> {
    let mut object = head(table);
    object.insert("rows".into(), table.rows.iter().map(|cells| row(table, cells)).collect());
    object
}

/// What a table is, without its rows.
pub(super) fn head(table: &Table) -> Map<String, Value> {
    let column = |c: &super::Column| json!({ "name": c.name, "unit": c.unit, "about": c.about, "digits": c.digits.to_string() });
    let mut object = Map::new();
    object.insert("title".into(), table.title.clone().into());
    object.insert("columns".into(), table.columns.iter().map(column).collect());
    object
}

fn row(table: &Table, cells: &[Cell]) -> Value {
    let mut object = Map::new();
    let mut status = Map::new();
    for (column, cell) in table.columns.iter().zip(cells) {
        let value = match cell {
            Cell::Missing => Value::Null,
            Cell::Int(value) => (*value).into(),
            Cell::Float(value) => {
                if !value.is_finite() {
                    status.insert(column.name.clone(), value.to_string().into());
                }
                // Null if it is not finite.
                (*value).into()
            }
            Cell::Text(text) => text.clone().into(),
            Cell::Bool(value) => (*value).into(),
        };
        object.insert(column.name.clone(), value);
    }
    if !status.is_empty() {
        object.insert("status".into(), Value::Object(status));
    }
    Value::Object(object)
}

/// Objects have a line for each key, lists a line for each element.
fn lay(value: &Value, depth: usize, out: &mut dyn Write) -> io::Result<()> {
    let indent = |depth: usize| "  ".repeat(depth);
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (index, (key, value)) in object.iter().enumerate() {
                let open = if index == 0 { "{" } else { "," };
                write!(out, "{open}\n{}{}: ", indent(depth + 1), Value::from(key.as_str()))?;
                lay(value, depth + 1, out)?;
            }
            write!(out, "\n{}}}", indent(depth))
        }
        Value::Array(list) if list.iter().any(|element| element.is_object() || element.is_string()) => {
            for (index, element) in list.iter().enumerate() {
                let open = if index == 0 { "[" } else { "," };
                write!(out, "{open}\n{}{element}", indent(depth + 1))?;
            }
            write!(out, "\n{}]", indent(depth))
        }
        _ => write!(out, "{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn what_is_not_finite_is_null_and_named() {
        let value = value(&sample::report());
        let row = &value["rows"][1];
        assert_eq!(row["effective_rank"], Value::Null);
        assert_eq!(row["status"], json!({ "effective_rank": "NaN" }));
        assert!(value["rows"][0].get("status").is_none());
    }

    #[test]
    fn lines_are_rows() {
        let mut out = Vec::new();
        lines(&sample::report(), Style::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let read: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(Value::Array(read), value(&sample::report())["rows"]);
    }

    #[test]
    fn each_row_has_a_line() {
        let mut out = Vec::new();
        write(&sample::report(), Style::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let line =
            "    {\"head\":\"0.0\",\"rank90_energy\":12,\"effective_rank\":34.567,\"lower_than_null\":true},";
        assert!(text.lines().any(|found| found == line), "{text}");
        let keys: Value = serde_json::from_str(&text).unwrap();
        let keys: Vec<_> = keys.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["stamp", "title", "columns", "rows", "views", "notes"]);
    }
}
