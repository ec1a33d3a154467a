//! Digits of columns by short names, so that a column is a line.

use crate::report::Digits;

pub(super) const TEXT: Digits = Digits::Text;
pub(super) const WHOLE: Digits = Digits::Integer;
/// Significant digits.
pub(super) const S2: Digits = Digits::Significant(2);
pub(super) const S3: Digits = Digits::Significant(3);
pub(super) const S4: Digits = Digits::Significant(4);
/// Decimals.
pub(super) const F2: Digits = Digits::Fixed(2);
pub(super) const F3: Digits = Digits::Fixed(3);
