//! Everything that a training is told, and the presets that fill it in.

use serde::Serialize;

use super::Config;
use super::data::TaskKind;
use crate::error::{Error, Result};
use crate::model::Activation;
use crate::name;
use crate::network::translator::DecoderKind;
use crate::network::{EncoderConfig, Mechanism};
use crate::train::schedule::Schedule;

/// Sizes above these are taken for mistakes, as in files of models; their products stay within 64 bits.
const LARGEST: usize = 1 << 24;
const MOST_LAYERS: usize = 10_000;

/// Sizes of a network and how it learns.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Recipe {
    pub(super) n: usize,
    pub(super) d: usize,
    pub(super) heads: usize,
    pub(super) ffn: usize,
    pub(super) layers: usize,
    pub(super) activation: &'static str,
    pub(super) pre_norm: bool,
    pub(super) p_chain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decoder: Option<DecoderKind>,
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) accumulate: usize,
    pub(super) rate: f64,
    pub(super) schedule: String,
    pub(super) warm_up: usize,
    pub(super) beta_1: f64,
    pub(super) beta_2: f64,
    pub(super) adam_eps: f64,
    pub(super) weight_decay: f64,
    pub(super) clip: f64,
    pub(super) dropout: f64,
    pub(super) label_smoothing: f64,
    pub(super) eval_every: usize,
    pub(super) eval_examples: usize,
    pub(super) validation: f64,
}

/// A recipe with a name.
#[derive(Debug)]
pub struct Preset {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    task: &'static str,
    change: fn(&mut Recipe),
}

