//! Reading a result, for tools that draw, compare or check earlier measurements.

use serde_json::{Map, Value};

use super::{Cell, Column, Digits, Report, Table};
use crate::{Error, Result};

impl Report {
    /// Reads what the format `json` wrote: stamp, rows, views, tables and notes. Figures and arrays are not in it; where a
    /// column does not say how many digits are shown, its cells decide.
    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Error::value("result", error, "JSON as `--format json` writes it"))?;
        let object = object(&value, "result")?;
        let mut rows = table(object)?;
        let stamp = self::object(object.get("stamp").unwrap_or(&Value::Null), "stamp")?;
        Ok(Self {
            stamp: stamp.clone().into_iter().collect(),
            notes: std::mem::take(&mut rows.notes),
            rows,
            views: named(object, "views")?,
            tables: named(object, "tables")?,
            ..Self::default()
        })
    }
}

/// The tables under a key, by their names.
fn named(source: &Map<String, Value>, key: &str) -> Result<Vec<(String, Table)>> {
    let Some(value) = source.get(key) else { return Ok(Vec::new()) };
    let all = object(value, key)?.iter();
    all.map(|(name, value)| Ok((name.clone(), table(object(value, name)?)?))).collect()
}

fn table(source: &Map<String, Value>) -> Result<Table> {
    let mut columns: Vec<Column> = Vec::new();
    let mut known_digits = Vec::new();
    for value in list(source, "columns")? {
        let column = object(value, "columns")?;
        let text = |key| column.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = text("name");
        if name.is_empty() || name == "status" || columns.iter().any(|known| known.name == name) {
            return Err(Error::value(
                "column",
                name,
                "a name that is not empty, not 'status', and given once",
            ));
        }
        known_digits.push(Digits::read(&text("digits")));
        columns.push(Column { name, unit: text("unit"), about: text("about"), digits: Digits::Text });
    }
    let rows = list(source, "rows")?.iter().map(|value| row(&columns, value)).collect::<Result<Vec<_>>>()?;
    for (index, column) in columns.iter_mut().enumerate() {
        column.digits = known_digits[index].unwrap_or_else(|| guess(rows.iter().map(|row| &row[index])));
    }
    let notes = source.get("notes").and_then(Value::as_array);
    Ok(Table {
        title: source.get("title").and_then(Value::as_str).unwrap_or_default().into(),
        columns,
        rows,
        notes: notes.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect(),
    })
}

/// A row by the names of its columns, or, on a page, in their order.
fn row(columns: &[Column], value: &Value) -> Result<Vec<Cell>> {
    if let Value::Array(values) = value {
        if values.len() != columns.len() {
            let accepted = format!("{}, one for each column", columns.len());
            return Err(Error::value("values in a row", values.len(), accepted));
        }
        return columns.iter().zip(values).map(|(column, value)| cell(column, Some(value))).collect();
    }
    let row = object(value, "rows")?;
    let lost = |name: &str| row.get("status")?.get(name)?.as_str()?.parse().ok().map(Cell::Float);
    let named = |column: &Column| match cell(column, row.get(&column.name))? {
        Cell::Missing => Ok(lost(&column.name).unwrap_or_default()),
        cell => Ok(cell),
    };
    columns.iter().map(named).collect()
}

fn cell(column: &Column, value: Option<&Value>) -> Result<Cell> {
    let wrong = |value: &Value| Error::value(&column.name, value, "a number, a text, true, false or null");
    Ok(match value {
        None | Some(Value::Null) => Cell::Missing,
        Some(Value::Bool(value)) => Cell::Bool(*value),
        Some(Value::String(text)) => Cell::Text(text.clone()),
        Some(Value::Number(number)) => {
            let float = || number.as_f64().map_or(Cell::Missing, Cell::Float);
            number.as_i64().map_or_else(float, Cell::Int)
        }
        // A number that is not finite, in a row without names.
        Some(Value::Array(one)) => {
            let number = one.first().and_then(Value::as_str).and_then(|text| text.parse().ok());
            Cell::Float(number.ok_or_else(|| wrong(&Value::from(one.clone())))?)
        }
        Some(other) => return Err(wrong(other)),
    })
}

fn guess<'a>(cells: impl Iterator<Item = &'a Cell>) -> Digits {
    cells.fold(Digits::Integer, |digits, cell| match (digits, cell) {
        (Digits::Text, _) | (_, Cell::Text(_) | Cell::Bool(_)) => Digits::Text,
        (_, Cell::Float(_)) => Digits::Significant(4),
        (digits, _) => digits,
    })
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| Error::value(format!("'{what}' of a result"), kind(value), "an object"))
}

fn list<'a>(source: &'a Map<String, Value>, key: &str) -> Result<&'a Vec<Value>> {
    let value = source.get(key).unwrap_or(&Value::Null);
    value.as_array().ok_or_else(|| Error::value(format!("'{key}' of a result"), kind(value), "a list"))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Style, sample};
    use super::*;

    fn written(report: &Report) -> String {
        let mut out = Vec::new();
        Format::find("json").unwrap().write(report, Style::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_result_survives_the_round_trip() {
        let mut report = sample::report();
        report.tables.push(("long".into(), report.rows.clone()));
        let text = written(&report);
        let back = Report::from_json(&text).unwrap();
        assert_eq!(written(&back), text);
        assert_eq!(back.stamp, report.stamp);
        assert_eq!(back.notes, report.notes);
        assert_eq!(back.views[0].0, "summary");
        assert_eq!(back.rows.rows[0], report.rows.rows[0]);
        assert!(matches!(back.rows.rows[1][2], Cell::Float(value) if value.is_nan()));
        let digits = |report: &Report| report.rows.column("effective_rank").unwrap().digits;
        assert_eq!(digits(&back), digits(&report));
        let undeclared = Report::from_json(&text.replace("\"digits\"", "\"decimals\"")).unwrap();
        assert_eq!(digits(&undeclared), Digits::Significant(4));
    }

    #[test]
    fn what_is_not_a_result_is_refused_in_one_line() {
        let twice = r#"{"stamp":{},"columns":[{"name":"a"},{"name":"a"}],"rows":[]}"#;
        let nested = r#"{"stamp":{},"columns":[{"name":"a"}],"rows":[{"a":[1]}]}"#;
        for text in ["", "[]", "{}", r#"{"columns":3,"rows":[]}"#, twice, nested] {
            let error = Report::from_json(text).unwrap_err().to_string();
            assert!(error.contains("accepted") && !error.contains('\n'), "{text}: {error}");
        }
    }
}
