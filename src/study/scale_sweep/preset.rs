//! The papers' own tables: sweeps of their shapes, and what they printed beside what this machine finds.

use super::cell::Form;
use super::measure::Sweep;
use super::row;
use super::settings::Settings;
use super::{Config, Pass, Unit};
use crate::error::Result;
use crate::name::{self, List};
use crate::report::{Column, Digits, Table};

/// A sweep that a paper made.
#[derive(Debug)]
pub struct Preset {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    attention: &'static str,
    seq_len: &'static str,
    l: &'static str,
    heads: usize,
    head_dim: usize,
    ffn: usize,
    layers: usize,
    /// What was printed.
    published: &'static [Published],
    /// What a reader must know before two numbers are put side by side.
    reading: &'static [&'static str],
}

/// Figures of one mechanism and l: at each length the speed over that of softmax attention and the share of its memory.
#[derive(Debug)]
struct Published {
    mechanism: &'static str,
    l: Option<usize>,
    /// (n, times as fast, share of the memory).
    cells: &'static [(usize, f64, f64)],
    /// Whether the figures could be checked against a second source.
    verified: bool,
}

/// Every preset.
pub const ALL: &[&Preset] = &[&LUNA_TABLE_4, &LINFORMER_TABLE_3];

const LUNA_TABLE_4: Preset = Preset {
    name: "luna-table-4",
    about: "Luna's table of speed and memory on byte-level text (Ma et al. 2021, table 4)",
    attention: "softmax,luna:tied=false,linformer:l=16,performer:l=256,linear,local:l=50",
    seq_len: "1024,2048,3072,4096",
    l: "16,128,256",
    heads: 4,
    head_dim: 64,
    ffn: 1024,
    layers: 4,
    published: &[
        Published {
            mechanism: "local",
            l: Some(50),
            cells: &[(1024, 1.1, 0.49), (2048, 1.7, 0.29), (3072, 3.2, 0.19), (4096, 5.3, 0.14)],
            verified: true,
        },
        Published {
            mechanism: "linformer",
            l: Some(16),
            cells: &[(1024, 1.2, 0.44), (2048, 1.9, 0.21), (3072, 3.7, 0.18), (4096, 5.5, 0.10)],
            verified: true,
        },
        Published {
            mechanism: "linear",
            l: None,
            cells: &[(1024, 1.1, 0.44), (2048, 1.9, 0.22), (3072, 3.7, 0.15), (4096, 5.6, 0.11)],
            verified: true,
        },
        Published {
            mechanism: "performer",
            l: Some(256),
            cells: &[(1024, 1.2, 0.44), (2048, 1.9, 0.22), (3072, 3.8, 0.15), (4096, 5.7, 0.11)],
            verified: true,
        },
        Published {
            mechanism: "luna",
            l: Some(16),
            cells: &[(1024, 1.2, 0.44), (2048, 1.8, 0.23), (3072, 3.7, 0.17)],
            verified: false,
        },
        Published { mechanism: "luna", l: Some(16), cells: &[(4096, 5.5, 0.10)], verified: true },
        Published {
            mechanism: "luna",
            l: Some(128),
            cells: &[(1024, 1.1, 0.49), (2048, 1.7, 0.28), (3072, 3.4, 0.21)],
            verified: false,
        },
        Published { mechanism: "luna", l: Some(128), cells: &[(4096, 5.1, 0.14)], verified: true },
        Published {
            mechanism: "luna",
            l: Some(256),
            cells: &[(1024, 1.1, 0.60), (2048, 1.7, 0.33), (3072, 3.3, 0.23)],
            verified: false,
        },
        Published { mechanism: "luna", l: Some(256), cells: &[(4096, 4.9, 0.16)], verified: true },
    ],
    reading: &[
        "published: training steps on the authors' hardware (Luna) or 4 x 4 TPU v3 at batch 32 (the others, Tay et al. 2021); \
         ours: this machine at the batch above. The hardware differs: only the shape of the columns can be compared",
        "published speed and memory are of training, activations that backward needs included: compare them with --pass train; \
         memory of a forward pass, the default, is what it allocates beyond inputs and outputs",
        "published: Luna's ratios are against its authors' own Transformer, the others' against that of Tay et al.; their \
         local attention is by blocks of 50 and not a sliding window, their performer has 256 features of another kind \
         (generalized, relu); reformer, sinkhorn, synthesizer and bigbird of the same table have no fused forms here",
        "not verified: from memory; the other cells were read in the paper's table or in a second source",
    ],
};

