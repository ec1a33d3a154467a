//! The cells of a comparison.

use std::path::Path;

use super::cell::TrainingCell;
use super::config::TrainConfig;
use super::data::TrainingData;
use super::network::{TaskNetwork, config_of};
use super::settings;
use crate::error::{Error, Result};
use crate::name::{self, Spec};
use crate::network::{Mechanism, of_p};
use crate::profile::ram;
use crate::sweep::Cell;
use crate::task::recipe::Recipe;
use crate::task::{self, NetworkKind, TaskKind};

/// What is trained: every mechanism at every rate with every seed.
pub(super) struct TrainingPlan<'a> {
    config: &'a TrainConfig,
    task: Spec,
    kind: &'static TaskKind,
    /// The recipe at each learning rate.
    pub(super) recipes: Vec<Recipe>,
    mechanisms: Vec<Spec>,
    /// Seed by seed, so that a comparison that was stopped has all mechanisms at the first seeds.
    pub(super) cells: Vec<TrainingCell>,
}

impl<'a> TrainingPlan<'a> {
    /// The cells that the flags ask for; `seed` is the first of the seeds.
    pub(super) fn of(config: &'a TrainConfig, seed: u64) -> Result<Self> {
        let task: Spec = config.task.parse()?;
        let kind = task::find(&task)?;
        let recipe = settings::recipe(config, kind)?;
        let recipes = settings::at_rates(&recipe, config.rate.as_deref().unwrap_or_default())?;
        let mechanisms = mechanisms(config, kind)?;
        let seeds = config.seeds.unwrap_or(1);
        if seeds == 0 {
            return Err(Error::value("--seeds", 0, "1 or more"));
        }
        let several = mechanisms.len() * recipes.len() * seeds > 1;
        let mut cells = Vec::new();
        for seed in (0..seeds as u64).map(|more| seed.wrapping_add(more)) {
            for (mechanism, recipe) in
                mechanisms.iter().flat_map(|spec| recipes.iter().map(move |recipe| (spec, recipe)))
            {
                let mut cell = TrainingCell {
                    mechanism: mechanism.clone(),
                    seed,
                    recipe: recipe.clone(),
                    of_several_rates: recipes.len() > 1,
                    folder: None,
                };
                let place = |dir: &Path| if several { dir.join(folder_name(&cell)) } else { dir.into() };
                cell.folder = config.folder.as_deref().map(place);
                cells.push(cell);
            }
        }
        Ok(Self { config, task, kind, recipes, mechanisms, cells })
    }

    /// Opens the data with the batches and the split of a seed.
    pub(super) fn data(&self, seed: u64) -> Result<TrainingData> {
        TrainingData::open(self.kind, &self.task, self.config, &self.recipes[0], seed)
    }

    /// The predicted work of every training: multiply-adds of the layers of its encoder, or of a decoder-only network.
    pub(super) fn costs(&self, data: &TrainingData) -> Result<Vec<Cell<()>>> {
        let of = |cell: &TrainingCell| {
            let Recipe { n, steps, batch, accumulate, .. } = cell.recipe;
            let layers = network(&cell.mechanism, &cell.recipe, data)?.encoder().cost(batch * accumulate, n);
            Ok(Cell { key: cell.title(), steps, cost: layers.macs as f64 * steps as f64, of: () })
        };
        self.cells.iter().map(of).collect()
    }

    /// Refuses networks that cannot be, or that the machine has no memory for.
    pub(super) fn check(&self, data: &TrainingData) -> Result<()> {
        let (recipe, kind) = (&self.recipes[0], self.kind.network);
        for spec in &self.mechanisms {
            let network = network(spec, recipe, data)?;
            let needed = settings::min_bytes(recipe, network.layout().len(), kind);
            let instead = "a smaller --batch (with --accumulate), --seq-len or --d needs less";
            ram::require(format!("a training with mechanism '{spec}'"), needed, instead)?;
        }
        Ok(())
    }
}

/// The mechanisms that were given, or the task's default.
fn mechanisms(config: &TrainConfig, kind: &TaskKind) -> Result<Vec<Spec>> {
    let default = if kind.network == NetworkKind::Decoder { "luna-causal" } else { "luna" };
    let given = config.mechanism.as_deref().or(config.compare.as_deref()).unwrap_or(default);
    let specs = name::specs(given)?;
    if let (Some(_), [_, second, ..]) = (&config.mechanism, &specs[..]) {
        return Err(Error::value("--mechanism", second, "one mechanism; --compare takes several"));
    }
    Ok(specs)
}

/// The network of a recipe with layers of this mechanism.
pub(super) fn network(mechanism: &Spec, recipe: &Recipe, data: &TrainingData) -> Result<TaskNetwork> {
    let of_task = config_of(&data.task.interface());
    let config = settings::encoder(recipe, Mechanism::build(mechanism)?, &of_task)?;
    let network = TaskNetwork::new(&config, data.kind.network, recipe.decoder.as_ref())?;
    let changed = [
        ("--p-spread", recipe.p_spread.to_string(), "1"),
        ("--rate-p", recipe.rate_p.to_string(), "1"),
        ("--p-chain", if recipe.p_chain { "on" } else { "off" }.to_string(), "on"),
    ];
    let changed = changed.into_iter().find(|(_, value, usual)| value != usual);
    if let Some((flag, value, usual)) = changed.filter(|_| !network.layout().entries().iter().any(of_p)) {
        let what = format!("{flag} with mechanism '{mechanism}'");
        let accepted = format!("{usual}: this network has no P (luna and luna-causal have)");
        return Err(Error::value(what, value, accepted));
    }
    Ok(network)
}

/// The name of the folder of one cell among several.
fn folder_name(cell: &TrainingCell) -> String {
    let mechanism = cell.mechanism.to_string().replace([':', ','], "-").replace('=', "");
    let rate = if cell.of_several_rates { format!("-rate{:?}", cell.recipe.rate) } else { String::new() };
    format!("{mechanism}{rate}-seed{}", cell.seed)
}
