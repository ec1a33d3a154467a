//! A task with its data, and what identifies them.

use std::fmt::Write as _;
use std::path::Path;

use super::config::TrainConfig;
use crate::error::Result;
use crate::name::Spec;
use crate::sweep::{Contents, Fingerprint};
use crate::task::recipe::Recipe;
use crate::task::{DataPiece, HeldOutSet, Setup, Task, TaskKind};

/// A task that was opened with a seed.
pub(super) struct TrainingData {
    /// The task as it was given, with the files' names.
    pub(super) title: String,
    /// What identifies the data: files by their contents.
    pub(super) facts: Fingerprint,
    pub(super) kind: &'static TaskKind,
    pub(super) task: Box<dyn Task>,
}

impl TrainingData {
    /// Opens the data of a task with the batches and the split of this seed.
    pub(super) fn open(
        kind: &'static TaskKind,
        spec: &Spec,
        config: &TrainConfig,
        recipe: &Recipe,
        seed: u64,
    ) -> Result<Self> {
        let params = spec.params("task", kind.takes)?;
        let (data, test) = (config.data.as_deref(), config.test.as_deref());
        let task = (kind.open)(&Setup { task: kind.name, params, data, test, recipe, seed })?;
        let files = [("data", data, HeldOutSet::Validation), ("test", test, HeldOutSet::Test)]
            .into_iter()
            .filter_map(|(flag, path, part)| {
                Some((flag, path.and_then(Path::file_name)?.to_string_lossy(), part))
            });
        let files: Vec<_> = files.collect();
        let mut title = spec.to_string();
        for (flag, name, _) in &files {
            let _ = write!(title, " {flag}={name}"); // writing to a String cannot fail
        }
        let mut facts = Fingerprint::default();
        facts.push("task", spec.to_string());
        if let Some(tokenizer) = task.tokenizer()?.filter(|tokenizer| !tokenizer.learned) {
            let mut contents = Contents::default();
            contents.add(tokenizer.json.as_bytes());
            facts.push("contents of the tokenizer", contents.word());
        }
        if data.is_none() {
            facts.push("contents of what was generated", contents(&*task, HeldOutSet::Validation));
        }
        for (flag, name, part) in files {
            let value = format!("{name}, sha256 {}", contents(&*task, part));
            facts.push(format!("contents of --{flag}"), value);
        }
        Ok(Self { title, facts, kind, task })
    }
}

/// A hash of the training and validation sets, or of the test set.
fn contents(task: &dyn Task, part: HeldOutSet) -> String {
    let mut contents = Contents::default();
    task.contents(part, &mut |piece| match piece {
        DataPiece::Tokens(tokens) => contents.add_tokens(tokens),
        DataPiece::Bytes(bytes) => contents.add(bytes),
    });
    contents.word()
}
