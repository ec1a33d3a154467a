//! Runs the three stages on the input that the configuration names.

use std::collections::BTreeMap;

use super::budget::Limit;
use super::config::AllocateConfig;
use super::errors::{ErrorStudy, changes, grams};
use super::judge::JudgeStudy;
use super::offers::Offers;
use super::plan::{self, Choice, Predicted};
use super::results::Results;
use super::selection::selected;
use super::sensitivity::SensitivityStudy;
use super::tables::mechanisms;
use super::texts::Texts;
use super::view;
use crate::attention;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::name;
use crate::profile::ram;
use crate::report::Report;
use crate::study::allocation::{Budget, HeadChoice, Judged, ModelFacts, Record};
use crate::study::input::{Source, Trained, needs_softmax};
use crate::study::{Context, Outcome};
use crate::sweep::{self, Fingerprint, Journal, Study};

/// Allocates and judges.
pub fn run(config: &AllocateConfig, context: Context<'_>) -> Result<Outcome> {
    config.check()?;
    // Mistakes in names cost nothing if they are found before a model is opened.
    for spec in name::specs(&config.mechanism)? {
        attention::find(&spec)?;
    }
    let mut texts = Texts::open(config, context.seed)?;
    needs_softmax(&texts.choose)?;
    let facts = texts.facts();
    let d_h = texts.choose.model()?.config().d_h;
    let offers = Offers::of(config, &mut texts.choose, d_h, context.watch)?;
    let (texts, heads) = (&texts, texts.choose.heads());
    let limits = config.budget.limits(heads, texts.n(), offers.softmax()? * heads as u64);
    plan::check(&limits, &offers, heads)?;
    check_memory(config, texts.n())?;
    let journal = journal(config, &facts, &offers, texts, context)?;
    let (source, model) = (&texts.choose, texts.choose.model()?);

    let windows = &texts.choosing[..];
    let errors = ErrorStudy { source, windows, offers: &offers, grams: all_grams(source, model)?, context };
    let errors = finished(&errors, &journal, context)?;
    let (by, reference) = (config.sensitivity, offers.reference(|offer| changes(&errors, offer)));
    let sensitivity = SensitivityStudy { source, model, windows, offers: &offers, reference, by, context };
    let harms = finished(&sensitivity, &journal, context)?;
    let predicted = Predicted::of(&errors, &harms);
    let shape = (model.config().layers, model.config().heads);
    let candidates = plan::candidates((&limits, &offers, &predicted), shape, context.seed)?;
    let budgets: Vec<String> = limits.iter().map(|limit| limit.asked.clone()).collect();
    let trial = JudgeStudy { texts, model, judged: false, choices: &candidates, budgets: &budgets, context };
    let tried = finished(&trial, &journal, context)?;
    let (choices, mut measured) = selected(candidates, tried);
    let judge = JudgeStudy { texts, model, judged: true, choices: &choices, budgets: &budgets, context };
    let (judged, complete) = sweep::run(&judge, &journal, context.watch)?;
    measured.extend(judged);

    let results = Results {
        name: source.name(),
        n: texts.n(),
        heads,
        unit: config.budget.unit,
        limits: &limits,
        offers: &offers,
        predicted: &predicted,
        choices: &choices,
        measured: &measured,
    };
    let mut report = view::report(&results);
    let facts_of_model = model_facts(source, model, &facts);
    for (file, record) in records(&results, &facts_of_model, offers.softmax()?, context.seed) {
        report.files.push((file, record.text()));
    }
    finish(&mut report, config, (&offers, reference), texts, &facts);
    if !complete {
        report.notes.insert(0, "interrupted: not every window was judged".into());
    }
    Ok(Outcome { report, complete })
}

/// Runs a stage that the next ones need.
fn finished<S: Study>(study: &S, journal: &Journal, context: Context<'_>) -> Result<S::View> {
    match sweep::run(study, journal, context.watch)? {
        (view, true) => Ok(view),
        (_, false) => Err(Error::Interrupted),
    }
}

/// Budgets are no fact: with others a run is continued from what was measured of its heads.
fn journal(
    config: &AllocateConfig,
    input: &[(String, serde_json::Value)],
    offers: &Offers,
    texts: &Texts,
    context: Context<'_>,
) -> Result<Journal> {
    let mut facts = Fingerprint::of_study("allocate");
    facts.push("seed", context.seed);
    facts.push("n", texts.n());
    facts.push("choosing", texts.choosing.clone());
    facts.push("judging", texts.judging.clone());
    facts.extend(input.to_vec());
    facts.push("mechanism", offers.all.iter().map(|(one, _)| one.spec.to_string()).collect::<Vec<_>>());
    facts.push("layers", texts.choose.layers().to_vec());
    facts.push("sensitivity", config.sensitivity.name());
    Journal::open(&config.folder, &facts)
}

fn check_memory(config: &AllocateConfig, n: usize) -> Result<()> {
    if !config.folder.runs_cells() {
        return Ok(());
    }
    let threads = rayon::current_num_threads() as u64;
    // For each thread the matrix of softmax, a stand-in, and the exact rows of what is chosen by them in f64.
    let needed = (n as u64).saturating_mul(n as u64).saturating_mul(16 * threads);
    let what = format!("n x n matrices at n = {n} on {threads} threads");
    ram::require(what, needed, "a shorter --seq-len or fewer --threads need less")
}

