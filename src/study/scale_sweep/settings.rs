//! The flags, checked, with the values of the preset and the defaults.

use serde_json::Value;

use super::config::ScaleSweepConfig;
use super::options::{Measure, Pass, Unit};
use super::preset::{self, Preset};
use crate::attention::{self, Fused, Kind, Mask};
use crate::error::{Error, Result};
use crate::name::{self, List, Spec};
use crate::profile::machine::Machine;
use crate::sweep::Fingerprint;

/// The checked settings of a sweep.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Exact attention first, whether it was named or not.
    pub(super) mechanisms: Vec<Spec>,
    /// Whether exact attention was added to the named mechanisms.
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

/// The named mechanisms, by default all of the default set that have fused implementations, with exact attention.
fn mechanisms(typed: Option<&str>, mask: Mask, pass: Pass) -> Result<(Vec<Spec>, bool)> {
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
    pub(super) fn of(config: &ScaleSweepConfig) -> Result<Self> {
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
        let (heads, head_dim) = (config.num_heads.unwrap_or(8), config.head_dim.unwrap_or(64));
        let measure = match &config.measure {
            Some(measure) => measure.clone(),
            None => "flops,time,memory".parse()?,
        };
        let pass = config.pass.unwrap_or_default();
        let (mechanisms, adds_softmax) = mechanisms(config.mechanism.as_deref(), mask, pass)?;
        let settings = Self {
            mechanisms,
            adds_softmax,
            seq_len: lengths(config.seq_len, &[128, 256, 512, 1024, 2048, 4096]),
            l: lengths(config.l, &[16, 128, 256]),
            heads,
            head_dim,
            batch: config.batch.unwrap_or(1),
            unit: config.unit.unwrap_or_default(),
            // Sizes that are too large are refused below: the product must not wrap around.
            ffn: config.ffn.unwrap_or(heads.saturating_mul(head_dim).saturating_mul(4)),
            layers: config.num_layers.unwrap_or(4),
            mask,
            pass,
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

    /// Whether anything is run for what it costs.
    pub(super) fn measures_costs(&self) -> bool {
        self.measure.iter().any(|what| *what != Measure::Error)
    }

    fn check(&self) -> Result<()> {
        let at_least_one = [
            ("--seq-len", self.seq_len.first()),
            ("--l", self.l.first()),
            ("--num-heads", Some(&self.heads)),
            ("--head-dim", Some(&self.head_dim)),
            ("--batch", Some(&self.batch)),
            ("--ffn", Some(&self.ffn)),
            ("--num-layers", Some(&self.layers)),
        ];
        if let Some((flag, _)) = at_least_one.into_iter().find(|(_, value)| *value == Some(&0)) {
            return Err(Error::value(flag, 0, "1 or more"));
        }
        if !(3..=10_000).contains(&self.rounds) {
            return Err(Error::value("--rounds", self.rounds, "3 to 10000"));
        }
        let layers = self.unit != Unit::Core;
        if layers && self.layers > 1_000_000 {
            return Err(Error::value("--num-layers", self.layers, "1 to 1000000"));
        }
        // Counts stay within 64 bits.
        let longest = self.seq_len.last().copied().unwrap_or(0);
        let [n, b, h, d_h, ffn, depth] =
            [longest, self.batch, self.heads, self.head_dim, self.ffn, self.layers].map(|size| size as f64);
        let d = h * d_h;
        for (flag, value, product, limit, of) in [
            ("--seq-len", longest, b * n * n * d, 1e17, "shorter sequences or fewer of them"),
            ("--num-heads", self.heads, d * d * depth, 1e15, "narrower layers or fewer of them"),
            ("--ffn", self.ffn, d * ffn * depth, 1e15, "narrower layers or fewer of them"),
            ("--ffn", self.ffn, n * b * ffn * depth, 1e15, "narrower layers or fewer of them"),
        ] {
            if product > limit && (layers || flag == "--seq-len") {
                return Err(Error::value(flag, value, format!("{of}: counts must stay below 2^63")));
            }
        }
        if self.measures(Measure::Error) && layers {
            return Err(Error::value(
                "--measure",
                "error",
                "flops, time and memory with --unit layer or encoder; error is measured with --unit core",
            ));
        }
        Ok(())
    }

    /// What the figures of a row depend on: an interrupted sweep is continued only by the same one on the same machine. More
    /// rounds and a larger budget are the same sweep.
    pub(super) fn fingerprint(&self, seed: u64) -> Fingerprint {
        let specs: Vec<String> = self.mechanisms.iter().map(ToString::to_string).collect();
        let facts: [(&str, Value); 13] = [
            ("seed", seed.into()),
            ("mechanism", specs.into()),
            ("seq_len", self.seq_len.clone().into()),
            ("l", self.l.clone().into()),
            ("num_heads", self.heads.into()),
            ("head_dim", self.head_dim.into()),
            ("batch", self.batch.into()),
            ("unit", self.unit.name().into()),
            ("ffn", self.ffn.into()),
            ("num_layers", self.layers.into()),
            ("mask", self.mask.name().into()),
            ("pass", self.pass.name().into()),
            ("measure", self.measure.to_string().into()),
        ];
        let mut print = Fingerprint::of_study("scale-sweep");
        // Nothing else depends on the machine.
        if self.measures(Measure::Time) {
            print.push("cpu", Machine::read().cpu.unwrap_or_default());
        }
        if self.measures(Measure::Time) || self.measures(Measure::Memory) {
            print.push("threads", rayon::current_num_threads());
        }
        for (name, value) in facts {
            print.push(name, value);
        }
        print
    }
}
