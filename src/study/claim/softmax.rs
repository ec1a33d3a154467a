//! Claims about exact attention and choices of its keys.

use super::drawn::Drawn;
use super::evidence::{Evidence, Rows, less};
use super::judge::{Figure, Judge};
use super::linformer::windows;
use super::setting::Setting;
use super::statement::{Claim, On};
use crate::attention::{Attention, Mask};
use crate::error::{Error, Result};
use crate::stats;

/// Exact attention without its matrix.
pub(super) const FLASH: Claim = Claim {
    name: "flash-memory",
    about: "fused exact attention needs no memory that grows with n beside its inputs and outputs",
    source: "Dao et al. 2022, theorem 1: O(n) in all",
    figure: "extra memory at n = 4096 over that at 1024",
    published: Some("1"),
    judge: Judge::Below(1.5),
    on: On::Machine,
    measure: |setting| growth(setting, "fused"),
};

/// How many times the extra memory of a form of exact attention grows from n = 1024 to 4096.
pub(super) fn growth(setting: &Setting<'_>, form: &str) -> Result<Evidence> {
    let (command, report) =
        setting.costs("--mechanism softmax --seq-len 1024,4096 --measure flops,memory")?;
    let times = |form: &str| -> Result<f64> {
        let mut memory = Vec::new();
        for row in Rows(&report.rows).each() {
            if row.is("form", form)? {
                memory.extend(row.number("extra_memory_bytes")?);
            }
        }
        match memory[..] {
            [short, long] => Ok(long / short),
            _ => Err(Error::Refused(format!("the memory of softmax ({form}) was not measured"))),
        }
    };
    let figure = Figure::Exact(times(form)?);
    let note = format!("with n x n matrices it grows {:.1} times", times("n x n")?);
    Ok(Evidence { figure, rows: report.rows, command: Some(command), note: Some(note) })
}

/// A window without the first keys breaks a trained model.
pub(super) const SINK: Claim = Claim {
    name: "window-without-sink",
    about: "a window in the place of causal attention costs more than one that gives four of its keys to the first ones",
    source: "Xiao et al. 2024 (StreamingLLM), table 1",
    figure: "nats a token that the first four keys save, n/8 keys in all",
    published: None,
    judge: Judge::Above(0.0),
    on: On::Model,
    measure: sink,
};

fn sink(setting: &Setting<'_>) -> Result<Evidence> {
    let l = (setting.n / 8).max(5);
    let words = format!("--substitute all --mechanism sink-window:sink=0,sink-window:sink=4 --l {l}");
    let (command, report) = setting.errors(&words, &[setting.n])?;
    let rows = Rows(&report.rows);
    let change = |sink: usize| rows.of_windows("nll_change", "mechanism", format!("sink-window:sink={sink}"));
    let (alone, with_sink) = (change(0)?, change(4)?);
    if alone.is_empty() {
        return Err(Error::Refused(
            "the input's model predicts no next token: there is no likelihood".into(),
        ));
    }
    let note = format!(
        "nats that the window adds: {:.3} alone, {:.3} with the first four keys",
        stats::mean(&alone),
        stats::mean(&with_sink)
    );
    let values = less(&alone, &with_sink);
    Ok(Evidence {
        note: Some(note),
        ..windows(values, (command, report), &["nll_softmax", "nll", "nll_change"])?
    })
}

/// What the most probable keys lose.
pub(super) const TOP_K: Claim = Claim {
    name: "top-k-mass",
    about: "the total variation between a row of softmax and its l most probable keys, renormalised, is the mass of the other keys",
    source: "from the definition of total variation; l = 8 of 64 keys",
    figure: "largest difference of the two in any row",
    published: Some("0"),
    judge: Judge::Below(1e-6),
    on: On::Draws,
    measure: |setting| top_k_mass(setting, "top-k:l=8"),
};

/// How far half the sum of absolute differences of a row is from the mass beyond its 8 largest probabilities.
pub(super) fn top_k_mass(setting: &Setting<'_>, mechanism: &str) -> Result<Evidence> {
    Drawn::all(setting, &["draw", "mask", "variation", "dropped", "difference"], |drawn| {
        let mask = if drawn.number % 2 == 0 { Mask::Full } else { Mask::Causal };
        let input = drawn.input(mask);
        let exact = Attention::plain("softmax", None)?.matrix(&input)?;
        let kept = Attention::of(&mechanism.parse()?)?.matrix(&input)?;
        let mut largest = (0.0, 0.0, -1.0_f64);
        for (row, of_kept) in exact.rows().into_iter().zip(kept.rows()) {
            let apart = row.iter().zip(of_kept).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
            let variation = 0.5 * apart.sum::<f64>();
            let mut sorted: Vec<f64> = row.iter().map(|p| f64::from(*p)).collect();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let dropped: f64 = sorted.iter().skip(8).sum();
            let difference = (variation - dropped).abs();
            if difference.is_nan() || difference > largest.2 {
                largest = (variation, dropped, difference);
            }
        }
        let (variation, dropped, difference) = largest;
        Ok((difference, vec![mask.name().into(), variation.into(), dropped.into(), difference.into()]))
    })
}
