//! The windows to choose on, and those to judge on.

use std::collections::HashSet;

use serde_json::Value;

use super::config::AllocateConfig;
use crate::error::{Error, Result};
use crate::model::ModelInput;
use crate::study::input::{Source, Trained};

/// Tokens in a row that tell one text from another.
const RUN: usize = 16;
/// The share of its runs of tokens from which on a window is one that was chosen on.
const SAME: f64 = 0.5;

/// One or two texts, and which of their windows are for what.
pub(super) struct Texts {
    pub(super) choose: Trained,
    /// Another text to judge on.
    judge: Option<Trained>,
    pub(super) choosing: Vec<usize>,
    pub(super) judging: Vec<usize>,
}

impl Texts {
    /// Opens them; windows to judge on share no more than phrases with those to choose on.
    pub(super) fn open(config: &AllocateConfig, seed: u64) -> Result<Self> {
        let (choose, judge) = (config.windows, config.judge_windows);
        let Some(text) = &config.judge_text else {
            let source = Trained::open(&config.input(config.text.as_ref(), choose + judge), seed)?;
            let all = source.windows();
            // Spread over the text: the i-th of every choose + judge.
            let choosing: Vec<usize> = (0..choose).map(|i| i * all / choose).collect();
            let judging = (0..all).filter(|window| !choosing.contains(window)).collect();
            return Ok(Self { choose: source, judge: None, choosing, judging });
        };
        if config.text.as_ref() == Some(text) {
            let accepted = "another text than that of --text, or none: other windows of --text";
            return Err(Error::value("--judge-text", text.display(), accepted));
        }
        let source = Trained::open(&config.input(config.text.as_ref(), choose), seed)?;
        let other = Trained::open(&config.input(Some(text), judge), seed)?;
        let (choosing, judging) = ((0..source.windows()).collect(), (0..other.windows()).collect());
        let texts = Self { choose: source, judge: Some(other), choosing, judging };
        texts.refuse_same(&text.display().to_string())?;
        Ok(texts)
    }

    /// The source of the windows to judge on.
    pub(super) fn judge(&self) -> &Trained {
        self.judge.as_ref().unwrap_or(&self.choose)
    }

    /// Tokens of a window.
    pub(super) fn n(&self) -> usize {
        self.choose.lengths()[0]
    }

    fn refuse_same(&self, name: &str) -> Result<()> {
        let ids = |source: &'_ Trained, window: usize| match source.input(self.n(), window) {
            Some(ModelInput::Tokens(ids)) => ids.to_vec(),
            _ => Vec::new(),
        };
        let chosen: Vec<Vec<u32>> = self.choosing.iter().map(|window| ids(&self.choose, *window)).collect();
        let runs: HashSet<&[u32]> = chosen.iter().flat_map(|ids| ids.windows(RUN.min(self.n()))).collect();
        for window in &self.judging {
            let ids = ids(self.judge(), *window);
            let all = ids.windows(RUN.min(self.n()));
            let (count, same) = (all.len(), all.filter(|run| runs.contains(run)).count());
            if same as f64 > SAME * count as f64 {
                let what = format!("--judge-text, window {window}");
                let accepted =
                    "windows that nothing was chosen on: this one has the tokens of a window of --text";
                return Err(Error::value(what, name, accepted));
            }
        }
        Ok(())
    }

    /// Facts for the stamp and the journal.
    pub(super) fn facts(&self) -> Vec<(String, Value)> {
        let mut facts = self.choose.facts();
        if let Some(other) = &self.judge {
            let of_text = |(name, _): &(String, Value)| {
                ["text", "tokens", "window_start", "skip"].iter().any(|part| name.starts_with(part))
            };
            facts.extend(
                other
                    .facts()
                    .into_iter()
                    .filter(of_text)
                    .map(|(name, value)| (format!("judge_{name}"), value)),
            );
        }
        facts
    }

    /// What was read, and for what.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.choose.notes();
        if let Some(other) = &self.judge {
            let read = other.notes().into_iter().filter(|note| note.starts_with("read: "));
            notes.extend(read.map(|note| format!("to judge on: {note}")));
        } else {
            let list: Vec<String> = self.choosing.iter().map(ToString::to_string).collect();
            let s = |count: usize| if count == 1 { "" } else { "s" };
            notes.push(format!(
                "chosen on window{} {} of the text, judged on its other {} window{}, at other positions",
                s(list.len()),
                list.join(", "),
                self.judging.len(),
                s(self.judging.len())
            ));
        }
        notes
    }

    /// What the model reads in a window of one of the two sets.
    pub(super) fn input(&self, judged: bool, window: usize) -> Result<ModelInput<'_>> {
        let source = if judged { self.judge() } else { &self.choose };
        source.window(self.n(), window)
    }
}
