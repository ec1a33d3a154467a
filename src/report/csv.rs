//! The full result as comma-separated values: one header, full precision, empty for missing values.

use std::io::{self, Write};

use super::{Report, Style, Table};

pub(super) fn write(report: &Report, _: Style, out: &mut dyn Write) -> io::Result<()> {
    table(&report.rows, out)
}

/// Writes one table.
pub(super) fn table(table: &Table, out: impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(table.columns.iter().map(|column| &column.name)).map_err(own)?;
    for row in &table.rows {
        writer.write_record(row.iter().map(super::Cell::exact)).map_err(own)?;
    }
    writer.flush()
}

/// The error of the underlying file: its kind distinguishes a closed pipe from a full disk, and the conversion of the csv crate
/// loses it.
fn own(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn commas_and_quotes_are_quoted() {
        let mut out = Vec::new();
        table(&sample::report().rows, &mut out).unwrap();
        let expected = "head,rank90_energy,effective_rank,lower_than_null\n\
                        0.0,12,34.567,true\n\
                        \"0.1, \"\"q|k\"\"\",,NaN,false\n\
                        λ,3,0.3333333333333333,\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
