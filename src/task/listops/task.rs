//! The task listops: values of nested lists, generated or read from a file.

use std::path::Path;

use super::expression::{CLASSES, ListopsExample};
use super::generate::{ListopsSettings, generate};
use super::read::read;
use super::symbol::TOKENS;
use crate::Result;
use crate::name::Param;
use crate::task::classified::{About, Classified, Example, Sets, evaluation_set, split};
use crate::task::kind::{EvaluationSet, NetworkKind, Setup, Task, TaskKind, TrainedNetwork};
use crate::task::recipe::RecipePreset;

/// Its declaration.
pub const KIND: TaskKind = TaskKind {
    name: "listops",
    about: "values of nested lists of digits (Nangia and Bowman 2018), generated, or --data FILE of Long Range Arena",
    takes: &[
        Param { name: "examples", default: Some("30000"), about: "size of the training set" },
        Param {
            name: "held",
            default: Some("2000"),
            about: "size of the validation set, and of the test set",
        },
        Param { name: "depth", default: Some("10"), about: "maximum depth" },
        Param { name: "args", default: Some("10"), about: "maximum number of arguments of an operator" },
        Param { name: "min", default: Some("100"), about: "minimum number of symbols" },
        Param { name: "max", default: Some("500"), about: "maximum number of symbols" },
    ],
    presets: &[
        RecipePreset {
            name: "small-listops",
            about: "ListOps of 100 to 500 symbols, 2 layers of width 128",
            change: |recipe| {
                (recipe.n, recipe.batch, recipe.steps) = (512, 32, 4000);
                (recipe.warm_up, recipe.eval_every) = (400, 250);
            },
        },
        RecipePreset {
            name: "lra-listops",
            about: "ListOps as the Luna authors ran it: 1 layer of 512, n 2000, 5,000 steps (no attention dropout)",
            change: |recipe| {
                (recipe.n, recipe.d, recipe.heads, recipe.ffn, recipe.layers) = (2000, 512, 8, 2048, 1);
                (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (32, 5000, 1e-4, 1000);
                (recipe.dropout, recipe.weight_decay, recipe.beta_2) = (0.1, 1e-4, 0.98);
                (recipe.clip, recipe.schedule) = (0.0, "inverse-sqrt".into());
                recipe.eval_every = 250;
            },
        },
    ],
    network: NetworkKind::Encoder,
    splits: true,
    open,
    evaluate: Some(evaluate),
};

fn open(setup: &Setup<'_>) -> Result<Box<dyn Task>> {
    let of = |examples: &[ListopsExample]| to_examples(examples, setup.recipe.n);
    let sets = if let Some(path) = setup.data {
        let refusal = ("no value that two expressions have", "2 or more expressions of a value");
        let (train, validation) = split(path, of(&read(path)?), setup, refusal)?;
        let test = setup.test.map(read).transpose()?.unwrap_or_default();
        Sets { train, validation, test: of(&test) }
    } else {
        setup.refuse_test()?;
        let params = &setup.params;
        let settings = ListopsSettings {
            max_depth: params.at_least("depth", 2)?,
            max_args: params.at_least("args", 2)?,
            min_length: params.at_least("min", 1)?,
            max_length: params.at_least("max", 1)?,
        };
        let (examples, held): (usize, usize) = (params.at_least("examples", 1)?, params.at_least("held", 1)?);
        // One list without duplicates.
        Sets::of_one_list(of(&generate(&settings, examples + 2 * held, setup.seed)?), examples, held)
    };
    let classes = (0..CLASSES).map(|class| class.to_string()).collect();
    let about = About { classes, vocab: TOKENS, ids: "listops", size: None, notes: Vec::new() };
    Ok(Box::new(Classified::new(sets, about, setup)))
}

fn evaluate(file: &Path, network: &TrainedNetwork<'_>) -> Result<EvaluationSet> {
    Ok(evaluation_set(&to_examples(&read(file)?, network.max_tokens()), network))
}

/// The first `n` symbols of every expression, with its value.
fn to_examples(examples: &[ListopsExample], n: usize) -> Vec<Example<1>> {
    let example = |example: &ListopsExample| Example {
        sequences: [example.expression.tokens().take(n).collect()],
        class: u32::from(example.label),
    };
    examples.iter().map(example).collect()
}