/// Every preset; the first of a task is its default.
pub const ALL: &[Preset] = &[
    Preset {
        name: "small-text",
        about: "byte-level text, n 1024, 2 layers of width 128: an hour or less on 2 cores",
        task: "text",
        change: |_| {},
    },
    Preset {
        name: "small-listops",
        about: "ListOps of 100 to 500 symbols, 2 layers of width 128",
        task: "listops",
        change: |recipe| {
            (recipe.n, recipe.batch, recipe.steps) = (512, 32, 4000);
            (recipe.warm_up, recipe.eval_every) = (400, 250);
        },
    },
    Preset {
        name: "small-language",
        about: "bytes of any text, n 256, 4 layers of width 128: 1 MB of weights in f16 once trained",
        task: "language",
        change: |recipe| {
            (recipe.n, recipe.d, recipe.ffn, recipe.layers) = (256, 128, 512, 4);
            (recipe.batch, recipe.steps, recipe.rate) = (16, 3000, 2e-3);
            (recipe.dropout, recipe.beta_2, recipe.weight_decay) = (0.1, 0.99, 0.1);
            recipe.eval_every = 250;
        },
    },
    Preset {
        name: "small-recall",
        about: "associative recall, 2 layers of width 64: a minute on 2 cores",
        task: "recall",
        change: |recipe| {
            (recipe.n, recipe.d, recipe.heads, recipe.ffn) = (16, 64, 2, 256);
            (recipe.batch, recipe.steps) = (64, 1000);
            (recipe.eval_every, recipe.weight_decay) = (100, 0.1);
        },
    },
    Preset {
        name: "small-translation",
        about: "sentences, 3 + 3 layers of width 128, 4096 tokens a step: Multi30k in half an hour on 2 cores",
        task: "translation",
        change: |recipe| {
            (recipe.n, recipe.d, recipe.ffn, recipe.layers) = (64, 128, 512, 3);
            (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (64, 2000, 3e-3, 200);
            (recipe.dropout, recipe.label_smoothing) = (0.1, 0.1);
            (recipe.beta_2, recipe.weight_decay) = (0.98, 0.01);
            (recipe.validation, recipe.eval_every) = (0.03, 200);
        },
    },
    Preset {
        name: "wmt-base",
        about: "WMT EN-DE at the base size of Vaswani et al. 2017 and the Luna paper: 6 + 6 layers of 512, 100,000 steps (no attention dropout)",
        task: "translation",
        change: |recipe| {
            (recipe.n, recipe.d, recipe.heads, recipe.ffn, recipe.layers) = (256, 512, 8, 2048, 6);
            (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (128, 100_000, 7e-4, 4000);
            (recipe.activation, recipe.schedule) = ("relu", "inverse-sqrt".into());
            (recipe.dropout, recipe.label_smoothing) = (0.1, 0.1);
            (recipe.beta_2, recipe.weight_decay, recipe.clip) = (0.98, 0.0, 0.0);
            (recipe.validation, recipe.eval_every) = (0.001, 1000);
        },
    },
    Preset {
        name: "lra-text",
        about: "byte-level text as the Luna authors ran it: 4 layers of 256, n 4000, 20,000 steps (no attention dropout)",
        task: "text",
        change: |recipe| {
            (recipe.n, recipe.d, recipe.ffn, recipe.layers) = (4000, 256, 1024, 4);
            (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (32, 20_000, 5e-5, 8000);
            (recipe.dropout, recipe.weight_decay, recipe.beta_2) = (0.3, 1e-4, 0.98);
            (recipe.clip, recipe.schedule) = (0.0, "inverse-sqrt".into());
            recipe.eval_every = 500;
        },
    },
    Preset {
        name: "lra-listops",
        about: "ListOps as the Luna authors ran it: 1 layer of 512, n 2000, 5,000 steps (no attention dropout)",
        task: "listops",
        change: |recipe| {
            (recipe.n, recipe.d, recipe.heads, recipe.ffn, recipe.layers) = (2000, 512, 8, 2048, 1);
            (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (32, 5000, 1e-4, 1000);
            (recipe.dropout, recipe.weight_decay, recipe.beta_2) = (0.1, 1e-4, 0.98);
            (recipe.clip, recipe.schedule) = (0.0, "inverse-sqrt".into());
            recipe.eval_every = 250;
        },
    },
];

impl Recipe {
    /// The preset of that name or the task's own, with what was typed in its place.
    pub(super) fn of(config: &Config, task: &TaskKind) -> Result<Self> {
        let preset = match &config.preset {
            Some(name) => name::find("preset", name, ALL, |preset| preset.name)?,
            None => ALL.iter().find(|preset| preset.task == task.name).unwrap_or(&ALL[0]),
        };
        if preset.task != task.name {
            let accepted: Vec<_> =
                ALL.iter().filter(|preset| preset.task == task.name).map(|preset| preset.name).collect();
            let what = format!("--preset with --task {}", task.name);
            return Err(Error::value(what, preset.name, accepted.join(", ")));
        }
        let mut recipe = Self {
            n: 1024,
            d: 128,
            heads: 4,
            ffn: 512,
            layers: 2,
            activation: "gelu",
            pre_norm: false,
            p_chain: true,
            decoder: None,
            steps: 1600,
            batch: 16,
            accumulate: 1,
            rate: 1e-3,
            schedule: "cosine".into(),
            warm_up: 100,
            beta_1: 0.9,
            beta_2: 0.999,
            adam_eps: 1e-8,
            weight_decay: 0.01,
            clip: 1.0,
            dropout: 0.0,
            label_smoothing: 0.0,
            eval_every: 200,
            eval_examples: 1000,
            validation: 0.1,
        };
        (preset.change)(&mut recipe);
        recipe.take(config)?;
        recipe.check(task)?;
        Ok(recipe)
    }

    /// The same at each rate that was typed, or at the preset's alone.
    pub(super) fn at_rates(&self, rates: &[f64]) -> Result<Vec<Self>> {
        if let Some(rate) = rates.iter().find(|rate| **rate <= 0.0) {
            return Err(Error::value("--rate", rate, "numbers above 0"));
        }
        if rates.is_empty() {
            return Ok(vec![self.clone()]);
        }
        Ok(rates.iter().map(|rate| Self { rate: *rate, ..self.clone() }).collect())
    }

    /// What was typed.
    fn take(&mut self, config: &Config) -> Result<()> {
        let counts = [
            (&mut self.n, config.seq_len),
            (&mut self.d, config.d),
            (&mut self.heads, config.heads),
            (&mut self.layers, config.layers),
            (&mut self.steps, config.steps),
            (&mut self.batch, config.batch),
            (&mut self.accumulate, config.accumulate),
            (&mut self.warm_up, config.warm_up),
            (&mut self.eval_every, config.eval_every),
            (&mut self.eval_examples, config.eval_examples),
        ];
        for (to, typed) in counts {
            *to = typed.unwrap_or(*to);
        }
        self.ffn = config.ffn.or(config.d.map(|d| 4 * d)).unwrap_or(self.ffn);
        // A short trial warms up and looks at itself within its steps.
        if config.steps.is_some() {
            self.warm_up = config.warm_up.unwrap_or_else(|| self.warm_up.min(self.steps / 10));
            self.eval_every = config.eval_every.unwrap_or_else(|| self.eval_every.min(self.steps.max(1)));
        }
        let shares = [
            (&mut self.weight_decay, config.weight_decay),
            (&mut self.clip, config.clip),
            (&mut self.dropout, config.dropout),
            (&mut self.label_smoothing, config.label_smoothing),
            (&mut self.validation, config.validation),
            (&mut self.beta_2, config.beta_2),
        ];
        for (to, typed) in shares {
            *to = typed.unwrap_or(*to);
        }
        self.pre_norm |= config.pre_norm;
        self.decoder = config.decoder.as_deref().map(DecoderKind::find).transpose()?;
        if let Some(schedule) = &config.schedule {
            self.schedule.clone_from(schedule);
        }
        if let Some(activation) = &config.activation {
            self.activation = Activation::find(activation)?.name();
        }
        if let Some(chain) = &config.p_chain {
            self.p_chain = match chain.as_str() {
                "on" => true,
                "off" => false,
                other => return Err(Error::value("--p-chain", other, "on, off")),
            };
        }
        Ok(())
    }

    fn check(&self, task: &TaskKind) -> Result<()> {
        if let Some(decoder) = self.decoder.filter(|_| task.name != "translation") {
            return Err(Error::value("--decoder", decoder.name(), "none, but with --task translation"));
        }
        let from_one = [
            ("--seq-len", self.n),
            ("--d", self.d),
            ("--heads", self.heads),
            ("--ffn", self.ffn),
            ("--layers", self.layers),
            ("--steps", self.steps),
            ("--batch", self.batch),
            ("--accumulate", self.accumulate),
            ("--eval-every", self.eval_every),
            ("--eval-examples", self.eval_examples),
        ];
        for (flag, value) in from_one {
            if value == 0 || value > LARGEST {
                return Err(Error::value(flag, value, format!("1 to {LARGEST}")));
            }
        }
        if self.layers > MOST_LAYERS {
            return Err(Error::value("--layers", self.layers, format!("1 to {MOST_LAYERS}")));
        }
        if !self.d.is_multiple_of(self.heads) {
            return Err(Error::value("--heads", self.heads, format!("a divisor of --d {}", self.d)));
        }
        for (flag, value) in [("--weight-decay", self.weight_decay), ("--clip", self.clip)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::value(flag, value, "0 or more"));
            }
        }
        let shares = [
            ("--dropout", self.dropout),
            ("--label-smoothing", self.label_smoothing),
            ("--beta-2", self.beta_2),
        ];
        for (flag, value) in shares {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::value(flag, value, "from 0 to below 1"));
            }
        }
        if task.splits && !(self.validation > 0.0 && self.validation < 1.0) {
            return Err(Error::value("--validation", self.validation, "above 0 and below 1"));
        }
        self.schedule().map(|_| ())
    }

    /// Bytes that a training holds at least: weights, gradients and Adam's two means, and what the layers keep of a
    /// batch of the longest sequences for the backward pass.
    pub(super) fn least_bytes(&self, parameters: usize, pairs: bool) -> u64 {
        let rows = (self.batch as u64).saturating_mul(self.n as u64);
        let stacks = if pairs { 2 } else { 1 };
        let of_a_row = (stacks * self.layers as u64).saturating_mul((8 * self.d + self.ffn) as u64);
        let numbers = rows.saturating_mul(of_a_row).saturating_add(4 * parameters as u64);
        numbers.saturating_mul(size_of::<f32>() as u64)
    }

    pub(super) fn schedule(&self) -> Result<Schedule> {
        Schedule::find(&self.schedule)
    }

    /// The network of this recipe with these layers, for a vocabulary and a head that the task gives.
    pub(super) fn network(&self, mechanism: Mechanism, of_task: &EncoderConfig) -> Result<EncoderConfig> {
        let mechanism = match mechanism {
            // E reads no further than the longest sequence: more columns would never learn.
            Mechanism::Linformer { l, .. } => Mechanism::Linformer { l, max: self.n },
            other => other,
        };
        if let Some(l) = mechanism.l().filter(|l| *l > self.n) {
            let what = format!("l of attention '{}'", mechanism.name());
            return Err(Error::value(what, l, format!("{} or less, the sequence length", self.n)));
        }
        Ok(EncoderConfig {
            activation: Activation::find(self.activation)?,
            pre_norm: self.pre_norm,
            p_chain: self.p_chain,
            positions: self.n,
            embedding_norm: true,
            ..EncoderConfig {
                mechanism,
                d: self.d,
                heads: self.heads,
                ffn: self.ffn,
                layers: self.layers,
                ..*of_task
            }
        })
    }
}
