//! The configuration with its preset and its defaults filled in.

use super::preset::{self, Preset};
use super::{Config, Measure, Pass, Unit};
use crate::attention::{self, Fused, Kind, Mask};
use crate::error::{Error, Result};
use crate::name::{self, List, Spec};
use crate::profile::machine::Machine;
use crate::study::fingerprint::Fingerprint;

/// Everything that a sweep is told, nothing left open.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) attention: Vec<Spec>,
    /// Whether exact attention was added to what was named.
    pub(super) adds_softmax: bool,
    /// Ascending.
    pub(super) seq_len: Vec<usize>,
    /// Ascending.
    pub(super) l: Vec<usize>,
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    pub(super) batch: usize,
    pub(super) unit: Unit,
    pub(super) ffn: usize,
    pub(super) layers: usize,
    pub(super) mask: Mask,
    pub(super) pass: Pass,
    pub(super) measure: List<Measure>,
    pub(super) rounds: usize,
    pub(super) budget: f64,
    pub(super) preset: Option<&'static Preset>,
}

/// What is swept: exact attention first, whether it was named or not; where nothing was named, all that have fused forms.
fn attention(typed: Option<&str>, mask: Mask, pass: Pass) -> Result<(Vec<Spec>, bool)> {
    let has = |kind: &&&Kind| {
        let honours = |form: Fused| match pass {
            Pass::Forward => form.honours(mask),
            Pass::Train => form.has_backward(mask),
        };
        kind.by_default && attention::fused(kind.name, None).is_ok_and(honours)
    };
    let all: Vec<&str> = attention::ALL.iter().filter(has).map(|kind| kind.name).collect();
    let mut specs = name::specs(typed.unwrap_or(&all.join(",")))?;
    let named = specs.iter().any(|spec| spec.name == "softmax");
    if !named {
        specs.insert(0, "softmax".parse()?);
    }
    Ok((specs, !named))
}

impl Settings {
    pub(super) fn of(config: &Config) -> Result<Self> {
        let preset = config.preset.as_deref().map(preset::find).transpose()?;
        let mut config = config.clone();
        if let Some(preset) = preset {
            preset.fill(&mut config)?;
        }
        let mask = if config.causal { Mask::Causal } else { Mask::Full };
        let lengths = |list: Option<List<usize>>, default: &[usize]| {
            let mut lengths = list.map_or_else(|| default.to_vec(), |list| list.to_vec());
            lengths.sort_unstable();
            lengths
        };
        let (heads, head_dim) = (config.heads.unwrap_or(8), config.head_dim.unwrap_or(64));
        let measure = match &config.measure {
            Some(measure) => measure.clone(),
            None => "flops,time,memory".parse()?,
        };
        let (attention, adds_softmax) =
            attention(config.attention.as_deref(), mask, config.pass.unwrap_or_default())?;
        let settings = Self {
            attention,
            adds_softmax,
            seq_len: lengths(config.seq_len, &[128, 256, 512, 1024, 2048, 4096]),
            l: lengths(config.l, &[16, 128, 256]),
            heads,
            head_dim,
            batch: config.batch.unwrap_or(1),
            unit: config.unit.unwrap_or_default(),
            // What is too large is refused below, and must not wrap before.
            ffn: config.ffn.unwrap_or(heads.saturating_mul(head_dim).saturating_mul(4)),
            layers: config.layers.unwrap_or(4),
            mask,
            pass: config.pass.unwrap_or_default(),
            measure,
            rounds: config.rounds.unwrap_or(15),
            budget: config.budget.map_or(60.0, |budget| budget.0),
            preset,
        };
        settings.check()?;
        Ok(settings)
    }

    /// d, the width of the model.
    pub(super) fn d(&self) -> usize {
        self.heads * self.head_dim
    }

    pub(super) fn causal(&self) -> bool {
        self.mask == Mask::Causal
    }

    pub(super) fn measures(&self, what: Measure) -> bool {
        self.measure.contains(&what)
    }

    fn check(&self) -> Result<()> {
        let at_least_one = [
            ("--seq-len", self.seq_len.first()),
            ("--l", self.l.first()),
            ("--heads", Some(&self.heads)),
            ("--head-dim", Some(&self.head_dim)),
            ("--batch", Some(&self.batch)),
            ("--ffn", Some(&self.ffn)),
            ("--layers", Some(&self.layers)),
        ];
        for (flag, value) in at_least_one {
            if value == Some(&0) {
                return Err(Error::value(flag, 0, "1 or more"));
            }
        }
        if !(3..=10_000).contains(&self.rounds) {
            return Err(Error::value("--rounds", self.rounds, "3 to 10000"));
        }
        // Counts stay within 64 bits.
        let sizes = [self.seq_len.last(), self.seq_len.last(), Some(&self.heads), Some(&self.head_dim)];
        let product = sizes.into_iter().flatten().fold(self.batch as f64, |all, size| all * *size as f64);
        if product > 1e17 {
            return Err(Error::value(
                "--seq-len",
                self.seq_len[self.seq_len.len() - 1],
                "lengths that are not astronomical",
            ));
        }
        if self.unit != Unit::Core {
            if self.layers > 1_000_000 {
                return Err(Error::value("--layers", self.layers, "1 to 1000000"));
            }
            let (d, ffn, layers) =
                (self.heads as f64 * self.head_dim as f64, self.ffn as f64, self.layers as f64);
            if d * d * layers > 1e15 {
                return Err(Error::value("--heads", self.heads, "widths that are not astronomical"));
            }
            if d * ffn * layers > 1e15 {
                return Err(Error::value("--ffn", self.ffn, "widths that are not astronomical"));
            }
            let rows = self.seq_len.last().map_or(0.0, |n| *n as f64) * self.batch as f64;
            if rows * self.ffn as f64 * self.layers as f64 > 1e15 {
                return Err(Error::value("--ffn", self.ffn, "widths that are not astronomical"));
            }
        }
        if self.measures(Measure::Error) && self.unit != Unit::Core {
            return Err(Error::value(
                "--measure",
                "error",
                "what --unit core has; layers have no softmax to stand in for",
            ));
        }
        Ok(())
    }

    /// What decides the figures of a row: an interrupted sweep is only taken up by the same one, on the same machine.
    pub(super) fn fingerprint(&self, seed: u64) -> Fingerprint {
        let specs: Vec<String> = self.attention.iter().map(ToString::to_string).collect();
        let mut print = Fingerprint::default();
        print.push("version", env!("CARGO_PKG_VERSION"));
        print.push("cpu", Machine::read().cpu.unwrap_or_default());
        print.push("threads", rayon::current_num_threads());
        print.push("seed", seed);
        print.push("attention", specs.join(","));
        print.push("seq-len", self.seq_len.clone());
        print.push("l", self.l.clone());
        print.push("heads", self.heads);
        print.push("head-dim", self.head_dim);
        print.push("batch", self.batch);
        print.push("unit", format!("{:?}", self.unit).to_lowercase());
        print.push("ffn", self.ffn);
        print.push("layers", self.layers);
        print.push("mask", format!("{:?}", self.mask).to_lowercase());
        print.push("pass", format!("{:?}", self.pass).to_lowercase());
        print.push("measure", self.measure.to_string());
        print
    }
}
