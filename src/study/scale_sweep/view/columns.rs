//! Columns, a line each.

use crate::report::{Column, Digits, Table};

/// Name, unit, meaning and printed digits.
pub(super) type Described = (&'static str, &'static str, &'static str, Digits);

pub(super) const TEXT: Digits = Digits::Text;
pub(super) const WHOLE: Digits = Digits::Integer;
/// Significant digits.
pub(super) const S2: Digits = Digits::Significant(2);
pub(super) const S3: Digits = Digits::Significant(3);
pub(super) const S4: Digits = Digits::Significant(4);
/// Decimals.
pub(super) const F2: Digits = Digits::Fixed(2);
pub(super) const F3: Digits = Digits::Fixed(3);

pub(super) fn columns(described: &[Described]) -> Vec<Column> {
    described.iter().map(|(name, unit, about, digits)| Column::new(*name, *unit, *about, *digits)).collect()
}

pub(super) fn table(title: impl Into<String>, described: &[Described]) -> Table {
    Table::new(title, columns(described))
}
