//! Reading costs from the rows of a sweep.

use super::evidence::{Row, Rows};
use crate::error::{Error, Result};
use crate::report::Report;
use crate::stats::Interval;

/// The row of a mechanism in one form.
fn row<'a>(report: &'a Report, mechanism: &str, form: &str) -> Result<Row<'a>> {
    for row in Rows(&report.rows).each() {
        if row.is("mechanism", mechanism)? && row.is("form", form)? {
            return Ok(row);
        }
    }
    Err(Error::Refused(format!("the sweep has no row of {mechanism} ({form})")))
}

/// A figure of a mechanism in one form.
pub(super) fn of(report: &Report, mechanism: &str, form: &str, column: &str) -> Result<f64> {
    let missing = || Error::Refused(format!("{column} of {mechanism} ({form}) was not measured"));
    row(report, mechanism, form)?.number(column)?.ok_or_else(missing)
}

/// How many times as fast a mechanism is as exact attention with its n x n matrices, and as its fused form.
///
/// The interval is of the ratio of two medians with intervals of their own: from the least of the one over the most of the other
/// to the opposite. Where both have normal errors, it covers at least as often as they do, however they depend on each other.
pub(super) fn speedups(report: &Report, mechanism: &str) -> Result<(Interval, f64)> {
    let [mid, low, high] = ["time_s", "time_low_s", "time_high_s"];
    let exact = |column| of(report, "softmax", "n x n", column);
    let own = |column| of(report, mechanism, "fused", column);
    let interval = Interval {
        mid: exact(mid)? / own(mid)?,
        low: exact(low)? / own(high)?,
        high: exact(high)? / own(low)?,
    };
    Ok((interval, of(report, mechanism, "fused", "speedup")?))
}
