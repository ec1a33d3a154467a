//! Claims of Linformer (Wang et al. 2020).

use super::evidence::{Evidence, Rows, less};
use super::judge::{Figure, Judge};
use super::setting::Setting;
use super::statement::{Claim, On};
use crate::error::{Error, Result};
use crate::report::Report;
use crate::stats;

/// Figure 1: the share of the sum of singular values in the first quarter (128 of 512).
pub(super) const SPECTRUM: Claim = Claim {
    name: "linformer-spectrum",
    about: "more of the sum of singular values lies in the first quarter of them than in random attention of the same temperature",
    source: "Wang et al. 2020, figure 1",
    figure: "share in the first n/4, less that of the nearer null model",
    published: None,
    judge: Judge::Above(0.0),
    on: On::Heads,
    measure: spectrum,
};

fn spectrum(setting: &Setting<'_>) -> Result<Evidence> {
    let k = (setting.n / 4).max(1);
    let (command, report) = setting.spectra(&format!("--at {k} --null gaussian,shuffled"), &[setting.n])?;
    let rows = Rows(&report.rows);
    let own = format!("cum_l1_at_{k}");
    let share = stats::mean(&rows.by_window(|row| row.number(&own))?);
    let [of_gaussian, of_shuffled] =
        ["gaussian", "shuffled"].map(|null| format!("null_{null}_cum_l1_at_{k}"));
    let beyond = |of_null: &str| {
        rows.by_window(|row| Ok(row.number(&own)?.zip(row.number(of_null)?).map(|(own, null)| own - null)))
    };
    let (gaussian, shuffled) = (beyond(&of_gaussian)?, beyond(&of_shuffled)?);
    let (values, null) = if stats::mean(&gaussian) < stats::mean(&shuffled) {
        (gaussian, "gaussian")
    } else {
        (shuffled, "shuffled")
    };
    let note =
        format!("share in the first {k} of {}: {share:.3}; the nearer null model is {null}", setting.n);
    Ok(Evidence {
        note: Some(note),
        ..windows(values, (command, report), &[&own, &of_gaussian, &of_shuffled])?
    })
}

/// Section 4: the rank of attention is of the order of log n.
pub(super) const LOG_RANK: Claim = Claim {
    name: "linformer-log-rank",
    about: "the effective rank grows no faster than log n: a doubling of n adds no more than the doubling before",
    source: "Wang et al. 2020, theorem 1: rank Theta(log n)",
    figure: "rank that the second doubling adds, over that of the first",
    published: Some("1"),
    judge: Judge::Below(1.1),
    on: On::Heads,
    measure: log_rank,
};

fn log_rank(setting: &Setting<'_>) -> Result<Evidence> {
    let lengths = setting.lengths()?;
    let (command, report) = setting.spectra("--null none", &lengths)?;
    let rows = Rows(&report.rows);
    let [quarter, half, all] = lengths.map(|n| rows.of_windows("effective_rank", "n", n));
    let (quarter, half, all) = (quarter?, half?, all?);
    let (first, second) = (less(&half, &quarter), less(&all, &half));
    // The interval of a ratio is that of a line through its values: it means nothing where the divisor may be 0.
    if stats::student_mean(&first).is_some_and(|ends| ends.low <= 0.0) {
        let refused =
            "the windows do not tell what the first doubling adds to the rank from 0: there is no ratio";
        return Err(Error::Refused(refused.into()));
    }
    let ratio = stats::student_ratio(&second, &first);
    let mean = |values: &[f64]| stats::mean(values);
    let note = format!(
        "effective rank at n = {}, {} and {}: {:.1}, {:.1}, {:.1}; a rank proportional to n has 2",
        lengths[0],
        lengths[1],
        lengths[2],
        mean(&quarter),
        mean(&half),
        mean(&all)
    );
    let figure = match ratio {
        Some(interval) => Figure::Estimate(interval),
        None => Figure::Sample { of: "window", values: all },
    };
    Ok(Evidence { figure, note: Some(note), ..windows(Vec::new(), (command, report), &["effective_rank"])? })
}

/// Theorem 1 as the paper states it.
pub(super) const THEOREM_1: Claim = Claim {
    name: "linformer-theorem-1",
    about: "the projection in the proof of theorem 1 is within eps = 0.5 of nearly every column, relative to it",
    source: "Wang et al. 2020, theorem 1 and equation 19",
    figure: "share of columns within eps ||P w||",
    published: Some("1 - o(1)"),
    judge: Judge::Above(0.95),
    on: On::Heads,
    measure: |setting| theorem_1(setting, "relative"),
};

/// Theorem 1 in the form that its lemma supports.
pub(super) const LEMMA_1: Claim = Claim {
    name: "linformer-lemma-1",
    about: "the same projection is within eps = 0.5 of nearly every column, relative to ||P|| ||w||, as its lemma says",
    source: "Wang et al. 2020, lemma 1",
    figure: "share of columns within eps ||P|| ||w||",
    published: Some("1 - o(1)"),
    judge: Judge::Above(0.95),
    on: On::Heads,
    measure: |setting| theorem_1(setting, "additive"),
};

