//! What other counters would print for the same shapes: every paper's FLOPs are somebody's convention.
//!
//! `torch.utils.flop_counter` counts 2 FLOPs a multiply-add of products and of `scaled_dot_product_attention`, of which it
//! counts both products whole whatever the mask; softmax is free. fvcore counts 1 a multiply-add ("flop" there is a MAC)
//! of the products that it sees; it has no entry for `scaled_dot_product_attention`, which it skips with a warning.

use super::cell::Form;
use super::fit::lines;
use super::measure::Sweep;
use super::settings::Settings;
use super::subject;
use super::{Pass, Unit};
use crate::report::{Column, Digits, Table};

/// The counts of exact attention and the mechanisms that are written as products, at the longest length.
pub(super) fn table(sweep: &Sweep, settings: &Settings) -> Option<Table> {
    let columns = [
        ("mechanism", "the mechanism, exact attention by its form", Digits::Text),
        ("l", "projected length", Digits::Integer),
        (
            "luna",
            "GFLOP here: 2 a multiply-add, under a causal mask what the mask leaves open",
            Digits::Significant(4),
        ),
        (
            "torch",
            "GFLOP by torch.utils.flop_counter: 2 a multiply-add, masks not discounted",
            Digits::Significant(4),
        ),
        ("fvcore", "GFLOP by fvcore: 1 a multiply-add; nothing of a fused kernel", Digits::Significant(4)),
    ];
    let columns = columns.map(|(name, about, digits)| Column::new(name, "", about, digits));
    if settings.unit != Unit::Core || settings.pass != Pass::Forward {
        return None;
    }
    let n = *settings.seq_len.last()?;
    let mut table =
        Table::new(format!("Other counters' figures for one forward pass, n = {n}, GFLOP"), columns.into());
    // Under a causal mask products are counted whole, as they are where no mask is.
    let whole = Settings { mask: crate::attention::Mask::Full, ..settings.clone() };
    for first in lines(sweep) {
        let products = matches!(first.cell.kind.name, "softmax" | "luna" | "linformer" | "linear");
        if !products || (settings.causal() && first.cell.kind.name != "softmax") {
            continue;
        }
        let mut cell = first.cell.clone();
        cell.n = n;
        let own = subject::facts(&cell, settings).ok()?.cost.flops() as f64 / 1e9;
        let torch = subject::facts(&cell, &whole).ok()?.cost.flops() as f64 / 1e9;
        let seen = cell.kind.name != "softmax" || cell.form == Form::Materialised;
        let fvcore = if seen { torch / 2.0 } else { 0.0 };
        table.push(vec![cell.title().into(), cell.l.into(), own.into(), torch.into(), fvcore.into()]);
    }
    (!table.rows.is_empty()).then_some(table)
}
