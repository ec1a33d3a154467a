//! `luna train`: does it still learn?
//!
//! One network, or several beside each other on the same batches; one rate, or several; one seed, or several. The best
//! network by what is held out for choosing, and the best rate of each attention by that too, is judged on what no choice
//! has seen, where the task has that.

mod compare;
mod data;
mod folder;
pub(in crate::study) mod learner;
mod metrics;
mod open;
mod recipe;
mod report;
mod run;
mod source;
pub(in crate::study) mod translation;
pub(in crate::study) mod written;

use std::path::{Path, PathBuf};

use clap::Args;

pub use data::{ALL as TASKS, TaskKind};
pub use recipe::{ALL as PRESETS, Preset};
pub use report::columns;

use self::data::{Data, Files};
use self::learner::Learner;
use self::recipe::Recipe;
use self::run::{Run, State};
use super::{Context, Outcome};
use crate::error::{Error, Result};
use crate::name::{self, List, Spec};
use crate::profile::ram;

/// What is trained, on what, and how. What is not typed comes from the preset.
#[derive(Args, Clone, Debug, Default)]
#[allow(missing_docs)] // the flags' help says what they are
pub struct Config {
    /// What is learned: text, listops, language, recall, translation, with parameters as in listops:max=300 (see luna list task)
    #[arg(long, value_name = "SPEC")]
    pub task: String,
    /// File to learn from; the tasks text, language and translation (FILE.en and FILE.de) need one
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// File for the last word, which no choice sees
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    /// How the layers attend: softmax, luna:l=16,tied=true, luna-causal:l=16, linformer:l=64, linear, performer:l=64, local:l=64
    #[arg(long, value_name = "SPEC", conflicts_with = "compare")]
    pub attention: Option<String>,
    /// Several of them beside each other, on the same batches
    #[arg(long, value_name = "SPECS")]
    pub compare: Option<String>,
    /// Seeds from --seed on: so many runs of each attention [default: 1]
    #[arg(long, value_name = "N")]
    pub seeds: Option<usize>,
    /// Go on with the training in --out
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Sizes and rates under one name (see luna list recipe)
    #[arg(long, value_name = "NAME", help_heading = "Network and training")]
    pub preset: Option<String>,
    /// Longest sequence; longer ones are cut
    #[arg(long, value_name = "N", help_heading = "Network and training")]
    pub seq_len: Option<usize>,
    /// Width of the network
    #[arg(long, value_name = "D", help_heading = "Network and training")]
    pub d: Option<usize>,
    /// Heads of a layer
    #[arg(long, value_name = "H", help_heading = "Network and training")]
    pub heads: Option<usize>,
    /// Width inside the feed-forward networks [default: 4 D]
    #[arg(long, value_name = "F", help_heading = "Network and training")]
    pub ffn: Option<usize>,
    /// Layers
    #[arg(long, value_name = "L", help_heading = "Network and training")]
    pub layers: Option<usize>,
    /// Activation of the feed-forward networks: gelu, relu, silu
    #[arg(long, value_name = "NAME", help_heading = "Network and training")]
    pub activation: Option<String>,
    /// Norms before blocks, not behind them
    #[arg(long, help_heading = "Network and training")]
    pub pre_norm: bool,
    /// Whether Luna's P is carried from layer to layer: on, or off (each layer learns its own)
    #[arg(long, value_name = "ON|OFF", help_heading = "Network and training")]
    pub p_chain: Option<String>,
    /// How the decoder of translation attends: luna (behind a luna encoder) or softmax (behind any) [default: luna behind luna with --p-chain on, else softmax]
    #[arg(long, value_name = "NAME", help_heading = "Network and training")]
    pub decoder: Option<String>,
    /// Steps of the optimiser
    #[arg(long, value_name = "N", help_heading = "Network and training")]
    pub steps: Option<usize>,
    /// Sequences that are worked on at once (of translation: as many pairs as B times --seq-len tokens hold)
    #[arg(long, value_name = "B", help_heading = "Network and training")]
    pub batch: Option<usize>,
    /// Batches whose gradients make one step
    #[arg(long, value_name = "K", help_heading = "Network and training")]
    pub accumulate: Option<usize>,
    /// Rate of learning behind the warm-up; of several (0.001,0.002), all are trained and the best by validation is compared
    #[arg(long, value_name = "RATE,...", help_heading = "Network and training")]
    pub rate: Option<List<f64>>,
    /// How it changes: cosine, inverse-sqrt, linear, constant
    #[arg(long, value_name = "NAME", help_heading = "Network and training")]
    pub schedule: Option<String>,
    /// Steps in which it grows
    #[arg(long, value_name = "N", help_heading = "Network and training")]
    pub warm_up: Option<usize>,
    /// Decoupled decay of weight matrices; 0 for plain Adam
    #[arg(long, value_name = "DECAY", help_heading = "Network and training")]
    pub weight_decay: Option<f64>,
    /// Adam's decay of squared gradients
    #[arg(long = "beta-2", value_name = "BETA", help_heading = "Network and training")]
    pub beta_2: Option<f64>,
    /// Longest gradient; 0 for any
    #[arg(long, value_name = "NORM", help_heading = "Network and training")]
    pub clip: Option<f64>,
    /// Share that is dropped from embeddings, blocks and inside feed-forward networks (not from attention)
    #[arg(long, value_name = "SHARE", help_heading = "Network and training")]
    pub dropout: Option<f64>,
    /// Share of each target that is spread over all answers
    #[arg(long, value_name = "SHARE", help_heading = "Network and training")]
    pub label_smoothing: Option<f64>,
    /// Share of the data that is held out for choosing: drawn by the seed from every class, or pair by pair; of a text its end
    #[arg(long, value_name = "SHARE", help_heading = "Network and training")]
    pub validation: Option<f64>,
    /// Steps between looks at it, and between checkpoints
    #[arg(long, value_name = "N", help_heading = "Network and training")]
    pub eval_every: Option<usize>,
    /// The most examples of it that an evaluation takes: drawn by the seed; of a text, windows spread over all of it
    #[arg(long, value_name = "N", help_heading = "Network and training")]
    pub eval_examples: Option<usize>,
    /// Where runs are kept.
    #[arg(skip)]
    pub folder: Option<PathBuf>,
}

