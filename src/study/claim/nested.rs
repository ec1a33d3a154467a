//! Claims of Luna (Ma et al. 2021).

use ndarray::s;

use super::costs;
use super::drawn::{Drawn, relative};
use super::evidence::{Evidence, Rows};
use super::judge::{Figure, Judge};
use super::setting::Setting;
use super::statement::{Claim, On};
use crate::attention::{Attention, Mask};
use crate::error::{Error, Result};
use crate::linalg::engine::{Engine, singular_values};
use crate::report::Report;
use crate::stats::Interval;

/// Section 3: linear in n, counted.
pub(super) const FLOPS: Claim = Claim {
    name: "luna-linear-flops",
    about: "the operations of Luna's attention grow linearly with n",
    source: "Ma et al. 2021, section 3.1",
    figure: "exponent of n in the FLOPs",
    published: Some("1"),
    judge: Judge::Within(0.99, 1.01),
    on: On::Machine,
    measure: |setting| exponent(setting, "flops"),
};

/// Section 3: linear in n, in time.
pub(super) const TIME: Claim = Claim {
    name: "luna-linear-time",
    about: "the time of Luna's attention grows linearly with n",
    source: "Ma et al. 2021, section 3.1",
    figure: "exponent of n in the time",
    published: Some("1"),
    judge: Judge::Below(1.15),
    on: On::Machine,
    measure: |setting| exponent(setting, "time"),
};

/// Section 3: linear in n, in memory.
pub(super) const MEMORY: Claim = Claim {
    name: "luna-linear-memory",
    about: "the memory of Luna's attention beside its inputs and outputs grows at most linearly with n",
    source: "Ma et al. 2021, section 3.1",
    figure: "exponent of n in the extra memory",
    published: Some("1"),
    judge: Judge::Below(1.01),
    on: On::Machine,
    measure: |setting| exponent(setting, "mem"),
};

/// An exponent of the table of a sweep, where Luna has l = 16.
fn exponent(setting: &Setting<'_>, of: &str) -> Result<Evidence> {
    let words = "--mechanism luna --l 16 --seq-len 1024,2048,4096,8192 --measure flops,time,memory";
    let (command, report) = setting.costs(words)?;
    let missing = || Error::Refused(format!("{command}: no exponent of {of}"));
    let exponents = report.views.iter().find(|(name, _)| name == "exponents").map(|(_, table)| table);
    let mut found = None;
    for row in exponents.into_iter().flat_map(|table| Rows(table).each()) {
        if row.is("mechanism", "luna")? {
            let ends = row.number("low")?.zip(row.number("high")?);
            found = row.number(of)?.map(|mid| (mid, ends));
        }
    }
    let (mid, ends) = found.ok_or_else(missing)?;
    let figure = match ends.filter(|_| of == "time") {
        Some((low, high)) => Figure::Estimate(Interval { mid, low, high }),
        None if of == "time" => Figure::Sample { of: "round", values: vec![mid] },
        None => Figure::Exact(mid),
    };
    let note = "l = 16, 8 heads of 64, from n = 1024 to 8192".to_string();
    Ok(Evidence { figure, rows: report.rows, command: Some(command), note: Some(note) })
}

/// Table 4 at 4K, time.
pub(super) const SPEED_4K: Claim = Claim {
    name: "luna-speed-4k",
    about: "a training step of Luna-16's encoder on 4096 bytes is faster than that of a Transformer with n x n matrices",
    source: "Ma et al. 2021, table 4 (their GPU)",
    figure: "time of the Transformer over that of Luna",
    published: Some("5.5"),
    judge: Judge::Above(1.0),
    on: On::Machine,
    measure: |setting| {
        let (command, report) = table_4(setting)?;
        let (speedup, fused) = costs::speedups(&report, "luna")?;
        let note = format!(
            "over a Transformer with fused exact attention, which the paper did not have: {fused:.2}"
        );
        Ok(Evidence {
            figure: Figure::Estimate(speedup),
            rows: report.rows,
            command: Some(command),
            note: Some(note),
        })
    },
};

