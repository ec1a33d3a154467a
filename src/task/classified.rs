//! Classification: examples of one sequence of tokens, or of two, with a class each.

use std::path::Path;

use super::batch::{Shuffled, hold_out, sample};
use super::examples::{Examples, Sequences};
use super::judge::Judge;
use super::kind::{
    DataPiece, EvaluationSet, HeldOutSet, Interface, NetworkOutput, Setup, Task, TrainedNetwork,
};
use crate::{Error, Result};

/// An example of T sequences, one or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example<const T: usize> {
    /// The tokens of its sequences.
    pub sequences: [Vec<u32>; T],
    /// Its class.
    pub class: u32,
}

/// The training, validation and test sets of a task.
#[derive(Clone, Debug)]
pub struct Sets<const T: usize> {
    /// To learn from.
    pub train: Vec<Example<T>>,
    /// To select the step and the learning rate by.
    pub validation: Vec<Example<T>>,
    /// To test with; may be empty.
    pub test: Vec<Example<T>>,
}

impl<const T: usize> Sets<T> {
    /// One list, split in three: so many to learn from, `held` to validate, and the rest to test with.
    pub(super) fn of_one_list(mut train: Vec<Example<T>>, count: usize, held: usize) -> Self {
        let mut validation = train.split_off(count);
        let test = validation.split_off(held);
        Self { train, validation, test }
    }
}

/// The training and the validation set of the examples of a file. Where no class has two it is refused: what was `found`
/// then, and what is accepted.
pub(super) fn split<const T: usize>(
    path: &Path,
    examples: Vec<Example<T>>,
    setup: &Setup<'_>,
    (found, accepted): (&str, &str),
) -> Result<(Vec<Example<T>>, Vec<Example<T>>)> {
    let class = |example: &Example<T>| example.class as usize;
    let (train, validation) = hold_out(examples, class, setup.recipe.validation, setup.seed);
    if validation.is_empty() {
        let accepted = format!("{accepted}, for the training and the validation set");
        return Err(Error::malformed(path, found, accepted));
    }
    Ok((train, validation))
}

/// What the examples are.
#[derive(Clone, Debug)]
pub struct About {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// What token ids mean.
    pub ids: &'static str,
    /// Height and width of its images, where sequences are their pixels.
    pub size: Option<[usize; 2]>,
    /// What a reader of the results should know of the data.
    pub notes: Vec<String>,
}

/// A task of examples with classes, all of them in memory.
#[derive(Debug)]
pub struct Classified<const T: usize> {
    sets: Sets<T>,
    about: About,
    /// Whether the examples have no order of their own, so that the first are as good as any.
    generated: bool,
    batch: usize,
    seed: u64,
}

impl<const T: usize> Classified<T> {
    /// The task of these examples, which are no longer than its sequences.
    pub fn new(sets: Sets<T>, about: About, setup: &Setup<'_>) -> Self {
        let (generated, batch, seed) = (setup.data.is_none(), setup.recipe.batch, setup.seed);
        Self { sets, about, generated, batch, seed }
    }

    fn held_out_set(&self, part: HeldOutSet) -> &[Example<T>] {
        match part {
            HeldOutSet::Validation => &self.sets.validation,
            HeldOutSet::Test => &self.sets.test,
        }
    }
}

impl<const T: usize> Task for Classified<T> {
    fn interface(&self) -> Interface {
        let classes = self.about.classes.len();
        let prediction =
            if T == 2 { NetworkOutput::PairClasses(classes) } else { NetworkOutput::Classes(classes) };
        Interface { vocab: self.about.vocab, prediction }
    }

    fn ids(&self) -> &'static str {
        self.about.ids
    }

    fn judge(&self) -> Judge {
        Judge::Accuracy { several_per_sequence: false }
    }

    fn batch(&self, at: usize) -> Result<Examples> {
        let order = Shuffled::new(self.sets.train.len(), self.batch, self.seed)?.batch(at);
        Ok(side_by_side(order.into_iter().map(|i| &self.sets.train[i])))
    }

    fn has_test(&self) -> bool {
        !self.sets.test.is_empty()
    }

    fn held_out(&self, part: HeldOutSet, max: usize) -> Result<Vec<Examples>> {
        let of = self.held_out_set(part);
        let places =
            if self.generated { (0..of.len().min(max)).collect() } else { sample(of.len(), max, self.seed) };
        Ok(batches(places.into_iter().map(|i| &of[i]).collect(), self.batch))
    }

    fn contents(&self, part: HeldOutSet, add: &mut dyn FnMut(DataPiece<'_>)) {
        for name in &self.about.classes {
            add(DataPiece::Bytes(name.as_bytes()));
        }
        let Sets { train, validation, test } = &self.sets;
        let sets: &[&Vec<Example<T>>] = if part == HeldOutSet::Test { &[test] } else { &[train, validation] };
        for Example { sequences, class } in sets.iter().copied().flatten() {
            for tokens in sequences {
                add(DataPiece::Tokens(tokens));
            }
            add(DataPiece::Tokens(&[*class]));
        }
    }

    fn amount(&self) -> String {
        let Sets { train, validation, test } = &self.sets;
        let what = if T == 2 { "pairs" } else { "sequences" };
        format!("{} training, {} validation and {} test {what}", train.len(), validation.len(), test.len())
    }

    fn notes(&self) -> Vec<String> {
        self.about.notes.clone()
    }

    fn constant_accuracy(&self, part: HeldOutSet) -> Option<f64> {
        let of = self.held_out_set(part);
        let count = |class: usize| of.iter().filter(|example| example.class as usize == class).count();
        let largest = (0..self.about.classes.len()).map(count).max()?;
        (!of.is_empty()).then(|| largest as f64 / of.len() as f64)
    }

    fn facts(&self) -> Vec<(&'static str, Vec<String>)> {
        let names = [("class_names", self.about.classes.clone())];
        let size = self.about.size.map(|size| ("image_size", size.map(|side| side.to_string()).to_vec()));
        names.into_iter().chain(size).collect()
    }
}

/// What a trained classifier is evaluated on: `examples`, whose sequences are cut to the network's positions.
pub fn evaluation_set<const T: usize>(
    examples: &[Example<T>],
    network: &TrainedNetwork<'_>,
) -> EvaluationSet {
    EvaluationSet {
        batches: batches(examples.iter().collect(), network.batch),
        judge: Judge::Accuracy { several_per_sequence: false },
        note: format!("sequences are cut to their first {} tokens, as in training", network.max_tokens()),
    }
}

/// Batches of examples of similar length, whose heads are then worked on at once.
fn batches<const T: usize>(mut examples: Vec<&Example<T>>, size: usize) -> Vec<Examples> {
    examples.sort_by_key(|example| example.sequences.iter().map(Vec::len).sum::<usize>());
    examples.chunks(size).map(|chunk| side_by_side(chunk.iter().copied())).collect()
}

fn side_by_side<'a, const T: usize>(examples: impl Iterator<Item = &'a Example<T>>) -> Examples {
    let (mut inputs, mut targets) = (Sequences::default(), Vec::new());
    for Example { sequences, class } in examples {
        for tokens in sequences {
            inputs.push(tokens);
        }
        targets.push(*class);
    }
    Examples::Sequences { inputs, targets }
}
