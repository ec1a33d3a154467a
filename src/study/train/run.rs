//! One run: one network, one seed.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::data::Data;
use super::folder::{Facts, Folder};
use super::learner::{Examples, Learner};
use super::metrics::Line;
use super::recipe::Recipe;
use super::source::Part;
use crate::error::{Error, Result};
use crate::linalg::gemm;
use crate::name::Spec;
use crate::network::Mechanism;
use crate::profile::{clock::Stopwatch, memory};
use crate::study::Watch;
use crate::study::fingerprint::Fingerprint;
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
#[derive(Debug)]
pub(super) enum State {
    Trained,
    /// It can be gone on with.
    Interrupted,
    /// As the error says; one among several rates does not end the others.
    Diverged(Error),
}

impl State {
    pub(super) fn name(&self) -> &'static str {
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
    /// The last step whose time does not count.
    pub(super) timed_after: usize,
    /// Bytes that weights, gradients, means and the largest step hold.
    pub(super) memory: Option<u64>,
    /// Rows that a step learns from, in the mean.
    pub(super) rows: f64,
    /// Behind which step the network was best, and what it found then on all that is held out for choosing.
    pub(super) best: Option<(usize, Sums)>,
    /// On what no choice has seen.
    pub(super) test: Option<Sums>,
    /// The accuracy of the best constant answer on what it was judged on: seeds may have other data.
    pub(super) constant: Option<f64>,
}

impl Ran {
    /// What it is compared by: the test set, or the validation set where there is none.
    pub(super) fn judged(&self) -> Option<&Sums> {
        self.test.as_ref().or(self.best.as_ref().map(|(_, sums)| sums))
    }
}

