//! The papers' own tables: the shapes that they measured, and what they printed.

use super::config::ScaleSweepConfig;
use super::options::{Pass, Unit};
use crate::error::Result;
use crate::name::{self, List};

/// A sweep that a paper made.
#[derive(Debug)]
pub struct Preset {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    mechanism: &'static str,
    seq_len: &'static str,
    l: &'static str,
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    pub(super) ffn: usize,
    pub(super) layers: usize,
    pub(super) unit: Unit,
    /// The passes whose times can stand beside the paper's.
    pub(super) passes: &'static [Pass],
    /// The lengths of the printed table.
    pub(super) lengths: &'static [usize],
    pub(super) published: &'static [Published],
    /// How the printed figures and those of this machine may be compared.
    pub(super) reading: &'static [&'static str],
}

/// The printed figures of one mechanism and l, at the last so many lengths of the table.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) mechanism: &'static str,
    pub(super) l: Option<usize>,
    /// Speed over that of softmax attention.
    pub(super) speedup: &'static [f64],
    /// Memory of softmax attention over its own memory, or the other way round where `shares`.
    memory: &'static [f64],
    shares: bool,
    /// The length from which on the figures were checked against a second source.
    pub(super) verified_from: usize,
}

impl Published {
    /// The share of the memory of softmax attention, in the order of `speedup`.
    pub(super) fn memory(&self) -> impl Iterator<Item = f64> + '_ {
        self.memory.iter().map(|memory| if self.shares { *memory } else { 1.0 / memory })
    }
}

/// Every preset.
pub const ALL: &[&Preset] = &[&LUNA_TABLE_4, &LINFORMER_TABLE_3];

const fn of_luna(
    mechanism: &'static str,
    l: Option<usize>,
    speedup: &'static [f64],
    memory: &'static [f64],
    verified_from: usize,
) -> Published {
    Published { mechanism, l, speedup, memory, shares: true, verified_from }
}

const fn of_linformer(l: usize, speedup: &'static [f64], memory: &'static [f64]) -> Published {
    Published { mechanism: "linformer", l: Some(l), speedup, memory, shares: false, verified_from: 0 }
}

const LUNA_TABLE_4: Preset = Preset {
    name: "luna-table-4",
    about: "Luna's table of speed and memory on byte-level text (Ma et al. 2021, table 4)",
    mechanism: "softmax,luna:tied=false,linformer:l=16,performer:l=256,linear,local:l=50",
    seq_len: "1024,2048,3072,4096",
    l: "16,128,256",
    heads: 4,
    head_dim: 64,
    ffn: 1024,
    layers: 4,
    unit: Unit::Encoder,
    passes: &[Pass::Forward, Pass::Train],
    lengths: &[1024, 2048, 3072, 4096],
    published: &[
        of_luna("local", Some(50), &[1.1, 1.7, 3.2, 5.3], &[0.49, 0.29, 0.19, 0.14], 0),
        of_luna("linformer", Some(16), &[1.2, 1.9, 3.7, 5.5], &[0.44, 0.21, 0.18, 0.10], 0),
        of_luna("linear", None, &[1.1, 1.9, 3.7, 5.6], &[0.44, 0.22, 0.15, 0.11], 0),
        of_luna("performer", Some(256), &[1.2, 1.9, 3.8, 5.7], &[0.44, 0.22, 0.15, 0.11], 0),
        of_luna("luna", Some(16), &[1.2, 1.8, 3.7, 5.5], &[0.44, 0.23, 0.17, 0.10], 4096),
        of_luna("luna", Some(128), &[1.1, 1.7, 3.4, 5.1], &[0.49, 0.28, 0.21, 0.14], 4096),
        of_luna("luna", Some(256), &[1.1, 1.7, 3.3, 4.9], &[0.60, 0.33, 0.23, 0.16], 4096),
    ],
    reading: &[
        "published: training steps on the authors' hardware (Luna) or 4 x 4 TPU v3 at batch 32 (the others, Tay et al. 2021); \
         ours: this machine at the batch above. The hardware differs: only the shape of the columns can be compared",
        "published speed and memory are of training, activations that backward needs included: compare them with --pass train; \
         memory of a forward pass, the default, is what it allocates beyond inputs and outputs",
        "published: Luna's ratios are against its authors' own Transformer, the others' against that of Tay et al.; their \
         local attention is by blocks of 50 and not a sliding window, their performer has 256 features of another kind \
         (generalized, relu); reformer, sinkhorn, synthesizer and bigbird of the same table have no fused forms here",
        "not verified: from memory; the other figures were read in the paper's table or in a second source",
    ],
};

