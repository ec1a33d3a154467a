//! Every row as Parquet: a column for each column of the result, numbers in 64 bits, missing values as null. The title, the
//! stamp and the units stand in the metadata of the file, as JSON under the keys `title`, `stamp` and `units`.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::{Cell, Report, Style, Table};

pub(super) fn write(report: &Report, _: Style, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&file(report).map_err(io::Error::other)?)
}

fn file(report: &Report) -> Result<Vec<u8>, ParquetError> {
    let rows = &report.rows;
    let physical: Vec<Physical> = (0..rows.columns.len()).map(|at| physical(rows, at)).collect();
    let field = |(at, column): (usize, &super::Column)| {
        let text = (physical[at] == Physical::BYTE_ARRAY).then_some(LogicalType::String);
        let field = Type::primitive_type_builder(&column.name, physical[at])
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(text);
        field.build().map(Arc::new)
    };
    let fields = rows.columns.iter().enumerate().map(field).collect::<Result<Vec<_>, _>>()?;
    let schema = Arc::new(Type::group_type_builder("rows").with_fields(fields).build()?);
    let units: Map<String, Value> =
        rows.columns.iter().map(|column| (column.name.clone(), column.unit.clone().into())).collect();
    let told = [
        ("title", rows.title.clone()),
        ("stamp", report.stamp.to_json().to_string()),
        ("units", Value::Object(units).to_string()),
    ];
    let told = told.map(|(key, value)| KeyValue::new(key.to_string(), value)).to_vec();
    let properties = WriterProperties::builder().set_key_value_metadata(Some(told)).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let mut at = 0;
    while let Some(mut column) = group.next_column()? {
        match physical[at] {
            Physical::BOOLEAN => put::<BoolType>(rows, at, &mut column, |cell| match cell {
                Cell::Bool(value) => Some(*value),
                _ => None,
            }),
            Physical::INT64 => put::<Int64Type>(rows, at, &mut column, |cell| match cell {
                Cell::Int(value) => Some(*value),
                _ => None,
            }),
            Physical::DOUBLE => put::<DoubleType>(rows, at, &mut column, Cell::number),
            _ => put::<ByteArrayType>(rows, at, &mut column, |cell| match cell {
                Cell::Missing => None,
                cell => Some(ByteArray::from(cell.exact().into_bytes())),
            }),
        }?;
        column.close()?;
        at += 1;
    }
    group.close()?;
    writer.into_inner()
}

/// What holds every cell of a column: whole numbers become real ones, and anything text, where they are mixed.
fn physical(rows: &Table, at: usize) -> Physical {
    let kind = |cell: &Cell| match cell {
        Cell::Missing => None,
        Cell::Bool(_) => Some(Physical::BOOLEAN),
        Cell::Int(_) => Some(Physical::INT64),
        Cell::Float(_) => Some(Physical::DOUBLE),
        Cell::Text(_) => Some(Physical::BYTE_ARRAY),
    };
    let kinds = rows.rows.iter().filter_map(|row| kind(&row[at]));
    let all = kinds.reduce(|one, other| match (one, other) {
        (one, other) if one == other => one,
        (Physical::INT64, Physical::DOUBLE) | (Physical::DOUBLE, Physical::INT64) => Physical::DOUBLE,
        _ => Physical::BYTE_ARRAY,
    });
    all.unwrap_or(Physical::DOUBLE)
}

fn put<T: DataType>(
    rows: &Table,
    at: usize,
    column: &mut SerializedColumnWriter<'_>,
    value: impl Fn(&Cell) -> Option<T::T>,
) -> Result<usize, ParquetError> {
    let cells: Vec<Option<T::T>> = rows.rows.iter().map(|row| value(&row[at])).collect();
    let is_there: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    let values: Vec<T::T> = cells.into_iter().flatten().collect();
    column.typed::<T>().write_batch(&values, Some(&is_there), None)
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::super::sample;
    use super::*;

    #[test]
    fn rows_are_read_back_with_their_kinds() {
        let mut report = sample::report();
        report.rows.rows[0][1] = 0.5.into();
        let dir = tempfile::tempfile().unwrap();
        (&dir).write_all(&file(&report).unwrap()).unwrap();
        let reader = SerializedFileReader::new(dir).unwrap();
        let told = reader.metadata().file_metadata().key_value_metadata().unwrap();
        assert_eq!(told[1].value.as_deref(), Some(r#"{"version":"0.1.0","seed":7}"#));
        let rows: Vec<Vec<Field>> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| row.unwrap().get_column_iter().map(|(_, field)| field.clone()).collect())
            .collect();
        let text = |text: &str| Field::Str(text.into());
        let whole = [text("0.0"), Field::Double(0.5), Field::Double(34.567), Field::Bool(true)];
        assert_eq!(rows[0], whole);
        assert_eq!((&rows[1][0], &rows[1][1]), (&text("0.1, \"q|k\""), &Field::Null));
        assert!(matches!(rows[1][2], Field::Double(value) if value.is_nan()));
        assert_eq!(rows[2], [text("λ"), Field::Double(3.0), Field::Double(1.0 / 3.0), Field::Null]);
    }
}
