//! The study: trains every cell of the plan and shows what they came to.

use super::cell::{TrainingCell, TrainingState};
use super::config::TrainConfig;
use super::data::TrainingData;
use super::plan::TrainingPlan;
use super::{run as trainings, view};
use crate::error::{Error, Result};
use crate::study::{Context, Outcome};

/// Trains and compares.
///
/// Every training has a folder of its own, so that shards can share the folder of the comparison: a run with `resume` and
/// without a shard takes what they trained, and shows all of it.
pub fn run(config: &TrainConfig, context: Context<'_>) -> Result<Outcome> {
    let plan = TrainingPlan::of(config, context.seed)?;
    let first = plan.data(context.seed)?;
    // Mistakes are found before the first step.
    plan.check(&first)?;
    let mine = match config.shard {
        Some(shard) => shard.cells(&plan.costs(&first)?, |()| None),
        None => vec![true; plan.cells.len()],
    };
    let cells: Vec<&TrainingCell> =
        plan.cells.iter().zip(&mine).filter(|(_, mine)| **mine).map(|(cell, _)| cell).collect();
    context.watch.begin(plan.recipes[0].steps * cells.len(), "steps");
    let (mut results, mut last_error) = (Vec::new(), None);
    let mut other: Option<(u64, TrainingData)> = None;
    for cell in &cells {
        let is_open =
            |seed: u64| seed == context.seed || other.as_ref().is_some_and(|(open, _)| *open == seed);
        if !is_open(cell.seed) {
            drop(other.take()); // before the next one takes its memory
            other = Some((cell.seed, plan.data(cell.seed)?));
        }
        let data = match &other {
            Some((seed, data)) if *seed == cell.seed => data,
            _ => &first,
        };
        let (result, error) = trainings::train(cell, data, config.resume, context.watch)?;
        last_error = error.or(last_error);
        let interrupted = result.state == TrainingState::Interrupted;
        results.push(result);
        if interrupted || context.watch.stopped() {
            break;
        }
    }
    let interrupted = results.iter().any(|result| result.state == TrainingState::Interrupted);
    let complete = results.len() == cells.len() && !interrupted;
    if config.shard.is_some() {
        // Results would be of some trainings, and stand in the folder of all.
        return Err(if complete { Error::ShardDone } else { Error::Interrupted });
    }
    let all_diverged = results.iter().all(|result| matches!(result.state, TrainingState::Diverged(_)));
    if let (true, Some(error)) = (complete && all_diverged, last_error) {
        return Err(error);
    }
    let saved = config.folder.is_some();
    Ok(Outcome { report: view::report(&results, &first, &plan.recipes, saved, complete), complete })
}
