//! How the rank grows with the length: a power of n, or only the logarithm that Linformer's theorem asks for.

use super::columns::Figure;
use super::summary::{Heads, head_cells, keys_for_people, windows_of};
use crate::report::{Cell, Column, Digits, Table};
use crate::stats;
use crate::study::input::Source;

/// The figures whose growth is fitted.
const FITTED: [&str; 2] = ["rank90_energy", "effective_rank"];

/// Both laws fitted to one head's figure.
struct Fit {
    exponent: stats::Interval,
    /// Root mean squares of what each law leaves, in units of the figure.
    power_rms: f64,
    log_rms: f64,
    log_slope: f64,
}

/// One row a head and figure: the exponent of the power law with its interval, beside the logarithm.
pub(super) fn table(heads: &Heads<'_>, source: &dyn Source, figures: &[Figure]) -> Table {
    let keys: Vec<Column> = keys_for_people(source).into_iter().filter(|column| column.name != "n").collect();
    let mut all = keys.clone();
    all.push(Column::new("figure", "", "whose growth with n is fitted", Digits::Text));
    for (name, about, digits) in [
        ("exponent", "slope of ln(figure) on ln(n)", Digits::Fixed(2)),
        ("exponent_low", "lower 95 % end of it (Student)", Digits::Fixed(2)),
        ("exponent_high", "upper 95 % end of it", Digits::Fixed(2)),
        ("power_rms", "root mean square that c n^exponent leaves", Digits::Fixed(1)),
        ("log_slope", "b of a + b ln(n)", Digits::Fixed(1)),
        ("log_rms", "root mean square that a + b ln(n) leaves", Digits::Fixed(1)),
        ("closer_law", "the law that leaves less: power or log", Digits::Text),
    ] {
        all.push(Column::new(name, "", about, digits));
    }
    let mut table = Table::new("Growth with n", all);
    let mut seen: Vec<(usize, usize, &str)> = Vec::new();
    for head in &heads.0 {
        let Some(first) = head.first() else { continue };
        let key = (first.layer, first.head, first.label.as_str());
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        for name in FITTED {
            let Some(index) = figures.iter().position(|figure| figure.metric.name == name) else { continue };
            let same = heads.0.iter().filter(|other| {
                other.first().is_some_and(|other| (other.layer, other.head, other.label.as_str()) == key)
            });
            let (mut n, mut value) = (Vec::new(), Vec::new());
            for head in same {
                for at in windows_of(head, |one| one.values.plain[index]).unwrap_or_default() {
                    n.push(head[0].n as f64);
                    value.push(at);
                }
            }
            let mut row = head_cells(first, &keys);
            row.push(name.into());
            row.extend(cells(fit(&n, &value)));
            table.push(row);
        }
    }
    table
}

fn fit(n: &[f64], value: &[f64]) -> Option<Fit> {
    let log_n: Vec<f64> = n.iter().map(|n| n.ln()).collect();
    let log_value: Vec<f64> = value.iter().map(|value| value.ln()).collect();
    let (power, log) = (stats::line(&log_n, &log_value)?, stats::line(&log_n, value)?);
    let by_power: Vec<f64> = log_n.iter().map(|x| power.at(*x).exp()).collect();
    let by_log: Vec<f64> = log_n.iter().map(|x| log.at(*x)).collect();
    Some(Fit {
        exponent: power.slope,
        power_rms: stats::rms_difference(&by_power, value),
        log_rms: stats::rms_difference(&by_log, value),
        log_slope: log.slope.mid,
    })
}

fn cells(fit: Option<Fit>) -> Vec<Cell> {
    let Some(fit) = fit else { return vec![Cell::Missing; 7] };
    let closer = if fit.power_rms < fit.log_rms { "power" } else { "log" };
    vec![
        fit.exponent.mid.into(),
        fit.exponent.low.into(),
        fit.exponent.high.into(),
        fit.power_rms.into(),
        fit.log_slope.into(),
        fit.log_rms.into(),
        closer.into(),
    ]
}

/// What the table of growth says in one line a figure, and what its intervals are.
pub(super) fn notes(table: &Table, lengths: usize) -> Vec<String> {
    if lengths == 2 {
        return vec!["two lengths decide between no laws: take three or more --seq-len".into()];
    }
    let mut notes: Vec<String> = FITTED.iter().filter_map(|name| over_heads(table, name)).collect();
    notes.push(
        "growth: exponents have Student's interval over lengths and windows; windows of different lengths share text, \
         so the interval is a little too narrow"
            .into(),
    );
    notes
}

/// The mean exponent of a figure over the heads, and how many are closer to the power law.
fn over_heads(table: &Table, name: &str) -> Option<String> {
    let place = |column: &str| table.index(column).ok();
    let (figure, exponent, closer) = (place("figure")?, place("exponent")?, place("closer_law")?);
    let rows: Vec<&Vec<Cell>> = table.rows.iter().filter(|row| row[figure] == Cell::from(name)).collect();
    let exponents: Vec<f64> = rows.iter().filter_map(|row| row[exponent].number()).collect();
    let interval = stats::student_mean(&exponents)?;
    let power = rows.iter().filter(|row| row[closer] == Cell::from("power")).count();
    Some(format!(
        "{name} grows as n^{:.2} in the mean over {} heads (95 % interval {:.2} to {:.2}); the power law is closer than \
         the logarithm in {power}",
        interval.mid,
        exponents.len(),
        interval.low,
        interval.high,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_law_is_closer_to_its_own_points() {
        let n = [64.0, 128.0, 256.0, 512.0];
        let power = fit(&n, &n.map(|n: f64| 2.0 * n.powf(0.8))).unwrap();
        assert!((power.exponent.mid - 0.8).abs() < 1e-12 && power.power_rms < 1e-10 && power.log_rms > 1.0);
        let log = fit(&n, &n.map(|n: f64| 3.0 + 5.0 * n.ln())).unwrap();
        assert!(log.log_rms < 1e-10 && log.power_rms > 0.1 && (log.log_slope - 5.0).abs() < 1e-10);
    }
}
