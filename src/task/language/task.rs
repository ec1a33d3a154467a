//! The task language: the next byte or token of a text.

use std::path::Path;

use super::text_tokens::TextTokens;
use super::windows::{self, EvaluationWindow, Language};
use crate::name::Param;
use crate::task::batch::IGNORED;
use crate::task::examples::Examples;
use crate::task::judge::Judge;
use crate::task::kind::{
    BYTES, DataPiece, EvaluationSet, HeldOutSet, Interface, NetworkKind, NetworkOutput, Setup, TOKENIZER,
    Task, TaskKind, TokenizerFile, TrainedNetwork,
};
use crate::task::recipe::RecipePreset;
use crate::task::tokenizer::TextTokenizer;
use crate::{Error, Result};

/// Its declaration.
pub const KIND: TaskKind = TaskKind {
    name: "language",
    about: "the next byte or token of --data FILE, any text; the last --validation share of it is the validation set",
    takes: &[Param { name: "tokens", default: Some(BYTES), about: "bytes, or the path of a tokenizer.json" }],
    presets: &[RecipePreset {
        name: "small-language",
        about: "bytes of any text, n 256, 4 layers of width 128: 1 MB of weights in f16 once trained",
        change: |recipe| {
            (recipe.n, recipe.d, recipe.ffn, recipe.layers) = (256, 128, 512, 4);
            (recipe.batch, recipe.steps, recipe.rate) = (16, 3000, 2e-3);
            (recipe.dropout, recipe.beta_2, recipe.weight_decay) = (0.1, 0.99, 0.1);
            recipe.eval_every = 250;
        },
    }],
    network: NetworkKind::Decoder,
    splits: true,
    open,
    evaluate: Some(evaluate),
};

const LOSES_TEXT: &str = "no bits per byte: this tokenizer does not give the text back exactly; losses of other tokenizers do not \
                          compare";

struct LanguageTask {
    text: Language,
    /// None where tokens are bytes.
    tokenizer: Option<TextTokenizer>,
    judge: Judge,
    n: usize,
    batch: usize,
    seed: u64,
}

fn open(setup: &Setup<'_>) -> Result<Box<dyn Task>> {
    setup.refuse_test()?;
    let path = setup.data()?;
    let tokens = TextTokens::read(path, &setup.params.get::<String>("tokens")?)?;
    let (n, validation) = (setup.recipe.n, setup.recipe.validation);
    let split = windows::split(&format!("'{}'", path.display()), tokens.ids.len(), n, validation)?;
    let judge = Judge::of_text(tokens.bytes_per_token(split)?);
    let (batch, seed) = (setup.recipe.batch, setup.seed);
    let text = Language::at(tokens.ids, split, n);
    Ok(Box::new(LanguageTask { text, tokenizer: tokens.tokenizer, judge, n, batch, seed }))
}

impl Task for LanguageTask {
    fn interface(&self) -> Interface {
        let vocab = self.tokenizer.as_ref().map_or(windows::BYTES, TextTokenizer::size);
        Interface { vocab, prediction: NetworkOutput::NextToken }
    }

    fn ids(&self) -> &'static str {
        if self.tokenizer.is_none() { BYTES } else { TOKENIZER }
    }

    fn judge(&self) -> Judge {
        self.judge
    }

    fn batch(&self, at: usize) -> Result<Examples> {
        Ok(self.text.batch(self.batch, self.seed, at).examples())
    }

    fn has_test(&self) -> bool {
        false
    }

    fn held_out(&self, _: HeldOutSet, max: usize) -> Result<Vec<Examples>> {
        let all: Vec<_> = self.text.evaluation_windows(self.n)?.collect();
        // Evenly spread over the whole validation set.
        let count = all.len().min(max);
        let windows: Vec<_> = (0..count).map(|i| all[i * all.len() / count].clone()).collect();
        Ok(windows.chunks(self.batch).map(examples).collect())
    }

    fn contents(&self, _: HeldOutSet, add: &mut dyn FnMut(DataPiece<'_>)) {
        add(DataPiece::Tokens(self.text.training()));
        add(DataPiece::Tokens(self.text.validation()));
    }

    fn amount(&self) -> String {
        let unit = if self.tokenizer.is_none() { "bytes" } else { "tokens" };
        let (training, validation) = (self.text.training().len(), self.text.validation().len());
        format!("{training} training and {validation} validation {unit}")
    }

    fn notes(&self) -> Vec<String> {
        let loses_text = self.judge == Judge::TokenLoss;
        if loses_text { vec![LOSES_TEXT.into()] } else { Vec::new() }
    }

    fn tokenizer(&self) -> Result<Option<TokenizerFile>> {
        let file = |tokenizer: &TextTokenizer| Ok(TokenizerFile { json: tokenizer.json()?, learned: false });
        self.tokenizer.as_ref().map(file).transpose()
    }
}

fn examples(windows: &[EvaluationWindow<'_>]) -> Examples {
    let target = |window: &EvaluationWindow<'_>, at: usize| {
        if window.counted.contains(&at) { window.targets[at] } else { IGNORED }
    };
    Examples::Sequences {
        inputs: windows.iter().map(|window| window.inputs).collect(),
        targets: windows
            .iter()
            .flat_map(|window| (0..window.targets.len()).map(move |at| target(window, at)))
            .collect(),
    }
}

/// A text in adjacent windows of n tokens: every token but the first is a target once.
fn evaluate(file: &Path, network: &TrainedNetwork<'_>) -> Result<EvaluationSet> {
    let n = network.max_tokens();
    let text = match network.ids() {
        BYTES => TextTokens::bytes(file)?,
        _ => TextTokens::of_tokenizer(file, &network.dir.join(TOKENIZER))?,
    };
    let (tokens, unit) = (&text.ids, text.unit());
    if tokens.len() < 2 {
        let found = format!("{} {unit}s", tokens.len());
        return Err(Error::malformed(file, found, format!("2 {unit}s or more")));
    }
    let (inputs, targets) = (&tokens[..tokens.len() - 1], &tokens[1..]);
    let windows: Vec<_> = inputs.chunks(n).zip(targets.chunks(n)).collect();
    let judge = Judge::of_text(text.bytes_per_token(1)?);
    let mut note = format!(
        "adjacent windows of {n} {unit}s: a {unit} early in its window is predicted from few before it"
    );
    if judge == Judge::TokenLoss {
        note = format!("{note}; {LOSES_TEXT}");
    }
    let batches = windows.chunks(network.batch).map(|chunk| Examples::next_tokens(chunk.iter().copied()));
    Ok(EvaluationSet { batches: batches.collect(), judge, note })
}
