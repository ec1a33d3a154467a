//! From flags and presets to a checked recipe, and from a recipe to a network.

use super::config::TrainConfig;
use crate::error::{Error, Result};
use crate::model::Activation;
use crate::name::{self, Spec};
use crate::network::translator::DecoderKind;
use crate::network::{EncoderConfig, Mechanism};
use crate::task::recipe::{Recipe, RecipePreset};
use crate::task::{self, NetworkKind, TaskKind};
use crate::train::schedule::Schedule;

/// Larger sizes are taken for mistakes, as in files of models; products of sizes stay within 64 bits.
const MAX_SIZE: usize = 1 << 24;
const MAX_LAYERS: usize = 10_000;

/// The recipe of a preset, or of the task's default, with the flags that were set.
pub(super) fn recipe(config: &TrainConfig, task: &TaskKind) -> Result<Recipe> {
    let mut recipe = Recipe::default();
    (preset(config.preset.as_deref(), task)?.change)(&mut recipe);
    apply(config, &mut recipe)?;
    check(&recipe, task)?;
    Ok(recipe)
}

/// The preset of this name, or the task's first.
fn preset(name: Option<&str>, task: &TaskKind) -> Result<&'static RecipePreset> {
    let Some(name) = name else { return Ok(&task.presets[0]) };
    let all: Vec<(&str, &RecipePreset)> =
        task::ALL.iter().flat_map(|task| task.presets.iter().map(|preset| (task.name, preset))).collect();
    let (of, preset) = name::find("preset", name, &all, |(_, preset)| preset.name)?;
    if *of != task.name {
        let accepted: Vec<_> = task.presets.iter().map(|preset| preset.name).collect();
        let what = format!("--preset with --task {}", task.name);
        return Err(Error::value(what, name, accepted.join(", ")));
    }
    Ok(preset)
}

/// The recipe at each rate of `--rate`, or at its own.
pub(super) fn at_rates(recipe: &Recipe, rates: &[f64]) -> Result<Vec<Recipe>> {
    if let Some(rate) = rates.iter().find(|rate| **rate <= 0.0) {
        return Err(Error::value("--rate", rate, "numbers above 0"));
    }
    if rates.is_empty() {
        return Ok(vec![recipe.clone()]);
    }
    Ok(rates.iter().map(|rate| Recipe { rate: *rate, ..recipe.clone() }).collect())
}

/// Sets what was given as flags.
fn apply(config: &TrainConfig, recipe: &mut Recipe) -> Result<()> {
    let counts = [
        (&mut recipe.n, config.seq_len),
        (&mut recipe.d, config.d),
        (&mut recipe.heads, config.num_heads),
        (&mut recipe.layers, config.num_layers),
        (&mut recipe.steps, config.steps),
        (&mut recipe.batch, config.batch),
        (&mut recipe.accumulate, config.accumulate),
        (&mut recipe.warm_up, config.warm_up),
        (&mut recipe.eval_every, config.eval_every),
        (&mut recipe.eval_examples, config.eval_examples),
    ];
    for (to, flag) in counts {
        *to = flag.unwrap_or(*to);
    }
    recipe.ffn = config.ffn.or(config.d.map(|d| 4 * d)).unwrap_or(recipe.ffn);
    // A short trial warms up and is evaluated within its steps.
    if config.steps.is_some() {
        recipe.warm_up = config.warm_up.unwrap_or_else(|| recipe.warm_up.min(recipe.steps / 10));
        recipe.eval_every = config.eval_every.unwrap_or_else(|| recipe.eval_every.min(recipe.steps.max(1)));
    }
    let shares = [
        (&mut recipe.weight_decay, config.weight_decay),
        (&mut recipe.clip, config.clip),
        (&mut recipe.dropout, config.dropout),
        (&mut recipe.attention_dropout, config.attention_dropout),
        (&mut recipe.label_smoothing, config.label_smoothing),
        (&mut recipe.validation, config.validation),
        (&mut recipe.beta_2, config.beta_2),
        (&mut recipe.p_spread, config.p_spread),
        (&mut recipe.rate_p, config.rate_p),
    ];
    for (to, flag) in shares {
        *to = flag.unwrap_or(*to);
    }
    recipe.pre_norm |= config.pre_norm;
    recipe.decoder = config.decoder.as_deref().map(decoder).transpose()?;
    if let Some(schedule) = &config.schedule {
        recipe.schedule.clone_from(schedule);
    }
    if let Some(activation) = &config.activation {
        recipe.activation = Activation::find(activation)?.name();
    }
    if let Some(chain) = &config.p_chain {
        recipe.p_chain = match chain.as_str() {
            "on" => true,
            "off" => false,
            other => return Err(Error::value("--p-chain", other, "on, off")),
        };
    }
    Ok(())
}

/// The spec of a decoder that exists and takes these parameters; what they may be depends on the encoder.
fn decoder(text: &str) -> Result<Spec> {
    let spec: Spec = text.parse()?;
    spec.params("decoder", DecoderKind::find(&spec.name)?.takes())?;
    Ok(spec)
}

