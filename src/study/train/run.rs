//! One run: one network, one seed.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::data::{Data, Part};
use super::folder::{Facts, Folder, Line};
use super::learner::{Examples, Learner};
use super::recipe::{Recipe, fingerprint};
use crate::error::{Error, Result};
use crate::linalg::gemm;
use crate::model::encoder::Mechanism;
use crate::name::Spec;
use crate::profile::{clock::Stopwatch, memory};
use crate::study::Watch;
use crate::train::loss::Sums;
use crate::train::{Adam, AdamConfig, Dropout, Rates, gradient_norm};

/// What a run is.
pub(super) struct Run<'a> {
    pub(super) spec: &'a Spec,
    pub(super) seed: u64,
    /// Its rate, where runs beside it have others.
    pub(super) rate: Option<f64>,
    pub(super) recipe: &'a Recipe,
    pub(super) data: &'a Data,
    pub(super) folder: Option<&'a Path>,
    pub(super) resume: bool,
}

/// How good a look was: higher is better.
pub(super) fn score(sums: &Sums, by_loss: bool) -> f64 {
    if by_loss {
        -sums.nats / sums.count as f64
    } else {
        // Of equally many right answers, those that were given with more conviction.
        sums.correct as f64 / sums.count as f64 - 1e-6 * sums.nats / sums.count as f64
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Trained,
    /// It can be gone on with.
    Interrupted,
    /// The loss, or the norm of the gradients, was no number any more at this step.
    Diverged(usize),
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Trained => "trained",
            Self::Interrupted => "interrupted",
            Self::Diverged(_) => "diverged",
        }
    }
}

/// What it came to.
pub(super) struct Ran {
    pub(super) spec: Spec,
    pub(super) seed: u64,
    pub(super) rate: f64,
    pub(super) mechanism: Mechanism,
    pub(super) decoder: Option<&'static str>,
    pub(super) parameters: usize,
    pub(super) steps: usize,
    pub(super) state: State,
    pub(super) lines: Vec<Line>,
    /// Bytes that weights, gradients, means and the largest step hold.
    pub(super) memory: Option<u64>,
    /// Rows that a step learns from, in the mean.
    pub(super) rows: f64,
    /// Behind which step the network was best, and what it found then on all that is held out for choosing.
    pub(super) best: Option<(usize, Sums)>,
    /// On what no choice has seen.
    pub(super) test: Option<Sums>,
}

