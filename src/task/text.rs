//! The task text: classes of texts, byte by byte (Long Range Arena's byte-level text classification, on any file).

use std::path::Path;

use super::classified::{About, Classified, Example, Sets, evaluation_set};
use super::kind::{BYTES_FROM_ONE, EvaluationSet, NetworkKind, Setup, Task, TaskKind, TrainedNetwork};
use super::labelled::{self, Labelled, LabelledText};
use super::recipe::RecipePreset;
use crate::Result;

/// Its declaration.
pub(super) const KIND: TaskKind = TaskKind {
    name: "text",
    about: "classes of texts, byte by byte: --data FILE of label TAB text (further columns between them are skipped)",
    takes: &[],
    presets: &[
        RecipePreset {
            name: "small-text",
            about: "byte-level text, n 1024, 2 layers of width 128: an hour or less on 2 cores",
            change: |_| {},
        },
        RecipePreset {
            name: "lra-text",
            about: "byte-level text as the Luna authors ran it: 4 layers of 256, n 4000, 20,000 steps (no attention dropout)",
            change: |recipe| {
                (recipe.n, recipe.d, recipe.ffn, recipe.layers) = (4000, 256, 1024, 4);
                (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (32, 20_000, 5e-5, 8000);
                (recipe.dropout, recipe.weight_decay, recipe.beta_2) = (0.3, 1e-4, 0.98);
                (recipe.clip, recipe.schedule) = (0.0, "inverse-sqrt".into());
                recipe.eval_every = 500;
            },
        },
    ],
    network: NetworkKind::Encoder,
    splits: true,
    open,
    evaluate: Some(evaluate),
};

fn open(setup: &Setup<'_>) -> Result<Box<dyn Task>> {
    let of = |texts: &Labelled| examples(texts, setup.recipe.n);
    let all = Labelled::read(setup.data()?, None)?;
    let test = setup.test.map(|path| Labelled::read(path, Some(&all.classes))).transpose()?;
    let similar = all.alike().into_iter().map(|group| group.join("' and '"));
    let about = About {
        notes: similar
            .map(|names| format!("labels '{names}' look alike, and are separate classes"))
            .collect(),
        classes: all.classes.clone(),
        vocab: labelled::TOKENS,
        ids: BYTES_FROM_ONE,
        size: None,
    };
    let (train, validation) = all.hold_out(setup.recipe.validation, setup.seed)?;
    let test = test.as_ref().map(of).unwrap_or_default();
    let sets = Sets { train: of(&train), validation: of(&validation), test };
    Ok(Box::new(Classified::new(sets, about, setup)))
}

fn evaluate(file: &Path, network: &TrainedNetwork<'_>) -> Result<EvaluationSet> {
    let texts = Labelled::read(file, Some(&network.words("class_names")))?;
    Ok(evaluation_set(&examples(&texts, network.max_tokens()), network))
}

/// The first `n` bytes of every text, with its class.
fn examples(texts: &Labelled, n: usize) -> Vec<Example<1>> {
    let example = |item: &LabelledText| Example {
        sequences: [item.tokens().take(n).collect()],
        class: item.class as u32,
    };
    texts.items.iter().map(example).collect()
}
