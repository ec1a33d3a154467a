//! What an allocation costs: the sum over all heads of what a head of its mechanism costs.

use super::super::allocation::Allocated;
use super::super::cell::Form;
use super::super::settings::Settings;
use super::columns::{S3, S4, TEXT, WHOLE};
use super::sweep::{Measured, Sweep};
use crate::attention::{Attention, Origin};
use crate::cost::Shape;
use crate::error::Result;
use crate::name::Spec;
use crate::report::Table;
use crate::stats;
use crate::study::columns::{Described, described};

const COLUMNS: &[Described<'static>] = &[
    ("allocation", "", "softmax in every head, and the allocation", TEXT),
    ("n", "tokens", "sequence length", WHOLE),
    ("flops", "", "2 multiply-adds of the attention of all heads, in closed form", S4),
    ("cache_bytes", "bytes", "f32 keys and values, or what is stored in their place, that a token reads", S4),
    (
        "time",
        "s",
        "sum over heads of a head's time in a pass over heads of its mechanism, median over rounds",
        S3,
    ),
    ("speedup", "", "time of fused softmax in all heads over it, median over rounds", S3),
    ("low", "", "lower end of its 95 % interval over rounds", S3),
    ("high", "", "upper end of it", S3),
];

/// Two rows a length. Heads whose mechanism is not timed leave the time empty.
pub(super) fn table(sweep: &Sweep, settings: &Settings, allocated: &Allocated) -> Result<Table> {
    let mut table = Table::new(format!("What an allocation costs: {}", allocated.name), described(COLUMNS));
    let softmax: Vec<Spec> = vec!["softmax".parse()?; allocated.heads.len()];
    for n in &settings.seq_len {
        let exact = times(sweep, settings, *n, &softmax);
        for (name, heads) in [("softmax", &softmax), ("allocated", &allocated.heads)] {
            let shape = Shape { causal: settings.causal(), ..Shape::square(*n, settings.head_dim) };
            let (mut flops, mut reads) = (0, Some(0));
            for spec in heads {
                let attention =
                    Attention::build(spec, &Origin { seed: 0, label: "scale-sweep", learned: None })?;
                flops += attention.cost(&shape).flops();
                reads = reads.zip(attention.cache_reads(&shape)).map(|(sum, more)| sum + more);
            }
            let times = times(sweep, settings, *n, heads);
            let ratios: Option<Vec<f64>> = exact
                .as_ref()
                .zip(times.as_ref())
                .filter(|_| name != "softmax")
                .map(|(exact, own)| exact.iter().zip(own).map(|(exact, own)| exact / own).collect());
            let ends = ratios.as_ref().and_then(|ratios| stats::median_interval(ratios));
            table.push(vec![
                name.into(),
                (*n).into(),
                (flops as usize).into(),
                reads.map(|elements| elements as f64 * size_of::<f32>() as f64 / *n as f64).into(),
                times.as_ref().map(|times| stats::median(times)).into(),
                ratios.as_ref().map(|ratios| stats::median(ratios)).into(),
                ends.map(|ends| ends.low).into(),
                ends.map(|ends| ends.high).into(),
            ]);
        }
    }
    Ok(table)
}

/// Seconds of all heads, by round: every cell's pass is over the heads of a layer.
fn times(sweep: &Sweep, settings: &Settings, n: usize, heads: &[Spec]) -> Option<Vec<f64>> {
    let cell = |spec: &Spec| -> Option<&Measured> {
        let fused = |one: &&Measured| one.cell.form == Form::Fused && one.cell.n == n;
        sweep.cells.iter().filter(fused).find(|one| one.cell.spec.is_alike(spec) && !one.times.is_empty())
    };
    let of_heads: Vec<&Measured> = heads.iter().map(cell).collect::<Option<_>>()?;
    let rounds = of_heads.iter().map(|one| one.times.len()).min()?;
    let a_head = |round: usize| of_heads.iter().map(move |one| one.times[round]).sum::<f64>();
    let each = (settings.heads * settings.batch) as f64;
    Some((0..rounds).map(|round| a_head(round) / each).collect())
}