const LINFORMER_TABLE_3: Preset = Preset {
    name: "linformer-table-3",
    about: "Linformer's table of inference time and memory saved (Wang et al. 2020, table 3)",
    attention: "softmax,linformer",
    seq_len: "512,1024,2048,4096,8192",
    l: "128,256,512,1024,2048",
    heads: 12,
    head_dim: 64,
    ffn: 3072,
    layers: 12,
    published: &[
        Published {
            mechanism: "linformer",
            l: Some(128),
            cells: &[
                (512, 1.5, 1.0 / 1.7),
                (1024, 1.7, 1.0 / 3.0),
                (2048, 2.6, 1.0 / 6.1),
                (4096, 3.4, 1.0 / 14.0),
                (8192, 5.5, 1.0 / 28.0),
                (16384, 8.6, 1.0 / 56.0),
                (32768, 13.0, 1.0 / 56.0),
                (65536, 20.0, 1.0 / 60.0),
            ],
            verified: true,
        },
        Published {
            mechanism: "linformer",
            l: Some(256),
            cells: &[
                (512, 1.3, 1.0 / 1.5),
                (1024, 1.6, 1.0 / 2.9),
                (2048, 2.4, 1.0 / 5.6),
                (4096, 3.2, 1.0 / 13.0),
                (8192, 5.0, 1.0 / 26.0),
                (16384, 7.8, 1.0 / 48.0),
                (32768, 12.0, 1.0 / 48.0),
                (65536, 18.0, 1.0 / 52.0),
            ],
            verified: true,
        },
        Published {
            mechanism: "linformer",
            l: Some(512),
            cells: &[
                (1024, 1.3, 1.0 / 1.8),
                (2048, 2.1, 1.0 / 3.6),
                (4096, 2.8, 1.0 / 8.3),
                (8192, 4.4, 1.0 / 17.0),
                (16384, 7.0, 1.0 / 32.0),
                (32768, 11.0, 1.0 / 36.0),
                (65536, 16.0, 1.0 / 40.0),
            ],
            verified: true,
        },
        Published {
            mechanism: "linformer",
            l: Some(1024),
            cells: &[
                (2048, 1.3, 1.0 / 2.0),
                (4096, 2.2, 1.0 / 4.3),
                (8192, 3.5, 1.0 / 8.5),
                (16384, 5.6, 1.0 / 16.0),
                (32768, 8.8, 1.0 / 18.0),
                (65536, 14.0, 1.0 / 20.0),
            ],
            verified: true,
        },
        Published {
            mechanism: "linformer",
            l: Some(2048),
            cells: &[
                (4096, 1.3, 1.0 / 2.3),
                (8192, 2.1, 1.0 / 4.5),
                (16384, 3.3, 1.0 / 8.0),
                (32768, 5.0, 1.0 / 16.0),
                (65536, 7.9, 1.0 / 18.0),
            ],
            verified: true,
        },
    ],
    reading: &[
        "published: inference on a 16 GB V100, times at the largest batch that fits; its memory is the ratio of the largest \
         batches, shown here as a share. Ours: one sequence on this machine, and what a pass allocates beyond inputs and \
         outputs. The hardware differs: only the shape of the columns can be compared",
        "the paper does not print its encoder's shape; 12 layers of width 768 (RoBERTa-base, its model elsewhere) are taken, \
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
    /// Fills in what was not typed.
    pub(super) fn fill(&self, config: &mut Config) -> Result<()> {
        let list = |text: &str| text.parse::<List<usize>>();
        config.attention.get_or_insert_with(|| self.attention.into());
        config.seq_len.get_or_insert(list(self.seq_len)?);
        config.l.get_or_insert(list(self.l)?);
        config.heads.get_or_insert(self.heads);
        config.head_dim.get_or_insert(self.head_dim);
        config.ffn.get_or_insert(self.ffn);
        config.layers.get_or_insert(self.layers);
        config.unit.get_or_insert(self.unit());
        Ok(())
    }

    /// What was printed beside what was found, against both exact forms.
    pub(super) fn table(&self, sweep: &Sweep) -> Table {
        let columns = [
            ("mechanism", "the mechanism", Digits::Text),
            ("l", "projected length", Digits::Integer),
            ("n", "sequence length in tokens", Digits::Integer),
            ("speed", "published: times as fast as softmax attention", Digits::Significant(3)),
            ("ours_n_x_n", "here, against exact attention with n x n matrices", Digits::Significant(3)),
            ("ours_fused", "here, against fused exact attention", Digits::Significant(3)),
            ("memory", "published: share of the memory of softmax attention", Digits::Significant(2)),
            ("ours_memory", "here, against exact attention with n x n matrices", Digits::Significant(2)),
            ("verified", "no: from memory", Digits::Text),
        ];
        let columns = columns.map(|(name, about, digits)| Column::new(name, "", about, digits));
        let mut table = Table::new(self.about, columns.into());
        for published in self.published {
            for (n, speed, memory) in published.cells {
                let found = sweep.cells.iter().find(|one| {
                    let cell = &one.cell;
                    (cell.kind.name, cell.l, cell.n) == (published.mechanism, published.l, *n)
                });
                let exact = sweep.cells.iter().find(|one| one.cell.is_exact(Form::Materialised, *n));
                let against = |form| row::speedup(sweep, found?, form).map(|(mid, _)| mid);
                let share = || Some(row::extra(found?)? as f64 / row::extra(exact?)? as f64);
                table.push(vec![
                    published.mechanism.into(),
                    published.l.into(),
                    (*n).into(),
                    (*speed).into(),
                    against(Form::Materialised).into(),
                    against(Form::Fused).into(),
                    (*memory).into(),
                    share().into(),
                    if published.verified { "yes" } else { "no" }.into(),
                ]);
            }
        }
        table.notes = self.reading.iter().map(|note| (*note).to_string()).collect();
        table
    }
}

impl Preset {
    fn unit(&self) -> Unit {
        if self.name == LINFORMER_TABLE_3.name { Unit::Layer } else { Unit::Encoder }
    }
}

/// Whether a sweep is still the preset's: what was typed may have made another one of it.
pub(super) fn changed(settings: &Settings) -> Option<String> {
    let preset = settings.preset?;
    let sizes = (settings.heads, settings.head_dim, settings.ffn, settings.layers);
    let same = sizes == (preset.heads, preset.head_dim, preset.ffn, preset.layers)
        && settings.unit == preset.unit()
        && (settings.pass == Pass::Forward || preset.name == LUNA_TABLE_4.name)
        && !settings.causal();
    (!same).then(|| format!("what is run is not what {} ran: flags were typed beside it", preset.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_fill_in_what_was_not_typed() {
        for preset in ALL {
            let mut config = Config { heads: Some(3), ..Config::default() };
            preset.fill(&mut config).unwrap();
            assert_eq!(config.heads, Some(3));
            assert_eq!(config.layers, Some(preset.layers));
            let lengths = config.seq_len.unwrap();
            for published in preset.published {
                assert!(crate::attention::ALL.iter().any(|kind| kind.name == published.mechanism));
                assert!(published.cells.windows(2).all(|pair| pair[0].0 < pair[1].0));
                let shown = published.cells.iter().any(|(n, ..)| lengths.contains(n));
                assert!(shown, "{} {}", preset.name, published.mechanism);
            }
        }
    }
}
