//! `--allocation FILE`: the mechanisms that `luna allocate` chose for the heads of a model, measured one by one.

use std::path::Path;

use super::config::ScaleSweepConfig;
use crate::attention::Mask;
use crate::error::Result;
use crate::name::{self, List, Spec};
use crate::study::allocation::Record;

/// The mechanisms of all heads of a model.
pub(super) struct Allocated {
    pub(super) name: String,
    /// One a head.
    pub(super) heads: Vec<Spec>,
    record: Record,
}

impl Allocated {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let record = Record::read(path)?;
        let mask = if record.model.mask == Mask::Causal.name() { Mask::Causal } else { Mask::Full };
        record.assign(path, (record.model.layers, record.model.heads), mask)?;
        let specs = record.heads.iter().map(|head| name::specs(&head.mechanism));
        let heads = specs.collect::<Result<Vec<_>>>()?.concat();
        let name = format!("{} of {}", record.budget.asked, record.model.name);
        Ok(Self { name, heads, record })
    }

    /// The sweep that measures each of its mechanisms once, in a layer's heads at a time.
    pub(super) fn fill(&self, config: &mut ScaleSweepConfig) {
        let mut specs: Vec<String> = Vec::new();
        for spec in self.heads.iter().map(ToString::to_string) {
            if !specs.contains(&spec) {
                specs.push(spec);
            }
        }
        specs.sort_unstable();
        config.mechanism = Some(specs.join(","));
        config.num_heads = Some(self.record.model.heads);
        config.head_dim = Some(self.record.model.d_h);
        config.causal = self.record.model.mask == Mask::Causal.name();
        config.seq_len = config.seq_len.take().or_else(|| List::new([self.record.n]));
    }
}
