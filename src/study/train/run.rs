//! Trains one cell.

use std::mem::size_of;

use serde_json::{Map, Value, json};

use super::cell::{CellResult, TrainingCell, TrainingState};
use super::data::TrainingData;
use super::folder::{CellFolder, CheckpointFacts};
use super::log::LogLine;
use super::network::{NetworkBatch, TaskNetwork};
use super::plan::network;
use crate::error::{Error, Result};
use crate::linalg::gemm;
use crate::network::{Mechanism, of_p, spread_p};
use crate::profile::{clock::Stopwatch, memory};
use crate::study::Watch;
use crate::sweep::Fingerprint;
use crate::task::HeldOutSet;
use crate::task::examples::Examples;
use crate::train::loss::Sums;
use crate::train::schedule::Schedule;
use crate::train::{Adam, AdamConfig, Dropout, Entry, Rates, gradient_norm};

/// A training in progress.
struct TrainingRun<'a> {
    cell: &'a TrainingCell,
    data: &'a TrainingData,
    network: &'a TaskNetwork,
    print: Fingerprint,
    schedule: Schedule,
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    adam: Adam,
    folder: CellFolder,
    facts: CheckpointFacts,
    /// The best parameters, where there is no folder for them.
    best: Option<Vec<f32>>,
    /// Tokens that this process trained on, in so many steps.
    tokens: usize,
    steps: u32,
}

/// A step of the optimiser.
struct OptimiserStep {
    loss: f64,
    gradient_norm: f64,
    rate: f64,
    seconds: f64,
}

/// Trains a cell, or resumes it; one that is stopped writes a checkpoint and returns what it has.
///
/// A cell that diverges is an error, or, among others with other learning rates, a result with that error beside it.
pub(super) fn train(
    cell: &TrainingCell,
    data: &TrainingData,
    resume: bool,
    watch: &dyn Watch,
) -> Result<(CellResult, Option<Error>)> {
    let recipe = &cell.recipe;
    let network = &network(&cell.mechanism, recipe, data)?;
    let layout = network.layout();
    let adam = AdamConfig {
        beta_1: recipe.beta_1,
        beta_2: recipe.beta_2,
        eps: recipe.adam_eps,
        weight_decay: recipe.weight_decay,
    };
    let rate_p = |entry: &Entry| if of_p(entry) { recipe.rate_p } else { 1.0 };
    let mut adam = Adam::new(adam, layout, rate_p);
    let print = fingerprint(cell, data)?;
    let (folder, restored) = CellFolder::open(cell.folder.as_deref(), &print, resume, layout, &mut adam)?;
    watch.skip(adam.steps());
    if restored.is_some()
        && adam.steps() >= recipe.steps
        && let Some(result) = folder.result()
    {
        return Ok((result, None));
    }
    let drawn = || {
        let mut parameters = network.draw(cell.seed);
        spread_p(layout, &mut parameters, recipe.p_spread as f32);
        (parameters, CheckpointFacts::default())
    };
    let (parameters, facts) = restored.unwrap_or_else(drawn);
    let mut training = TrainingRun {
        cell,
        data,
        network,
        print,
        schedule: Schedule::find(&recipe.schedule)?,
        gradients: vec![0.0; parameters.len()],
        parameters,
        adam,
        folder,
        facts,
        best: None,
        tokens: 0,
        steps: 0,
    };
    let (state, error) = match training.learn(watch) {
        Ok(()) if training.adam.steps() >= recipe.steps => (TrainingState::Trained, None),
        Ok(()) => (TrainingState::Interrupted, None),
        // That a learning rate is too high is what a comparison of rates shows.
        Err(Error::Diverged { step, what, value, kept }) if cell.of_several_rates => {
            watch.skip((recipe.steps + 1).saturating_sub(step));
            (TrainingState::Diverged(step), Some(Error::Diverged { step, what, value, kept }))
        }
        Err(error) => return Err(error),
    };
    Ok((training.finish(state)?, error))
}

