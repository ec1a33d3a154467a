//! A paper's table: what was printed beside what was measured here.

use super::super::cell::Form;
use super::super::preset::Preset;
use super::super::settings::Settings;
use super::columns::{S2, S3, TEXT, WHOLE};
use super::row;
use super::sweep::Sweep;
use crate::report::Table;
use crate::study::columns::described;

/// The printed figures beside those of this machine, against exact attention in both forms.
pub(super) fn table(preset: &Preset, sweep: &Sweep) -> Table {
    let columns = [
        ("mechanism", "", "the mechanism", TEXT),
        ("l", "", "projected length", WHOLE),
        ("n", "", "sequence length in tokens", WHOLE),
        ("speed", "", "published: speedup over softmax attention", S3),
        ("ours_n_x_n", "", "here, against exact attention with n x n matrices", S3),
        ("ours_fused", "", "here, against fused exact attention", S3),
        ("memory", "", "published: share of the memory of softmax attention", S2),
        ("ours_memory", "", "here, against exact attention with n x n matrices", S2),
        ("verified", "", "no: from memory", TEXT),
    ];
    let mut table = Table::new(preset.about, described(&columns));
    for published in preset.published {
        let lengths = &preset.lengths[preset.lengths.len() - published.speedup.len()..];
        for ((n, speedup), memory) in lengths.iter().zip(published.speedup).zip(published.memory()) {
            let found = sweep.cells.iter().find(|one| {
                let cell = &one.cell;
                (cell.kind.name, cell.l, cell.n) == (published.mechanism, published.l, *n)
            });
            let against = |form| row::speedup(sweep, found?, form).map(|(mid, _)| mid);
            let share = || row::memory_ratio(sweep, found?);
            table.push(vec![
                published.mechanism.into(),
                published.l.into(),
                (*n).into(),
                (*speedup).into(),
                against(Form::Materialised).into(),
                against(Form::Fused).into(),
                memory.into(),
                share().into(),
                if *n >= published.verified_from { "yes" } else { "no" }.into(),
            ]);
        }
    }
    table.notes = preset.reading.iter().map(|note| (*note).to_string()).collect();
    table
}

/// A note where the flags changed what the preset measures.
pub(super) fn changed(settings: &Settings) -> Option<String> {
    let preset = settings.preset?;
    let sizes = (settings.heads, settings.head_dim, settings.ffn, settings.layers);
    let same = sizes == (preset.heads, preset.head_dim, preset.ffn, preset.layers)
        && settings.unit == preset.unit
        && preset.passes.contains(&settings.pass)
        && !settings.causal();
    (!same)
        .then(|| format!("flags changed the sizes of {}: this is not what the paper measured", preset.name))
}