fn theorem_1(setting: &Setting<'_>, form: &'static str) -> Result<Evidence> {
    let (command, report) =
        setting.errors("--check linformer-theorem-1 --eps 0.5 --draws 4", &[setting.n])?;
    let rows = Rows(&report.rows);
    let values = rows.by_window(|row| row.number(form))?;
    let k = rows.each().next().map(|row| row.number("k")).transpose()?.flatten().unwrap_or_default();
    let note = format!("the proof projects {} rows to k = {k}", setting.n);
    Ok(Evidence {
        note: Some(note),
        ..windows(values, (command, report), &["eps", "k", "relative", "additive"])?
    })
}

/// Section 4: "the projected dimension k can be chosen independent of n".
pub(super) const CONSTANT_L: Claim = Claim {
    name: "linformer-constant-l",
    about: "a projected length that does not grow with n suffices: the error of the best matrix of that rank does not grow either",
    source: "Wang et al. 2020, theorem 2 and figure 3",
    figure: "error at n less error at n/4, both at rank n/8",
    published: Some("0"),
    judge: Judge::Below(0.01),
    on: On::Heads,
    measure: constant_l,
};

fn constant_l(setting: &Setting<'_>) -> Result<Evidence> {
    let [quarter, _, all] = setting.lengths()?;
    let l = all / 8;
    let (command, report) = setting.spectra(&format!("--at {l} --null none"), &[quarter, all])?;
    let rows = Rows(&report.rows);
    let error = format!("best_rel_fro_at_{l}");
    let (short, long) = (rows.of_windows(&error, "n", quarter)?, rows.of_windows(&error, "n", all)?);
    let note = format!(
        "smallest relative error of rank {l} (Frobenius): {:.3} at n = {quarter}, {:.3} at n = {all}",
        stats::mean(&short),
        stats::mean(&long)
    );
    Ok(Evidence { note: Some(note), ..windows(less(&long, &short), (command, report), &[&error])? })
}

/// Table 3, time.
pub(super) const TIME: Claim = Claim {
    name: "linformer-time",
    about: "at n = 2048 and l = 128 Linformer is faster than exact attention that holds its n x n matrices",
    source: "Wang et al. 2020, table 3 (one V100)",
    figure: "time of exact attention over that of Linformer",
    published: Some("2.6"),
    judge: Judge::Above(1.0),
    on: On::Machine,
    measure: time,
};

/// Table 3, memory.
pub(super) const MEMORY: Claim = Claim {
    name: "linformer-memory",
    about: "at n = 2048 and l = 128 Linformer takes less memory than exact attention that holds its n x n matrices",
    source: "Wang et al. 2020, table 3 (largest batch on one V100)",
    figure: "memory of exact attention over that of Linformer",
    published: Some("6.1"),
    judge: Judge::Above(1.0),
    on: On::Machine,
    measure: memory,
};

/// The two at n = 2048, and the fused form of exact attention.
fn table_3(setting: &Setting<'_>) -> Result<(String, Report)> {
    setting.costs("--mechanism softmax,linformer --l 128 --seq-len 2048 --num-heads 12")
}

fn time(setting: &Setting<'_>) -> Result<Evidence> {
    let (command, report) = table_3(setting)?;
    let (speedup, fused) = super::costs::speedups(&report, "linformer")?;
    let note = format!("over fused exact attention, which the paper did not have: {fused:.2}");
    Ok(Evidence {
        figure: Figure::Estimate(speedup),
        rows: report.rows,
        command: Some(command),
        note: Some(note),
    })
}

fn memory(setting: &Setting<'_>) -> Result<Evidence> {
    let (command, report) = table_3(setting)?;
    let of = |mechanism: &str, form: &str| super::costs::of(&report, mechanism, form, "extra_memory_bytes");
    let linformer = of("linformer", "fused")?;
    let figure = Figure::Exact(of("softmax", "n x n")? / linformer);
    let note = format!(
        "beside inputs and outputs; fused exact attention takes {:.2} times the memory of Linformer",
        of("softmax", "fused")? / linformer
    );
    Ok(Evidence { figure, rows: report.rows, command: Some(command), note: Some(note) })
}

/// Evidence whose sample is the windows: the rows with what identifies them and the columns that count.
pub(super) fn windows(
    values: Vec<f64>,
    (command, report): (String, Report),
    columns: &[&str],
) -> Result<Evidence> {
    let known = columns.iter().filter(|column| report.rows.index(column).is_ok()).copied();
    let names: Vec<&str> = Rows(&report.rows).keys().iter().copied().chain(known).collect();
    let rows = report.rows.select(&names)?;
    Ok(Evidence { figure: Figure::Sample { of: "window", values }, rows, command: Some(command), note: None })
}
