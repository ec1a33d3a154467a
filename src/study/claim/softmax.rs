//! Claims about exact attention and windows of it.

use super::evidence::{Evidence, Rows};
use super::judge::{Figure, Judge};
use super::linformer::windows;
use super::setting::Setting;
use super::statement::{Claim, On};
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
    let change = |sink: usize| {
        let name = format!("sink-window:sink={sink}");
        rows.by_window(
            |row| if row.is("mechanism", name.as_str())? { row.number("nll_change") } else { Ok(None) },
        )
    };
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
    let values = alone.iter().zip(&with_sink).map(|(alone, with)| alone - with).collect();
    Ok(Evidence {
        note: Some(note),
        ..windows(values, (command, report), &["nll_softmax", "nll", "nll_change"])?
    })
}