impl Run<'_> {
    /// Trains; a run that was stopped keeps where it stands and says so.
    pub(super) fn train(&self, watch: &dyn Watch) -> Result<Ran> {
        let mechanism = Mechanism::build(self.spec)?;
        let config = self.recipe.network(mechanism, &self.data.needs())?;
        let network = Learner::new(&config, self.data.pairs(), self.recipe.decoder)?;
        let layout = network.layout();
        let mut adam = Adam::new(
            AdamConfig {
                beta_1: self.recipe.beta_1,
                beta_2: self.recipe.beta_2,
                eps: self.recipe.adam_eps,
                weight_decay: self.recipe.weight_decay,
            },
            layout,
        );
        let hash = self.fingerprint(mechanism)?;
        let (mut folder, stood) = Folder::open(self.folder, &hash, self.resume, layout, &mut adam)?;
        let (mut numbers, mut facts) = match stood {
            Some(stood) => stood,
            None => (network.draw(self.seed), Facts::default()),
        };
        let mut best = None;
        let mut gradients = vec![0.0; numbers.len()];
        let (mut rows, mut done) = (0, 0);
        watch.skip(adam.steps());
        while adam.steps() < self.recipe.steps {
            let step = adam.steps();
            let (loss, norm, rate, seconds) =
                self.step(&network, &mut numbers, &mut gradients, &mut adam, &mut facts, &mut rows)?;
            done += 1;
            folder.log(Line::Step { step: step + 1, loss, rate, gradient_norm: norm, seconds })?;
            let last = step + 1 == self.recipe.steps;
            let stopped = watch.stopped();
            if last || (step + 1).is_multiple_of(self.recipe.eval_every) {
                let sums = network.evaluate(&numbers, &self.data.held_out(Part::Validation, false)?)?;
                // Weights that the last update broke must not take the place of good ones.
                self.finite("the validation loss", sums.nats / sums.count as f64, step + 1, facts)?;
                folder.log(Line::Look {
                    step: step + 1,
                    validation_loss: sums.nats / sums.count as f64,
                    validation_accuracy: sums.correct as f64 / sums.count as f64,
                })?;
                let score = score(&sums, self.data.by_loss());
                if facts.best.is_none_or(|(_, best)| score > best) {
                    facts.best = Some((step + 1, score));
                    folder.keep_best(layout, &numbers, self.told(&network), self.data)?;
                    if self.folder.is_none() {
                        best = Some(numbers.clone());
                    }
                }
                folder.keep(layout, &numbers, &adam, &hash, facts)?;
            } else if stopped {
                folder.keep(layout, &numbers, &adam, &hash, facts)?;
            }
            let speed = rows as f64 / f64::from(done) / seconds.max(1e-9);
            watch.step(1, &format!("{} loss {loss:.4}, {speed:.0} tokens/s", self.title()));
            if stopped && !last {
                break;
            }
        }
        let complete = adam.steps() >= self.recipe.steps;
        let best = folder.best(layout)?.or(best);
        let chosen = match (&best, facts.best) {
            (Some(numbers), Some((step, _))) if complete => {
                let all = self.data.held_out(Part::Validation, true)?;
                Some((step, network.evaluate(numbers, &all)?))
            }
            _ => None,
        };
        let test = match &best {
            Some(numbers) if complete && self.data.has_test() => {
                Some(network.evaluate(numbers, &self.data.held_out(Part::Test, true)?)?)
            }
            _ => None,
        };
        let held = 4 * std::mem::size_of::<f32>() * numbers.len();
        Ok(Ran {
            spec: self.spec.clone(),
            seed: self.seed,
            rate: self.recipe.rate,
            mechanism: config.mechanism,
            decoder: network.decoder(),
            parameters: layout.learned(),
            steps: adam.steps(),
            state: if complete { State::Trained } else { State::Interrupted },
            lines: folder.lines,
            memory: facts.peak.map(|peak| peak + held as u64),
            rows: if done == 0 { f64::NAN } else { rows as f64 / f64::from(done) },
            best: chosen,
            test,
        })
    }

    /// Refuses a number that is none, and says what is left of the run.
    fn finite(&self, what: &'static str, value: f64, step: usize, facts: Facts) -> Result<()> {
        if value.is_finite() {
            return Ok(());
        }
        let kept = match (self.folder, facts.best) {
            (Some(folder), Some(_)) => format!("the last good checkpoint is in '{}'", folder.display()),
            _ => "no checkpoint was kept before".to_string(),
        };
        Err(Error::Diverged { what, value, step, kept })
    }

    /// What is left of a run that diverged at this step: nothing to judge.
    pub(super) fn diverged(&self, step: usize, watch: &dyn Watch) -> Result<Ran> {
        let config = self.recipe.network(Mechanism::build(self.spec)?, &self.data.needs())?;
        let network = Learner::new(&config, self.data.pairs(), self.recipe.decoder)?;
        watch.skip(self.recipe.steps.saturating_sub(step - 1));
        Ok(Ran {
            spec: self.spec.clone(),
            seed: self.seed,
            rate: self.recipe.rate,
            mechanism: config.mechanism,
            decoder: network.decoder(),
            parameters: network.layout().learned(),
            steps: step - 1,
            state: State::Diverged(step),
            lines: Vec::new(),
            memory: None,
            rows: f64::NAN,
            best: None,
            test: None,
        })
    }

    /// One step of the optimiser: the loss, the gradients' norm, the rate, and the seconds it took.
    fn step(
        &self,
        network: &Learner,
        numbers: &mut [f32],
        gradients: &mut [f32],
        adam: &mut Adam,
        facts: &mut Facts,
        rows: &mut usize,
    ) -> Result<(f64, f64, f64, f64)> {
        let (recipe, step) = (self.recipe, adam.steps());
        let clock = Stopwatch::start();
        let batches: Vec<Examples> = (0..recipe.accumulate)
            .map(|micro| self.data.batch(step, micro, recipe.accumulate))
            .collect::<Result<_>>()?;
        let count = batches.iter().map(Examples::counted).sum::<usize>().max(1);
        gradients.fill(0.0);
        let mut sums = Sums::default();
        for (micro, batch) in batches.iter().enumerate() {
            let dropout = Dropout::new(recipe.dropout, self.seed, step, micro);
            let rates = Rates { dropout, smoothing: recipe.label_smoothing };
            let weight = 1.0 / count as f32;
            let mut learn = || network.learn(numbers, gradients, weight, batch, rates);
            if facts.peak.is_none() {
                gemm::warm_up();
                let (found, peak) = memory::peak_of(learn);
                facts.peak = peak;
                sums += found?;
            } else {
                sums += learn()?;
            }
            *rows += batch.rows();
        }
        let (loss, norm) = (sums.objective / count as f64, gradient_norm(gradients));
        self.finite("the loss", loss, step + 1, *facts)?;
        self.finite("the norm of the gradients", norm, step + 1, *facts)?;
        let scale = if recipe.clip > 0.0 { (recipe.clip / norm.max(1e-12)).min(1.0) } else { 1.0 };
        let rate = recipe.rate * recipe.schedule()?.factor(step, recipe.steps, recipe.warm_up);
        adam.step(numbers, gradients, scale as f32, rate);
        Ok((loss, norm, rate, clock.seconds()))
    }

    fn title(&self) -> String {
        let rate = self.rate.map_or_else(String::new, |rate| format!(" rate {rate:?}"));
        format!("{}{rate} seed {}", self.spec, self.seed)
    }

    /// Everything that decides the numbers of this run.
    fn fingerprint(&self, mechanism: Mechanism) -> Result<String> {
        let recipe = serde_json::to_string(self.recipe).unwrap_or_default();
        let tokenizer = self.data.tokenizer_digest()?.map_or_else(String::new, |digest| format!(" {digest}"));
        Ok(fingerprint(&format!(
            "{} {recipe} {mechanism:?} {} {}{tokenizer}",
            self.data.title,
            self.seed,
            self.data.amount()
        )))
    }

    /// The configuration of a network that is kept, and what stands beside it.
    fn told(&self, network: &Learner) -> Map<String, Value> {
        let mut facts = network.to_json();
        facts.insert("tokens".into(), self.data.tokens().into());
        facts.insert("task".into(), self.data.title.clone().into());
        facts.insert("seed".into(), self.seed.into());
        facts.insert("recipe".into(), json!(self.recipe));
        if !self.data.classes().is_empty() {
            facts.insert("class_names".into(), json!(self.data.classes()));
        }
        if let Some(languages) = self.data.languages() {
            facts.insert("languages".into(), json!(languages));
        }
        facts
    }
}