/// Where a run stands.
struct Standing<'a> {
    network: &'a Learner,
    numbers: Vec<f32>,
    gradients: Vec<f32>,
    adam: Adam,
    folder: Folder,
    facts: Facts,
    /// The best network, where there is no folder to keep it.
    best: Option<Vec<f32>>,
    /// Rows that this process learned from, in so many steps.
    rows: usize,
    done: u32,
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
        let print = self.fingerprint(mechanism);
        let (folder, stood) = Folder::open(self.folder, &print, self.resume, layout, &mut adam)?;
        let (numbers, facts) = match stood {
            Some(stood) => stood,
            None => (network.draw(self.seed), Facts::default()),
        };
        let gradients = vec![0.0; numbers.len()];
        let network = &network;
        let mut at =
            Standing { network, numbers, gradients, adam, folder, facts, best: None, rows: 0, done: 0 };
        watch.skip(at.adam.steps());
        let state = match self.learn(&mut at, &print, watch) {
            Ok(()) if at.adam.steps() >= self.recipe.steps => State::Trained,
            Ok(()) => State::Interrupted,
            // That a rate is too high is what the others are there to tell.
            Err(error @ Error::Diverged { step, .. }) if self.rate.is_some() => {
                watch.skip((self.recipe.steps + 1).saturating_sub(step));
                State::Diverged(error)
            }
            Err(error) => return Err(error),
        };
        let (mut best, mut test, mut constant) = (None, None, None);
        if let (State::Trained, Some((step, _))) = (&state, at.facts.best)
            && let Some(numbers) = at.folder.best(layout)?.or(at.best)
        {
            best = Some((step, network.evaluate(&numbers, &self.data.held_out(Part::Validation, true)?)?));
            if self.data.has_test() {
                test = Some(network.evaluate(&numbers, &self.data.held_out(Part::Test, true)?)?);
            }
            constant = self.data.constant(if test.is_some() { Part::Test } else { Part::Validation });
        }
        let held = 4 * std::mem::size_of::<f32>() * at.numbers.len();
        Ok(Ran {
            spec: self.spec.clone(),
            seed: self.seed,
            rate: self.recipe.rate,
            mechanism: config.mechanism,
            decoder: network.decoder(),
            parameters: layout.learned(),
            steps: at.adam.steps(),
            state,
            lines: at.folder.lines,
            timed_after: at.facts.timed_after,
            memory: at.facts.peak.map(|peak| peak + held as u64),
            rows: if at.done == 0 { f64::NAN } else { at.rows as f64 / f64::from(at.done) },
            best,
            test,
            constant,
        })
    }

    /// Steps to the end, or until it is stopped, with a look at what is held out now and then.
    fn learn(&self, at: &mut Standing<'_>, print: &Fingerprint, watch: &dyn Watch) -> Result<()> {
        let layout = at.network.layout();
        while at.adam.steps() < self.recipe.steps {
            let (loss, norm, rate, seconds) = self.step(at)?;
            let step = at.adam.steps();
            at.done += 1;
            at.folder.log(Line::Step { step, loss, rate, gradient_norm: norm, seconds })?;
            let stopped = watch.stopped();
            let looks = step == self.recipe.steps || step.is_multiple_of(self.recipe.eval_every);
            if looks {
                self.look(at)?;
            }
            if looks || stopped {
                at.folder.keep(layout, &at.numbers, &at.adam, print, at.facts)?;
            }
            let speed = at.rows as f64 / f64::from(at.done) / seconds.max(1e-9);
            watch.step(1, &format!("{} loss {loss:.4}, {speed:.0} tokens/s", self.title()));
            if stopped {
                break;
            }
        }
        Ok(())
    }

    /// Looks at what is held out for choosing, and keeps the network if it is the best so far.
    fn look(&self, at: &mut Standing<'_>) -> Result<()> {
        let step = at.adam.steps();
        let sums = at.network.evaluate(&at.numbers, &self.data.held_out(Part::Validation, false)?)?;
        let validation_loss = sums.nats / sums.count as f64;
        // Weights that the last update broke must not take the place of good ones.
        self.finite("the validation loss", validation_loss, step, at.facts)?;
        let validation_accuracy = sums.correct as f64 / sums.count as f64;
        at.folder.log(Line::Look { step, validation_loss, validation_accuracy })?;
        let score = score(&sums, self.data.by_loss());
        if at.facts.best.is_none_or(|(_, best)| score > best) {
            at.facts.best = Some((step, score));
            at.folder.keep_best(at.network.layout(), &at.numbers, self.told(at.network), self.data)?;
            if self.folder.is_none() {
                at.best = Some(at.numbers.clone());
            }
        }
        Ok(())
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

    /// One step of the optimiser: the loss, the gradients' norm, the rate, and the seconds it took.
    fn step(&self, at: &mut Standing<'_>) -> Result<(f64, f64, f64, f64)> {
        let (recipe, step) = (self.recipe, at.adam.steps());
        let clock = Stopwatch::start();
        let batches: Vec<Examples> = (0..recipe.accumulate)
            .map(|micro| self.data.batch(step, micro, recipe.accumulate))
            .collect::<Result<_>>()?;
        let count = batches.iter().map(Examples::counted).sum::<usize>().max(1);
        at.gradients.fill(0.0);
        let mut sums = Sums::default();
        for (micro, batch) in batches.iter().enumerate() {
            let dropout = Dropout::new(recipe.dropout, self.seed, step, micro);
            let rates = Rates { dropout, smoothing: recipe.label_smoothing };
            let weight = 1.0 / count as f32;
            let mut learn = || at.network.learn(&at.numbers, &mut at.gradients, weight, batch, rates);
            if at.facts.peak.is_none() {
                gemm::warm_up();
                let (found, peak) = memory::peak_of(learn);
                at.facts.peak = peak;
                sums += found?;
            } else {
                sums += learn()?;
            }
            at.rows += batch.rows();
        }
        let (loss, norm) = (sums.objective / count as f64, gradient_norm(&at.gradients));
        self.finite("the loss", loss, step + 1, at.facts)?;
        self.finite("the norm of the gradients", norm, step + 1, at.facts)?;
        let scale = if recipe.clip > 0.0 { (recipe.clip / norm.max(1e-12)).min(1.0) } else { 1.0 };
        let rate = recipe.rate * recipe.schedule()?.factor(step, recipe.steps, recipe.warm_up);
        at.adam.step(&mut at.numbers, &at.gradients, scale as f32, rate);
        Ok((loss, norm, rate, clock.seconds()))
    }

    fn title(&self) -> String {
        let rate = self.rate.map_or_else(String::new, |rate| format!(" rate {rate:?}"));
        format!("{}{rate} seed {}", self.spec, self.seed)
    }

    /// Everything that decides the numbers of this run.
    fn fingerprint(&self, mechanism: Mechanism) -> Fingerprint {
        let mut print = self.data.facts.clone();
        print.push("attention", mechanism.spec());
        print.push("seed", self.seed);
        if let Ok(Value::Object(recipe)) = serde_json::to_value(self.recipe) {
            recipe.into_iter().for_each(|(key, value)| print.push(key, value));
        }
        print
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