impl TrainingRun<'_> {
    /// Steps to the end, or until it is stopped, with an evaluation now and then.
    fn learn(&mut self, watch: &dyn Watch) -> Result<()> {
        let recipe = &self.cell.recipe;
        while self.adam.steps() < recipe.steps {
            let OptimiserStep { loss, gradient_norm, rate, seconds } = self.step()?;
            let step = self.adam.steps();
            self.steps += 1;
            self.folder.add(LogLine::Step { step, loss, rate, gradient_norm, seconds })?;
            let stopped = watch.stopped();
            let evaluates = step == recipe.steps || step.is_multiple_of(recipe.eval_every);
            if evaluates {
                self.evaluate()?;
            }
            if evaluates || stopped {
                let layout = self.network.layout();
                self.folder.save(layout, &self.parameters, &self.adam, &self.print, self.facts)?;
            }
            let speed = self.tokens as f64 / f64::from(self.steps) / seconds.max(1e-9);
            watch.step(1, &format!("{} loss {loss:.4}, {speed:.0} tokens/s", self.cell.title()));
            if stopped {
                break;
            }
        }
        Ok(())
    }

    /// One step of the optimiser.
    fn step(&mut self) -> Result<OptimiserStep> {
        let (recipe, step) = (&self.cell.recipe, self.adam.steps());
        let clock = Stopwatch::start();
        let batches: Vec<Examples> = (0..recipe.accumulate)
            .map(|micro| self.data.task.batch(step * recipe.accumulate + micro))
            .collect::<Result<_>>()?;
        let count = batches.iter().map(Examples::counted).sum::<usize>().max(1);
        self.tokens += batches.iter().map(Examples::tokens).sum::<usize>();
        let batches: Vec<NetworkBatch> = batches.into_iter().map(NetworkBatch::from).collect();
        self.gradients.fill(0.0);
        let mut sums = Sums::default();
        for (micro, batch) in batches.iter().enumerate() {
            let dropout = Dropout::new(recipe.dropout, self.cell.seed, step, micro)
                .of_attention(recipe.attention_dropout);
            let rates = Rates { dropout, smoothing: recipe.label_smoothing };
            let weight = 1.0 / count as f32;
            let mut learn =
                || self.network.learn(&self.parameters, &mut self.gradients, weight, batch, rates);
            if self.facts.peak.is_none() {
                gemm::warm_up();
                let (found, peak) = memory::peak_of(learn);
                self.facts.peak = peak;
                sums += found?;
            } else {
                sums += learn()?;
            }
        }
        let (loss, norm) = (sums.objective / count as f64, gradient_norm(&self.gradients));
        self.require_finite("the loss", loss, step + 1)?;
        self.require_finite("the norm of the gradients", norm, step + 1)?;
        let scale = if recipe.clip > 0.0 { (recipe.clip / norm.max(1e-12)).min(1.0) } else { 1.0 };
        let rate = recipe.rate * self.schedule.factor(step, recipe.steps, recipe.warm_up);
        self.adam.step(&mut self.parameters, &self.gradients, scale as f32, rate);
        Ok(OptimiserStep { loss, gradient_norm: norm, rate, seconds: clock.seconds() })
    }

    /// Evaluates the network on the validation set, and keeps it if it is the best so far.
    fn evaluate(&mut self) -> Result<()> {
        let (step, task) = (self.adam.steps(), &self.data.task);
        let validation = task.held_out(HeldOutSet::Validation, self.cell.recipe.eval_examples)?;
        let answers = self.network.evaluate_all(&self.parameters, validation)?;
        let validation_loss = answers.loss();
        // Parameters that the last update broke must not replace good ones.
        self.require_finite("the validation loss", validation_loss, step)?;
        let validation_accuracy = answers.accuracy();
        self.folder.add(LogLine::Evaluation { step, validation_loss, validation_accuracy })?;
        let rank = task.judge().rank(&answers);
        if self.facts.best.is_none_or(|(_, best)| rank > best) {
            self.facts.best = Some((step, rank));
            let (layout, config) = (self.network.layout(), self.config());
            self.folder.save_best(layout, &self.parameters, config, task.tokenizer()?)?;
            if self.cell.folder.is_none() {
                self.best = Some(self.parameters.clone());
            }
        }
        Ok(())
    }

    /// Refuses NaN and infinite values, with what remains of the training.
    fn require_finite(&self, what: &'static str, value: f64, step: usize) -> Result<()> {
        if value.is_finite() {
            return Ok(());
        }
        let kept = match (&self.cell.folder, self.facts.best) {
            (Some(folder), Some(_)) => format!("the last good checkpoint is in '{}'", folder.display()),
            _ => "no checkpoint was written before".to_string(),
        };
        Err(Error::Diverged { what, value, step, kept })
    }

    /// Evaluates the best network of a training that has ended, and writes the result.
    fn finish(self, state: TrainingState) -> Result<CellResult> {
        let Self { cell, data, network, parameters, adam, folder, facts, best: in_memory, .. } = self;
        let (layout, task) = (network.layout(), &data.task);
        let (mut best, mut test, mut constant) = (None, None, None);
        if let (TrainingState::Trained, Some((step, _))) = (state, facts.best)
            && let Some(parameters) = folder.best(layout)?.or(in_memory)
        {
            let answers = |part| network.evaluate_all(&parameters, task.held_out(part, usize::MAX)?);
            best = Some((step, answers(HeldOutSet::Validation)?));
            if task.has_test() {
                test = Some(answers(HeldOutSet::Test)?);
            }
            constant = task.constant_accuracy(if test.is_some() {
                HeldOutSet::Test
            } else {
                HeldOutSet::Validation
            });
        }
        // Parameters, gradients and two moments.
        let held = 4 * size_of::<f32>() * parameters.len();
        let mut result = CellResult {
            mechanism: cell.mechanism.to_string(),
            seed: cell.seed,
            rate: cell.recipe.rate,
            l: network.encoder().mechanism.l(),
            decoder: network.decoder(),
            parameters: layout.learned(),
            steps: adam.steps(),
            state,
            timed_after: facts.timed_after,
            memory: facts.peak.map(|peak| peak + held as u64),
            tokens_per_step: (self.steps > 0).then(|| self.tokens as f64 / f64::from(self.steps)),
            best,
            test,
            constant,
            log: Vec::new(),
        };
        if state == TrainingState::Trained {
            folder.save_result(&result)?;
        }
        result.log = folder.log;
        Ok(result)
    }

    /// The configuration of a network that is written, with what identifies it.
    fn config(&self) -> Map<String, Value> {
        let task = &self.data.task;
        let mut config = self.network.to_json();
        config.insert("tokens".into(), task.ids().into());
        config.insert("task".into(), self.data.title.clone().into());
        config.insert("seed".into(), self.cell.seed.into());
        config.insert("recipe".into(), json!(self.cell.recipe));
        for (name, words) in task.facts() {
            config.insert(name.into(), json!(words));
        }
        config
    }
}

/// Everything that decides the numbers of a cell.
fn fingerprint(cell: &TrainingCell, data: &TrainingData) -> Result<Fingerprint> {
    let mut print = data.facts.clone();
    // By the name that it has in checkpoints of earlier versions.
    print.push("attention", Mechanism::build(&cell.mechanism)?.spec());
    print.push("seed", cell.seed);
    if let Ok(Value::Object(recipe)) = serde_json::to_value(&cell.recipe) {
        recipe.into_iter().for_each(|(key, value)| print.push(key, value));
    }
    Ok(print)
}
