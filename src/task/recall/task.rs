//! The task recall: generated sequences, new ones in every batch.

use super::sequences::{Recall, RecallPart, RecallSettings};
use crate::Result;
use crate::name::Param;
use crate::task::examples::Examples;
use crate::task::judge::Judge;
use crate::task::kind::{
    DataPiece, HeldOutSet, Interface, NetworkKind, NetworkOutput, Setup, Task, TaskKind,
};
use crate::task::language::Windows;
use crate::task::recipe::RecipePreset;

/// Its declaration.
pub const KIND: TaskKind = TaskKind {
    name: "recall",
    about: "pairs of keys and values, then keys to be answered (Arora et al. 2023), generated",
    takes: &[
        Param { name: "pairs", default: Some("4"), about: "pairs in a sequence" },
        Param { name: "vocab", default: Some("33"), about: "tokens: a blank, keys, as many values" },
        Param {
            name: "held",
            default: Some("512"),
            about: "size of the validation set, and of the test set",
        },
    ],
    presets: &[RecipePreset {
        name: "small-recall",
        about: "associative recall, 2 layers of width 64: a minute on 2 cores",
        change: |recipe| {
            (recipe.n, recipe.d, recipe.heads, recipe.ffn) = (16, 64, 2, 256);
            (recipe.batch, recipe.steps) = (64, 1000);
            (recipe.eval_every, recipe.weight_decay) = (100, 0.1);
        },
    }],
    network: NetworkKind::Decoder,
    splits: false,
    open,
    evaluate: None,
};

/// Generated sequences that identify a generator.
const SAMPLE: usize = 16;

struct RecallTask {
    recall: Recall,
    held: usize,
    batch: usize,
}

fn open(setup: &Setup<'_>) -> Result<Box<dyn Task>> {
    setup.refuse_data()?;
    setup.refuse_test()?;
    let settings = RecallSettings {
        pairs: setup.params.at_least("pairs", 1)?,
        n: setup.recipe.n,
        vocabulary: setup.params.at_least("vocab", 3)?,
    };
    let recall = Recall::new(settings, setup.seed)?;
    Ok(Box::new(RecallTask { recall, held: setup.params.at_least("held", 1)?, batch: setup.recipe.batch }))
}

impl Task for RecallTask {
    fn interface(&self) -> Interface {
        Interface { vocab: self.recall.settings().vocabulary, prediction: NetworkOutput::NextToken }
    }

    fn ids(&self) -> &'static str {
        KIND.name
    }

    fn judge(&self) -> Judge {
        Judge::Accuracy { several_per_sequence: true }
    }

    fn batch(&self, at: usize) -> Result<Examples> {
        let first = at * self.batch;
        Ok(self.recall.batch(RecallPart::Training, first..first + self.batch).examples())
    }

    fn has_test(&self) -> bool {
        true
    }

    fn held_out(&self, part: HeldOutSet, max: usize) -> Result<Vec<Examples>> {
        // The validation and the test set follow each other in one stream.
        let first = if part == HeldOutSet::Test { self.held } else { 0 };
        let last = first + self.held.min(max);
        let batch =
            |at: usize| self.recall.batch(RecallPart::Test, at..(at + self.batch).min(last)).examples();
        Ok((first..last).step_by(self.batch).map(batch).collect())
    }

    fn contents(&self, part: HeldOutSet, add: &mut dyn FnMut(DataPiece<'_>)) {
        let part = if part == HeldOutSet::Test { RecallPart::Test } else { RecallPart::Training };
        let Windows { inputs, targets } = self.recall.batch(part, 0..SAMPLE);
        for tokens in [inputs, targets] {
            add(DataPiece::Tokens(&tokens.into_iter().collect::<Vec<_>>()));
        }
    }

    fn amount(&self) -> String {
        format!("new training sequences in every batch, {0} validation and {0} test sequences", self.held)
    }

    /// A guess among the values.
    fn constant_accuracy(&self, _: HeldOutSet) -> Option<f64> {
        Some(1.0 / self.recall.answers() as f64)
    }
}
