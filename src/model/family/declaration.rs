//! What a family of models declares: names, tensors, configuration keys.

use super::known::{Effect, Known};
use super::tensors::{Role, Tensor};
use crate::Result;
use crate::model::config::ModelConfig;
use crate::model::keys::{KeyList, Keys, unused};

/// A family of models that share tensor names and arithmetic.
#[derive(Debug)]
pub struct Family {
    /// The `model_type` in `config.json`.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// A model of it that people use: an id of the hub.
    pub example: &'static str,
    /// Whether its models are causal, where their files do not say otherwise.
    pub(in crate::model) causal: bool,
    /// Prefixes of every name when the model was saved with a head or within another model (`bert.`), the longest first;
    /// accepted and not needed.
    pub(in crate::model) prefixes: &'static [&'static str],
    /// The tensors by the family's names.
    pub(in crate::model) tensors: &'static [&'static [Tensor]],
    /// Patterns (`*` for anything) of tensors that may be in the file and are not used.
    pub(in crate::model) ignored: &'static [&'static str],
    /// Whether weights are stored (in, out) rather than (out, in).
    pub(in crate::model) input_first: bool,
    /// What each key of `config.json` does.
    pub(in crate::model) known: Known,
    /// Reads the family's keys of `config.json`.
    pub(in crate::model) config: fn(&Keys<'_>) -> Result<ModelConfig>,
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Family {
    /// Which keys a query sees, in words; with a star where some layers may have a window too.
    pub fn mask(&self) -> &'static str {
        let slides = ["sliding_window", "local_attention", "window_size"];
        match (self.causal, slides.iter().any(|key| self.known.read.contains(key))) {
            (true, true) => "causal*",
            (true, false) => "causal",
            (false, true) => "full*",
            (false, false) => "full",
        }
    }

    /// How positions enter, in words.
    pub fn positions(&self) -> &'static str {
        let rotates = self.known.read.iter().any(|key| key.contains("rope") || key.contains("rotary"));
        match (self.tensor_name(Role::Position), self.tensor_name(Role::RelativeBias)) {
            (_, None) if rotates => "rotary",
            (Some(_), _) => "learned",
            (None, Some(_)) => "buckets",
            (None, None) => "ALiBi",
        }
    }

    /// A name of the file as in the table: without the prefix, and with the current words for gain and shift.
    pub(in crate::model) fn canonical(&self, name: &str) -> String {
        let name = self.prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
        let modern = |old, new| name.strip_suffix(old).map(|stem| format!("{stem}{new}"));
        modern(".gamma", ".weight").or_else(|| modern(".beta", ".bias")).unwrap_or_else(|| name.to_string())
    }

    /// The family's name of a tensor: the first, if it has several.
    pub(in crate::model) fn tensor_name(&self, role: Role) -> Option<&'static str> {
        let mut tensors = self.tensors.iter().copied().flatten();
        tensors.find(|tensor| tensor.role == role).map(|tensor| tensor.name)
    }

    /// Whether its tables have a head over the vocabulary with layers of its own (a masked-token head).
    pub(in crate::model) fn has_masked_head(&self) -> bool {
        self.tensors.iter().copied().flatten().any(|tensor| tensor.role == Role::HeadDense)
    }

    /// Whether a tensor (by its canonical name) may be in the file without being used.
    pub(in crate::model) fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().chain(IGNORED).any(|pattern| matches(pattern, name))
    }

    /// What a key of `config.json` does in this family; `None` if it is not known.
    pub fn effect(&self, key: &str) -> Option<Effect> {
        self.known.effect(key)
    }

    /// Every key that is known, once.
    pub fn keys(&self) -> Vec<&'static str> {
        self.known.keys()
    }

    /// Refuses keys that must be neutral and are not; notes on unknown keys, and on code that is not run.
    pub(crate) fn check(&self, keys: &Keys<'_>) -> Result<Vec<String>> {
        let mut notes: Vec<String> = unused(&self.known.check(keys)?).into_iter().collect();
        if self.known.hub && keys.given().any(|key| key == CODE) {
            notes.push(format!(
                "config.json names Python code of its own ({CODE}), which luna does not run: the model is computed as \
                 {}, as transformers does without trust_remote_code",
                self.name
            ));
        }
        Ok(notes)
    }
}

impl KeyList for Family {
    fn reads(&self, key: &str) -> bool {
        self.effect(key).is_some_and(|effect| effect != Effect::Inert)
    }
}

/// Names code that comes with a model. transformers runs it only on request where it has the family itself, so the model is
/// not refused: its effect on attention is in other keys, or is not known.
const CODE: &str = "auto_map";

/// Tensors that any family's file may hold: masks and tables that follow from the configuration, and heads of tasks.
const IGNORED: &[&str] =
    &["*position_ids", "*.inv_freq", "classifier.*", "qa_outputs.*", "score.*", "num_batches_tracked"];

/// Whether a name fits a pattern in which `*` matches any text.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| matches(rest, &name[at..]))
        }),
    }
}
