//! The task translation: pairs of lines, in tokens of a vocabulary learned from the training set.

use std::cell::RefCell;
use std::path::Path;

use super::buckets::Buckets;
use super::parallel::{Parallel, SentencePair};
use crate::name::{Param, Spec};
use crate::rng::{below, stream};
use crate::task::batch::sample;
use crate::task::bpe::{BEGIN, END, Vocabulary};
use crate::task::examples::{Examples, Sequences};
use crate::task::judge::Judge;
use crate::task::kind::{
    DataPiece, EvaluationSet, HeldOutSet, Interface, NetworkKind, NetworkOutput, Setup, TOKENIZER, Task,
    TaskKind, TokenizerFile, TrainedNetwork,
};
use crate::task::recipe::{Recipe, RecipePreset};
use crate::{Error, Result};

/// Its declaration.
pub const KIND: TaskKind = TaskKind {
    name: "translation",
    about: "one language into another: --data PATH and --test PATH stand for PATH.en and PATH.de, aligned line by line",
    takes: &[
        Param { name: "from", default: Some("en"), about: "ending of the files to translate from" },
        Param { name: "to", default: Some("de"), about: "ending of the files to translate into" },
        Param { name: "vocab", default: Some("8000"), about: "size of the joint byte-pair vocabulary" },
    ],
    presets: &[
        RecipePreset {
            name: "small-translation",
            about: "sentences, 3 + 3 layers of width 128, 4096 tokens a step: Multi30k in half an hour on 2 cores",
            change: |recipe| {
                (recipe.n, recipe.d, recipe.ffn, recipe.layers) = (64, 128, 512, 3);
                (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (64, 2000, 3e-3, 200);
                (recipe.dropout, recipe.label_smoothing) = (0.1, 0.1);
                (recipe.beta_2, recipe.weight_decay) = (0.98, 0.01);
                (recipe.validation, recipe.eval_every) = (0.03, 200);
            },
        },
        RecipePreset {
            name: "wmt-base",
            about: "WMT EN-DE at the base size of Vaswani et al. 2017 and the Luna paper: 6 + 6 layers of 512, 100,000 steps (no attention dropout)",
            change: |recipe| {
                (recipe.n, recipe.d, recipe.heads, recipe.ffn, recipe.layers) = (256, 512, 8, 2048, 6);
                (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (128, 100_000, 7e-4, 4000);
                (recipe.activation, recipe.schedule) = ("relu", "inverse-sqrt".into());
                (recipe.dropout, recipe.label_smoothing) = (0.1, 0.1);
                (recipe.beta_2, recipe.weight_decay, recipe.clip) = (0.98, 0.0, 0.0);
                (recipe.validation, recipe.eval_every) = (0.001, 1000);
            },
        },
    ],
    network: NetworkKind::EncoderDecoder,
    splits: true,
    open,
    evaluate: Some(evaluate),
};

/// Decides the validation set, whatever the seed of a training: seeds differ in weights and order, not in data and
/// vocabulary.
const SPLIT_SEED: u64 = 0;

/// Positions of a pair that batches are made for, where a network has no limit.
const USUAL_POSITIONS: usize = 256;

struct TranslationTask {
    vocabulary: Vocabulary,
    /// Endings of the files' names.
    languages: [String; 2],
    train: Vec<SentencePair>,
    validation: Vec<SentencePair>,
    test: Vec<SentencePair>,
    buckets: Buckets,
    /// The epoch of the last batch with its batches: millions of pairs are not ordered again for every step.
    epoch: RefCell<(usize, Vec<Vec<usize>>)>,
    /// Tokens that a batch may have on its wider side.
    max_tokens: usize,
    /// Pairs that are longer than the network's positions.
    too_long: usize,
}

fn open(setup: &Setup<'_>) -> Result<Box<dyn Task>> {
    let Recipe { n, batch, validation, .. } = *setup.recipe;
    let languages = [setup.params.get::<String>("from")?, setup.params.get("to")?];
    let path = setup.data()?;
    let size = setup.params.at_least("vocab", 1)?;
    let all = Parallel::open(path, &languages)?;
    let test = setup.test.map(|path| Parallel::open(path, &languages)).transpose()?.unwrap_or_default();
    let (train, validation) = hold_out(all, validation)?;
    let vocabulary = Vocabulary::train(train.texts(), size)?;
    let mut too_long = 0;
    let mut encode = |part: &Parallel| -> Result<Vec<SentencePair>> {
        let (pairs, longer) = part.encode_within(&vocabulary, n)?;
        too_long += longer;
        Ok(pairs)
    };
    let (train, validation, test) = (encode(&train)?, encode(&validation)?, encode(&test)?);
    if train.is_empty() || validation.is_empty() {
        let accepted = format!("pairs of at most {n} tokens a side, --seq-len");
        return Err(Error::malformed(path, "no pair that is short enough", accepted));
    }
    let max_tokens = batch * n;
    let buckets = Buckets::new(&train, max_tokens, setup.seed)?;
    let epoch = RefCell::new((0, buckets.epoch(0)));
    Ok(Box::new(TranslationTask {
        vocabulary,
        languages,
        train,
        validation,
        test,
        buckets,
        epoch,
        max_tokens,
        too_long,
    }))
}

impl Task for TranslationTask {
    fn interface(&self) -> Interface {
        Interface { vocab: self.vocabulary.size(), prediction: NetworkOutput::Text }
    }

    fn ids(&self) -> &'static str {
        TOKENIZER
    }

    fn judge(&self) -> Judge {
        Judge::TokenLoss
    }

    fn batch(&self, at: usize) -> Result<Examples> {
        let (number, place) = (at / self.buckets.per_epoch(), at % self.buckets.per_epoch());
        let mut epoch = self.epoch.borrow_mut();
        if epoch.0 != number {
            *epoch = (number, self.buckets.epoch(number));
        }
        Ok(side_by_side(epoch.1[place].iter().map(|pair| &self.train[*pair])))
    }

    fn has_test(&self) -> bool {
        !self.test.is_empty()
    }

    fn held_out(&self, part: HeldOutSet, max: usize) -> Result<Vec<Examples>> {
        let of = if part == HeldOutSet::Test { &self.test } else { &self.validation };
        let sampled: Vec<SentencePair> =
            sample(of.len(), max, SPLIT_SEED).into_iter().map(|pair| of[pair].clone()).collect();
        sorted_batches(&sampled, self.max_tokens)
    }

    fn contents(&self, part: HeldOutSet, add: &mut dyn FnMut(DataPiece<'_>)) {
        let sets: &[&Vec<SentencePair>] =
            if part == HeldOutSet::Test { &[&self.test] } else { &[&self.train, &self.validation] };
        for pair in sets.iter().copied().flatten() {
            add(DataPiece::Tokens(&pair.source));
            add(DataPiece::Tokens(&pair.target));
        }
    }

    fn amount(&self) -> String {
        let Self { train, validation, test, too_long, vocabulary, buckets, .. } = self;
        format!(
            "{} training pairs in {} batches, {} validation and {} test pairs; {too_long} longer than --seq-len left out; \
             {} byte-pair tokens",
            train.len(),
            buckets.per_epoch(),
            validation.len(),
            test.len(),
            vocabulary.size()
        )
    }

    fn notes(&self) -> Vec<String> {
        let note = "losses are per token of this vocabulary: only runs with the same vocabulary compare; \
                    luna translate RUN --reference FILE gives BLEU";
        vec![note.into()]
    }

    fn tokenizer(&self) -> Result<Option<TokenizerFile>> {
        Ok(Some(TokenizerFile { json: self.vocabulary.json()?, learned: true }))
    }

    fn facts(&self) -> Vec<(&'static str, Vec<String>)> {
        vec![("languages", self.languages.to_vec())]
    }
}

/// The training set, and the validation set: drawn pair by pair, in the order of the files.
fn hold_out(all: Parallel, share: f64) -> Result<(Parallel, Parallel)> {
    let count = all.sources.len();
    let held = (count as f64 * share).ceil() as usize;
    if held >= count {
        return Err(Error::value("--validation", share, format!("less: there are {count} pairs")));
    }
    let rng = &mut stream(SPLIT_SEED, "translation held out");
    let mut chosen = vec![false; count];
    let mut missing = held;
    while missing > 0 {
        let pair = below(rng, count);
        missing -= usize::from(!std::mem::replace(&mut chosen[pair], true));
    }
    let (mut train, mut validation) = (Parallel::default(), Parallel::default());
    for ((source, target), held) in all.sources.into_iter().zip(all.targets).zip(chosen) {
        let part = if held { &mut validation } else { &mut train };
        part.sources.push(source);
        part.targets.push(target);
    }
    Ok((train, validation))
}

/// Pairs of files PATH.FROM and PATH.TO, in the tokens of the training.
fn evaluate(path: &Path, network: &TrainedNetwork<'_>) -> Result<EvaluationSet> {
    let vocabulary = Vocabulary::open(&network.dir.join(TOKENIZER))?;
    let n = if network.positions == 0 { usize::MAX } else { network.positions };
    let (pairs, too_long) = Parallel::open(path, &languages(network)?)?.encode_within(&vocabulary, n)?;
    if pairs.is_empty() {
        let accepted = format!("pairs of at most {n} tokens a side, the positions of the network");
        return Err(Error::malformed(path, "no pair that is short enough", accepted));
    }
    let positions = if network.positions == 0 { USUAL_POSITIONS } else { network.positions };
    let batches = sorted_batches(&pairs, network.batch.saturating_mul(positions))?;
    let note = format!(
        "losses are per token of this training's vocabulary, each token predicted from the reference before it; {too_long} \
         pairs longer than the network's positions left out; luna translate RUN --reference FILE gives BLEU"
    );
    Ok(EvaluationSet { batches, judge: Judge::TokenLoss, note })
}

/// Endings of the names of a trained network's files.
fn languages(network: &TrainedNetwork<'_>) -> Result<[String; 2]> {
    if let Ok(languages) = <[String; 2]>::try_from(network.words("languages")) {
        return Ok(languages);
    }
    // Trainings of earlier versions have them in their task alone: "translation:from=en,to=de data=...".
    let task = network.facts["task"].as_str().unwrap_or_default();
    let spec: Spec = task.split(' ').next().unwrap_or_default().parse().map_err(|_| {
        let accepted = "the languages, as [\"en\", \"de\"]";
        Error::malformed(network.dir.join("config.json"), "neither 'languages' nor 'task'", accepted)
    })?;
    let params = spec.params("task", KIND.takes)?;
    Ok([params.get("from")?, params.get("to")?])
}

fn sorted_batches(pairs: &[SentencePair], max_tokens: usize) -> Result<Vec<Examples>> {
    let batches = Buckets::new(pairs, max_tokens, 0)?.sorted();
    Ok(batches.into_iter().map(|batch| side_by_side(batch.into_iter().map(|pair| &pairs[pair]))).collect())
}

fn side_by_side<'a>(pairs: impl Iterator<Item = &'a SentencePair>) -> Examples {
    let (mut sources, mut inputs) = (Sequences::default(), Sequences::default());
    let mut targets = Vec::new();
    for pair in pairs {
        sources.push(&pair.source);
        inputs.tokens.push(BEGIN);
        inputs.tokens.extend(&pair.target);
        inputs.lengths.push(pair.target.len() + 1);
        targets.extend(&pair.target);
        targets.push(END);
    }
    Examples::Pairs { sources, inputs, targets }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_pairs_are_held_out_is_pinned() {
        let lines: Vec<String> = (0..40).map(|line| line.to_string()).collect();
        let all = Parallel { sources: lines.clone(), targets: lines };
        let (train, validation) = hold_out(all, 0.2).unwrap();
        assert_eq!((train.sources.len(), validation.sources.len()), (32, 8));
        assert_eq!(validation.sources, PINNED, "the split changed: every published run would change");
        assert_eq!(validation.sources, validation.targets);
    }

    const PINNED: [&str; 8] = ["3", "5", "17", "19", "22", "28", "31", "33"];
}