fn all_grams(source: &Trained, model: &Model) -> Result<BTreeMap<usize, Vec<ndarray::Array2<f32>>>> {
    let d_h = model.config().d_h;
    let of = |layer: &usize| Ok((*layer, grams(model.output_weight(*layer)?.view(), d_h)));
    source.layers().iter().map(of).collect()
}

fn model_facts(source: &Trained, model: &Model, facts: &[(String, serde_json::Value)]) -> ModelFacts {
    let hash = facts.iter().find(|(name, _)| name == "model_sha256").and_then(|(_, value)| value.as_str());
    ModelFacts {
        name: source.name().into(),
        sha256: hash.unwrap_or_default().into(),
        layers: model.config().layers,
        heads: model.config().heads,
        d_h: model.config().d_h,
        mask: source.mask().name().into(),
    }
}

/// The allocations with the names of their files: `allocation.json` that of the first budget.
fn records(results: &Results<'_>, model: &ModelFacts, softmax: u64, seed: u64) -> Vec<(String, Record)> {
    let allocated = results.choices.iter().filter(|choice| choice.chosen.is_some());
    allocated
        .map(|choice| {
            (file(choice, &results.limits[choice.budget]), record(results, choice, model, softmax, seed))
        })
        .collect()
}

/// Letters that every file system has.
fn file(choice: &Choice, limit: &Limit) -> String {
    if choice.budget == 0 {
        return "allocation.json".into();
    }
    let plain = limit.asked.replace('=', "-").replace('%', "-percent");
    format!("allocation-{plain}.json")
}

fn record(results: &Results<'_>, choice: &Choice, model: &ModelFacts, softmax: u64, seed: u64) -> Record {
    let limit = &results.limits[choice.budget];
    let budget = Budget {
        asked: limit.asked.clone(),
        unit: results.unit.one().into(),
        limit: limit.cost,
        spent: choice.spent,
        softmax: softmax * results.heads as u64,
    };
    let offers = choice.chosen.as_ref().map_or(&[][..], |chosen| &chosen.offers);
    let specs = mechanisms(results, choice);
    let chosen: BTreeMap<(usize, usize), HeadChoice> = results
        .predicted
        .heads
        .iter()
        .zip(offers.iter().zip(specs))
        .map(|((place, (_, harms)), (offer, spec))| {
            let (one, cost) = &results.offers.all[*offer];
            let head = HeadChoice {
                layer: place.0,
                head: place.1,
                mechanism: spec.to_string(),
                l: one.l,
                cost: Some(*cost),
                predicted_harm: Some(harms[*offer]),
            };
            (*place, head)
        })
        .collect();
    let all = (0..model.layers).flat_map(|layer| (0..model.heads).map(move |head| (layer, head)));
    // What was not chosen for keeps its attention.
    let left = |(layer, head)| HeadChoice {
        layer,
        head,
        mechanism: "softmax".into(),
        l: None,
        cost: None,
        predicted_harm: None,
    };
    let heads = all.map(|place| chosen.get(&place).cloned().unwrap_or_else(|| left(place))).collect();
    let harm = choice.predicted.unwrap_or(0.0);
    let mut record = Record::new(model.clone(), (results.n, seed), budget, harm, heads);
    record.judged =
        results.of(choice.budget).first().filter(|one| !one.judged_on.is_empty()).map(|one| Judged {
            windows: one.judged_on.len(),
            hidden_rel_fro: one.mean(|one| Some(one.drift.hidden_rel_fro)).unwrap_or_default(),
            nll_softmax: one.mean(|one| one.drift.prediction.map(|p| p.nll_exact)),
            nll: one.mean(|one| one.drift.prediction.map(|p| p.nll)),
            next_token_kl: one.mean(|one| one.drift.prediction.map(|p| p.kl)),
            top1_agreement: one.mean(|one| one.drift.prediction.map(|p| p.top1)),
        });
    record
}

/// What the result says about how it came about.
fn finish(
    report: &mut Report,
    config: &AllocateConfig,
    (offers, reference): (&Offers, usize),
    texts: &Texts,
    facts: &[(String, serde_json::Value)],
) {
    let stamp = &mut report.stamp;
    stamp.push("study", "allocate");
    stamp.push("input", texts.choose.name());
    for (key, value) in facts {
        stamp.push(key, value.clone());
    }
    stamp.push("seq_len", vec![texts.n()]);
    stamp.push("budget", config.budget.to_string());
    stamp.push("choosing_windows", texts.choosing.clone());
    stamp.push("judging_windows", texts.judging.clone());
    stamp.push("sensitivity", config.sensitivity.name());
    let (reference, _) = &offers.all[reference];
    let alone = match config.sensitivity {
        super::Sensitivity::Shapley => {
            "each head replaced alone, or restored alone where all are replaced (the mean of both)"
        }
        super::Sensitivity::Head => "each head replaced alone",
        super::Sensitivity::Layer => "the heads of each layer replaced together",
    };
    report.notes.push(format!(
        "predicted harm: the squared error of a head's projected output, times what such an error does to the model's output \
         with {alone} by {}",
        reference.spec
    ));
    report.notes.extend(offers.left_out.iter().cloned());
    report.notes.extend(texts.notes());
}