/// Trains and judges.
pub fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    let task: Spec = config.task.parse()?;
    let kind = Data::kind(&task)?;
    let recipe = Recipe::of(config, kind)?;
    let recipes = recipe.at_rates(config.rate.as_deref().unwrap_or_default())?;
    let causal = kind.of_tokens;
    let default = if causal { "luna-causal" } else { "luna" };
    let asked = config.attention.as_deref().or(config.compare.as_deref()).unwrap_or(default);
    let specs = name::specs(asked)?;
    if let (Some(_), [_, second, ..]) = (&config.attention, &specs[..]) {
        let accepted = "one; --compare takes several";
        return Err(Error::value("--attention", second, accepted));
    }
    let count = config.seeds.unwrap_or(1);
    if count == 0 {
        return Err(Error::value("--seeds", 0, "1 or more"));
    }
    let seeds: Vec<u64> = (0..count as u64).map(|more| context.seed.wrapping_add(more)).collect();
    let files = Files { data: config.data.as_deref(), test: config.test.as_deref() };
    let needs = Data::open(&task, &files, &recipe, context.seed)?;
    // Every mistake in what was asked for is found before the first step.
    for spec in &specs {
        let mechanism = crate::network::Mechanism::build(spec)?;
        let config = recipe.network(mechanism, &needs.needs())?;
        let network = Learner::new(&config, needs.pairs(), recipe.decoder)?;
        let needed = recipe.least_bytes(network.layout().len(), needs.pairs());
        let instead = "a smaller --batch (with --accumulate), --seq-len or --d needs less";
        ram::require(format!("a training with attention '{spec}'"), needed, instead)?;
    }
    let count = specs.len() * recipes.len() * seeds.len();
    context.watch.begin(recipe.steps * count, "steps");
    let mut runs = Vec::new();
    'all: for seed in &seeds {
        let opened;
        let data = if *seed == context.seed {
            &needs
        } else {
            opened = Data::open(&task, &files, &recipe, *seed)?;
            &opened
        };
        for (spec, recipe) in specs.iter().flat_map(|spec| recipes.iter().map(move |recipe| (spec, recipe))) {
            let rate = (recipes.len() > 1).then_some(recipe.rate);
            let place =
                |folder: &PathBuf| if count == 1 { folder.clone() } else { place(folder, spec, rate, *seed) };
            let folder = config.folder.as_ref().map(place);
            let run = Run {
                spec,
                seed: *seed,
                rate,
                recipe,
                data,
                folder: folder.as_deref(),
                resume: config.resume,
            };
            let ran = run.train(context.watch)?;
            let interrupted = matches!(ran.state, State::Interrupted);
            runs.push(ran);
            if interrupted || context.watch.stopped() {
                break 'all;
            }
        }
    }
    let complete = runs.len() == count && !runs.iter().any(|run| matches!(run.state, State::Interrupted));
    if complete && runs.iter().all(|run| matches!(run.state, State::Diverged(_))) {
        let last = runs.pop().map(|run| run.state);
        if let Some(State::Diverged(error)) = last {
            return Err(error);
        }
    }
    let kept = config.folder.is_some();
    Ok(Outcome { report: report::report(&runs, &needs, &recipes, kept, complete), complete })
}

/// The folder of one run among several; `rate` where they differ in it.
fn place(folder: &Path, spec: &Spec, rate: Option<f64>, seed: u64) -> PathBuf {
    let plain = spec.to_string().replace([':', ','], "-").replace('=', "");
    let rate = rate.map_or_else(String::new, |rate| format!("-rate{rate:?}"));
    folder.join(format!("{plain}{rate}-seed{seed}"))
}