/// Table 4 at 4K, memory.
pub(super) const MEMORY_4K: Claim = Claim {
    name: "luna-memory-4k",
    about: "a training step of Luna-16's encoder on 4096 bytes takes less memory than that of the same Transformer",
    source: "Ma et al. 2021, table 4 (their GPU)",
    figure: "memory of Luna over that of the Transformer",
    published: Some("0.10"),
    judge: Judge::Below(1.0),
    on: On::Machine,
    measure: |setting| {
        let (command, report) = table_4(setting)?;
        let of = |mechanism, form| costs::of(&report, mechanism, form, "extra_memory_bytes");
        let luna = of("luna", "fused")?;
        let figure = Figure::Exact(luna / of("softmax", "n x n")?);
        let note = format!("over fused exact attention: {:.2}", luna / of("softmax", "fused")?);
        Ok(Evidence { figure, rows: report.rows, command: Some(command), note: Some(note) })
    },
};

fn table_4(setting: &Setting<'_>) -> Result<(String, Report)> {
    setting.costs(
        "--preset luna-table-4 --pass train --mechanism luna --l 16 --seq-len 4096 --rounds 7 --time-limit 5m",
    )
}

/// The nested attention has rank l.
pub(super) const RANK: Claim = Claim {
    name: "luna-rank",
    about: "the matrix of both of Luna's attentions has rank l at most",
    source: "Ma et al. 2021, section 3.1: pack, then unpack",
    figure: "largest singular value beyond the first l, over the largest",
    published: Some("0"),
    judge: Judge::Below(1e-6),
    on: On::Draws,
    measure: |setting| rank(setting, "luna"),
};

/// How far the matrix of a mechanism is from rank l.
pub(super) fn rank(setting: &Setting<'_>, mechanism: &str) -> Result<Evidence> {
    Drawn::all(setting, &["draw", "l", "beyond"], |drawn| {
        let l = [1, 4, 16, 40][drawn.number % 4];
        let matrix = Attention::plain(mechanism, Some(l))?.matrix(&drawn.input(Mask::Full))?;
        let sigma = singular_values(matrix.mapv(f64::from).view(), Engine::Faer)?;
        let beyond = sigma.get(l).copied().unwrap_or_default() / sigma[0];
        Ok((beyond, vec![l.into(), beyond.into()]))
    })
}

/// Section 3.3: the causal form.
pub(super) const CAUSAL: Claim = Claim {
    name: "luna-causal",
    about: "causal Luna does not look ahead: what comes after a position does not change its output",
    source: "Ma et al. 2021, section 3.3",
    figure: "largest change of an output by what follows it, relative",
    published: Some("0"),
    judge: Judge::Below(1e-6),
    on: On::Draws,
    measure: |setting| causal(setting, "luna-causal", Mask::Causal),
};

/// How much of what follows a position a mechanism sees there under a mask.
pub(super) fn causal(setting: &Setting<'_>, mechanism: &str, mask: Mask) -> Result<Evidence> {
    Drawn::all(setting, &["draw", "position", "change"], |drawn| {
        let attention = Attention::plain(mechanism, Some(16))?;
        let n = drawn.q.nrows();
        let position = 1 + drawn.number * 7 % (n - 1);
        let before = attention.forward(&drawn.input(mask), drawn.v.view())?;
        let mut other = drawn.clone();
        for x in [&mut other.q, &mut other.k, &mut other.v] {
            x.slice_mut(s![position.., ..]).mapv_inplace(|x| 3.0 - 2.0 * x);
        }
        let after = attention.forward(&other.input(mask), other.v.view())?;
        let seen = s![..position, ..];
        let change = relative(after.slice(seen), before.slice(seen));
        Ok((change, vec![position.into(), change.into()]))
    })
}