fn check(recipe: &Recipe, task: &TaskKind) -> Result<()> {
    if let Some(decoder) = recipe.decoder.as_ref().filter(|_| task.network != NetworkKind::EncoderDecoder) {
        let with: Vec<_> =
            task::ALL.iter().filter(|task| task.network == NetworkKind::EncoderDecoder).collect();
        let with: Vec<_> = with.iter().map(|task| format!("--task {}", task.name)).collect();
        let accepted = format!("only {}: other tasks have no decoder", with.join(", "));
        return Err(Error::value(format!("--decoder with --task {}", task.name), decoder, accepted));
    }
    let from_one = [
        ("--seq-len", recipe.n),
        ("--d", recipe.d),
        ("--num-heads", recipe.heads),
        ("--ffn", recipe.ffn),
        ("--num-layers", recipe.layers),
        ("--steps", recipe.steps),
        ("--batch", recipe.batch),
        ("--accumulate", recipe.accumulate),
        ("--eval-every", recipe.eval_every),
        ("--eval-examples", recipe.eval_examples),
    ];
    for (flag, value) in from_one {
        if value == 0 || value > MAX_SIZE {
            return Err(Error::value(flag, value, format!("1 to {MAX_SIZE}")));
        }
    }
    if recipe.layers > MAX_LAYERS {
        return Err(Error::value("--num-layers", recipe.layers, format!("1 to {MAX_LAYERS}")));
    }
    if !recipe.d.is_multiple_of(recipe.heads) {
        return Err(Error::value("--num-heads", recipe.heads, format!("a divisor of --d {}", recipe.d)));
    }
    for (flag, value) in [("--weight-decay", recipe.weight_decay), ("--clip", recipe.clip)] {
        if !(value.is_finite() && value >= 0.0) {
            return Err(Error::value(flag, value, "a finite number, 0 or more"));
        }
    }
    for (flag, value) in [("--p-spread", recipe.p_spread), ("--rate-p", recipe.rate_p)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(Error::value(flag, value, "a finite number above 0"));
        }
    }
    let shares = [
        ("--dropout", recipe.dropout),
        ("--attention-dropout", recipe.attention_dropout),
        ("--label-smoothing", recipe.label_smoothing),
        ("--beta-2", recipe.beta_2),
    ];
    for (flag, value) in shares {
        if !(0.0..1.0).contains(&value) {
            return Err(Error::value(flag, value, "from 0 to below 1"));
        }
    }
    if task.splits && !(recipe.validation > 0.0 && recipe.validation < 1.0) {
        return Err(Error::value("--validation", recipe.validation, "above 0 and below 1"));
    }
    Schedule::find(&recipe.schedule).map(|_| ())
}

/// A lower bound of the memory of a training in bytes: parameters, gradients and Adam's two moments, and the activations
/// that layers save of a batch of the longest sequences.
pub(super) fn min_bytes(recipe: &Recipe, parameters: usize, kind: NetworkKind) -> u64 {
    let rows = (recipe.batch as u64).saturating_mul(recipe.n as u64);
    let stacks = if kind == NetworkKind::EncoderDecoder { 2 } else { 1 };
    let of_a_row = (stacks * recipe.layers as u64).saturating_mul((8 * recipe.d + recipe.ffn) as u64);
    let elements = rows.saturating_mul(of_a_row).saturating_add(4 * parameters as u64);
    elements.saturating_mul(size_of::<f32>() as u64)
}

/// The network of a recipe with layers of this mechanism; `of_task` has the vocabulary, mask and head of the task.
pub(super) fn encoder(
    recipe: &Recipe,
    mechanism: Mechanism,
    of_task: &EncoderConfig,
) -> Result<EncoderConfig> {
    let mechanism = match mechanism {
        // E has a column for each position: more than the longest sequence would never learn.
        Mechanism::Linformer { l, .. } => Mechanism::Linformer { l, max: recipe.n },
        other => other,
    };
    if let Some(l) = mechanism.l().filter(|l| *l > recipe.n && mechanism.honours(of_task.mask())) {
        let what = format!("l of mechanism '{}'", mechanism.name());
        return Err(Error::value(what, l, format!("{} or less, the sequence length", recipe.n)));
    }
    if recipe.attention_dropout > 0.0 && !mechanism.drops() {
        let what = format!("--attention-dropout with mechanism '{}'", mechanism.name());
        return Err(Error::value(
            what,
            recipe.attention_dropout,
            "0; softmax, local, luna and luna-causal drop",
        ));
    }
    Ok(EncoderConfig {
        activation: Activation::find(recipe.activation)?,
        pre_norm: recipe.pre_norm,
        p_chain: recipe.p_chain,
        positions: recipe.n,
        embedding_norm: true,
        ..EncoderConfig {
            mechanism,
            d: recipe.d,
            heads: recipe.heads,
            ffn: recipe.ffn,
            layers: recipe.layers,
            ..*of_task
        }
    })
}
