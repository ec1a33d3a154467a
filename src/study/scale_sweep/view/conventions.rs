//! What other FLOP counters print for the same shapes: conventions differ.
//!
//! `torch.utils.flop_counter` counts 2 FLOPs per multiply-add of matrix products and of `scaled_dot_product_attention`,
//! whose two products it counts in full under any mask; softmax counts nothing. fvcore counts 1 per multiply-add ("flop"
//! there is a MAC) of products; it has no entry for `scaled_dot_product_attention`, which it skips with a warning.

use super::super::build;
use super::super::cell::Form;
use super::super::options::{Pass, Unit};
use super::super::settings::Settings;
use super::columns::{S4, TEXT, WHOLE};
use super::sweep::Sweep;
use crate::attention::Mask;
use crate::report::Table;
use crate::study::columns::described;

/// The counts of exact attention and of mechanisms that consist of matrix products, at the longest length.
pub(super) fn table(sweep: &Sweep, settings: &Settings) -> Option<Table> {
    let columns = [
        ("mechanism", "", "the mechanism, exact attention by its form", TEXT),
        ("l", "", "projected length", WHOLE),
        ("luna", "", "GFLOP here: 2 per multiply-add, under a causal mask only visible pairs", S4),
        ("torch", "", "GFLOP by torch.utils.flop_counter: 2 per multiply-add, masks not discounted", S4),
        ("fvcore", "", "GFLOP by fvcore: 1 per multiply-add; a fused kernel counts nothing", S4),
    ];
    if settings.unit != Unit::Core || settings.pass != Pass::Forward {
        return None;
    }
    let n = *settings.seq_len.last()?;
    let mut table =
        Table::new(format!("One forward pass by other counters, n = {n}, GFLOP"), described(&columns));
    // They count products in full under a causal mask.
    let whole = Settings { mask: Mask::Full, ..settings.clone() };
    for first in sweep.curves() {
        let products = matches!(first.cell.kind.name, "softmax" | "luna" | "linformer" | "linear");
        if !products || (settings.causal() && !first.cell.is_softmax()) {
            continue;
        }
        let mut cell = first.cell.clone();
        cell.n = n;
        let own = build::facts(&cell, settings).ok()?.cost.flops() as f64 / 1e9;
        let torch = build::facts(&cell, &whole).ok()?.cost.flops() as f64 / 1e9;
        let seen = !cell.is_softmax() || cell.form == Form::Materialised;
        let fvcore = if seen { torch / 2.0 } else { 0.0 };
        table.push(vec![cell.title().into(), cell.l.into(), own.into(), torch.into(), fvcore.into()]);
    }
    (!table.rows.is_empty()).then_some(table)
}