const LINFORMER_TABLE_3: Preset = Preset {
    name: "linformer-table-3",
    about: "Linformer's table of inference time and memory saved (Wang et al. 2020, table 3)",
    mechanism: "softmax,linformer",
    seq_len: "512,1024,2048,4096,8192",
    l: "128,256,512,1024,2048",
    heads: 12,
    head_dim: 64,
    ffn: 3072,
    layers: 12,
    unit: Unit::Layer,
    passes: &[Pass::Forward],
    lengths: &[512, 1024, 2048, 4096, 8192, 16384, 32768, 65536],
    published: &[
        of_linformer(
            128,
            &[1.5, 1.7, 2.6, 3.4, 5.5, 8.6, 13.0, 20.0],
            &[1.7, 3.0, 6.1, 14.0, 28.0, 56.0, 56.0, 60.0],
        ),
        of_linformer(
            256,
            &[1.3, 1.6, 2.4, 3.2, 5.0, 7.8, 12.0, 18.0],
            &[1.5, 2.9, 5.6, 13.0, 26.0, 48.0, 48.0, 52.0],
        ),
        of_linformer(512, &[1.3, 2.1, 2.8, 4.4, 7.0, 11.0, 16.0], &[1.8, 3.6, 8.3, 17.0, 32.0, 36.0, 40.0]),
        of_linformer(1024, &[1.3, 2.2, 3.5, 5.6, 8.8, 14.0], &[2.0, 4.3, 8.5, 16.0, 18.0, 20.0]),
        of_linformer(2048, &[1.3, 2.1, 3.3, 5.0, 7.9], &[2.3, 4.5, 8.0, 16.0, 18.0]),
    ],
    reading: &[
        "published: inference on a 16 GB V100, times at the largest batch that fits; its memory is the ratio of the largest \
         batches, shown here as a share. Ours: one sequence on this machine, and what a pass allocates beyond inputs and \
         outputs. The hardware differs: only the shape of the columns can be compared",
        "the paper does not print its encoder's shape; 12 layers of width 768 (RoBERTa-base, its model elsewhere) are assumed, \
         of which one layer is run: ratios are those of all. Keys and values are projected for every token and then \
         shortened, as the paper's equation 7 has it; the authors' code shortens first, which saves up to 2 n d² \
         multiply-adds of the projections",
    ],
};

/// The preset of this name.
pub(super) fn find(name: &str) -> Result<&'static Preset> {
    name::find("preset", name, ALL, |preset| preset.name).copied()
}

impl Preset {
    /// Sets every flag that was not typed.
    pub(super) fn fill(&self, config: &mut ScaleSweepConfig) -> Result<()> {
        let list = |text: &str| text.parse::<List<usize>>();
        config.mechanism.get_or_insert_with(|| self.mechanism.into());
        config.seq_len.get_or_insert(list(self.seq_len)?);
        config.l.get_or_insert(list(self.l)?);
        config.num_heads.get_or_insert(self.heads);
        config.head_dim.get_or_insert(self.head_dim);
        config.ffn.get_or_insert(self.ffn);
        config.num_layers.get_or_insert(self.layers);
        config.unit.get_or_insert(self.unit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_fill_in_what_was_not_typed() {
        for preset in ALL {
            let mut config = ScaleSweepConfig { num_heads: Some(3), ..ScaleSweepConfig::default() };
            preset.fill(&mut config).unwrap();
            assert_eq!((config.num_heads, config.num_layers), (Some(3), Some(preset.layers)));
            assert!(preset.lengths.is_sorted());
            let lengths = config.seq_len.unwrap();
            for published in preset.published {
                let Published { mechanism, speedup, .. } = published;
                assert!(crate::attention::ALL.iter().any(|kind| kind.name == *mechanism));
                assert_eq!(speedup.len(), published.memory().count());
                let printed = &preset.lengths[preset.lengths.len() - speedup.len()..];
                assert!(printed.iter().any(|n| lengths.contains(n)), "{} {mechanism}", preset.name);
            }
        }
    }
}
