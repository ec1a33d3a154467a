//! What the cells came to: rows, the tables that people read, a figure, notes.

use super::cell::CellResult;
use super::compare::compare;
use super::data::TrainingData;
use super::{figure, notes};
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Cell, Report, Table};
use crate::stats;
use crate::study::Columns;
use crate::study::columns::{Described, described};
use crate::task::judge::Answers;
use crate::task::recipe::Recipe;

/// The columns, in their order.
const COLUMNS: &[Described<'static>] = &[
    ("attention", "", "the mechanism with its parameters; of an encoder-decoder, its encoder's", Text),
    ("decoder", "", "attention of the decoder of an encoder-decoder", Text),
    ("l", "rows", "projected length: rows of P or E, random features, width of a window", Integer),
    ("seed", "", "decides weights, batches and dropout", Integer),
    ("rate", "", "learning rate after warm-up", Text),
    ("task", "", "task and data", Text),
    ("n", "tokens", "maximum sequence length", Integer),
    ("d", "", "width of the network", Integer),
    ("layers", "", "number of layers", Integer),
    ("parameters", "", "learned parameters", Integer),
    ("steps", "", "optimiser steps", Integer),
    (
        "state",
        "",
        "trained; interrupted: --resume continues; diverged: NaN or infinite loss or gradients (of several rates)",
        Text,
    ),
    ("train_loss", "nats", "mean of the objective over the last tenth of the steps", Fixed(4)),
    ("best_step", "", "step of the checkpoint that is evaluated: the best by validation", Integer),
    ("validation_loss", "nats", "its mean -ln p of a target, on the whole validation set", Fixed(4)),
    ("validation_accuracy", "", "its share of right answers there", Fixed(4)),
    ("validation_bits_per_byte", "bits", "its loss there in bits per byte of text", Fixed(4)),
    ("test_loss", "nats", "its loss on the test set", Fixed(4)),
    ("test_accuracy", "", "its share of right answers there", Fixed(4)),
    (
        "test_accuracy_low",
        "",
        "lower end of Wilson's 95 % interval over the test answers (none for tokens of texts, which are not independent)",
        Fixed(4),
    ),
    ("test_accuracy_high", "", "upper end of it", Fixed(4)),
    (
        "constant_accuracy",
        "",
        "of the best constant answer (of recall: of a guess among the values)",
        Fixed(4),
    ),
    ("step_s", "s", "median step time: forward, backward and optimiser", Significant(3)),
    ("tokens_per_s", "1/s", "tokens of a step (of translation: of both sides) over step_s", Significant(3)),
    (
        "memory_bytes",
        "bytes",
        "weights, gradients, optimiser moments, and the peak of a step beyond them",
        Significant(4),
    ),
];

/// The columns of the result, and those that say which training a row is.
pub fn columns() -> Columns {
    Columns {
        known: Some(described(COLUMNS)),
        keys: &["attention", "decoder", "l", "seed", "rate", "task", "n", "d", "layers"],
        short: &[],
    }
}

/// Everything that the cells found; `data` are those of the first seed, `saved` whether there is a folder.
pub(super) fn report(
    results: &[CellResult],
    data: &TrainingData,
    recipes: &[Recipe],
    saved: bool,
    complete: bool,
) -> Report {
    let mut rows = Table::new("Trainings", described(COLUMNS));
    for result in results {
        rows.push(row(result, data, &recipes[0]));
    }
    let mut report = Report { rows, ..Report::default() };
    let comparison = compare(results, data, recipes, complete);
    report.views = comparison.views;
    report.figures.push(figure::losses(results, data.task.judge(), recipes.len() > 1));
    if !complete {
        report.stamp.push("interrupted", true);
    }
    report.notes = notes::on_state(saved, complete);
    report.notes.extend(notes::on_figures(results, data));
    report.notes.extend(comparison.notes);
    report.notes.extend(notes::on_data_and_times(results, data, &recipes[0]));
    report.stamp.push("study", "train");
    report.stamp.push("task", data.title.clone());
    let mut recipe = serde_json::json!(recipes[0]);
    if recipes.len() > 1 {
        recipe["rate"] = recipes.iter().map(|recipe| recipe.rate).collect();
    }
    report.stamp.push("recipe", recipe);
    report
}

fn row(result: &CellResult, data: &TrainingData, recipe: &Recipe) -> Vec<Cell> {
    let judge = data.task.judge();
    let validation = result.validation();
    let bits = |answers: &Answers| judge.bits_per_nat().map(|bits| bits * answers.loss());
    // Tokens of one text are not independent answers.
    let independent = result.test.as_ref().filter(|_| !judge.by_loss());
    let wilson = independent.map(|answers| stats::wilson(answers.accuracy(), answers.count));
    let step = result.step_seconds();
    let speed = result.tokens_per_step.zip(step).map(|(tokens, step)| tokens / step);
    vec![
        result.mechanism.clone().into(),
        result.decoder.clone().into(),
        result.l.into(),
        (result.seed as i64).into(),
        result.rate.into(),
        data.title.clone().into(),
        recipe.n.into(),
        recipe.d.into(),
        recipe.layers.into(),
        result.parameters.into(),
        result.steps.into(),
        result.state.name().into(),
        result.train_loss().into(),
        result.best.map(|(step, _)| step).into(),
        validation.map(Answers::loss).into(),
        validation.map(Answers::accuracy).into(),
        validation.and_then(bits).into(),
        result.test.as_ref().map(Answers::loss).into(),
        result.test.as_ref().map(Answers::accuracy).into(),
        wilson.map(|ends| ends.low).into(),
        wilson.map(|ends| ends.high).into(),
        result.constant.into(),
        step.into(),
        speed.filter(|speed| speed.is_finite()).into(),
        result.memory.map(|bytes| bytes as i64).into(),
    ]
}
