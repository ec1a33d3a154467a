//! The library's error type: every message says what, which value, and what is accepted.
//!
//! Grammar of the messages: lower case, no full stop, values in single quotes, one line.

use std::io;
use std::path::{Path, PathBuf};

/// What every fallible function of the library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is in no registry.
    #[error("unknown {kind} '{name}'{}; known: {}", did_you_mean(.suggestion.as_deref()), listed(.known))]
    UnknownName {
        /// What was looked up ("synthetic input", "null model").
        kind: &'static str,
        /// The name as given.
        name: String,
        /// The nearest known name, if there is one.
        suggestion: Option<String>,
        /// Every known name.
        known: Vec<String>,
    },
    /// A parameter (`name:key=value`) that its owner does not take.
    #[error("{owner} takes no parameter '{name}'{}; it takes: {takes}", did_you_mean(.suggestion.as_deref()))]
    UnknownParameter {
        /// The owner, with its kind ("synthetic input 'local'").
        owner: String,
        /// The parameter as given.
        name: String,
        /// The nearest known parameter, if there is one.
        suggestion: Option<String>,
        /// Its parameters, with defaults ("w=17", or "nothing").
        takes: String,
    },
    /// A value outside what is accepted.
    #[error("{what}: '{value}' is not accepted; accepted: {accepted}")]
    Value {
        /// The option, parameter or key.
        what: String,
        /// The value as it was given.
        value: String,
        /// What would be accepted.
        accepted: String,
    },
    /// Options that cannot be met, in the words of their case: what does not fit, and what does.
    #[error("{0}")]
    Refused(String),
    /// Cells that none of the runs to be merged has.
    #[error("{} of {of} cells are missing: {}; continue the runs that should have them with --resume, or --partial \
             shows what is there", .missing.len(), first_of(.missing))]
    CellsMissing {
        /// Cells of the study.
        of: usize,
        /// Names of those that are missing.
        missing: Vec<String>,
    },
    /// A shard has run its cells. No failure: there is nothing to show before they are merged with the others.
    #[error("the cells of this shard are done; luna merge shows them with those of the others")]
    ShardDone,
    /// The cells of a study were listed, with their predicted work in multiply-adds. No failure either.
    #[error("{} cells were listed and none was run", .0.len())]
    Listed(Vec<(String, f64)>),
    /// The operating system refused a file.
    #[error("'{}': {source}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file with other contents than expected.
    #[error("'{}': {what}; expected {accepted}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
        /// The expected contents.
        accepted: String,
    },
    /// A file of settings (`config.json`) without a key that is needed.
    #[error("'{}': no key '{key}'; expected {accepted}", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key that is missing.
        key: String,
        /// What the key should hold.
        accepted: String,
    },
    /// A tensor that a model needs and the file does not hold.
    #[error("'{}': no tensor '{name}'; expected one of shape {expected:?}", .path.display())]
    TensorMissing {
        /// The file or folder of weights.
        path: PathBuf,
        /// The tensor's name as the family has it.
        name: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
    },
    /// A tensor of another shape than the configuration asks for.
    #[error("'{}': tensor '{name}' has shape {found:?}; expected {expected:?}", .path.display())]
    TensorShape {
        /// The file or folder of weights.
        path: PathBuf,
        /// The tensor's name as the file has it.
        name: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// Tensors that are neither used nor known to be ignorable.
    #[error("'{}': tensors that a {family} model does not have: {}; expected only this family's tensors \
             (is model_type right?)", .path.display(), .names.join(", "))]
    TensorUnused {
        /// The file or folder of weights.
        path: PathBuf,
        /// The model family.
        family: &'static str,
        /// Names of the tensors, as the file has them.
        names: Vec<String>,
    },
    /// More tokens than the model has positions, or fewer than were asked for.
    #[error("{what}: {found} tokens; {accepted}")]
    Tokens {
        /// Which input.
        what: String,
        /// How many tokens there are or would be.
        found: usize,
        /// What would be accepted, with the model's figure.
        accepted: String,
    },
    /// Shapes that do not fit each other.
    #[error("{what}: shape {found:?}; expected {expected}")]
    Shape {
        /// Which array.
        what: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shapes that would be accepted, in the papers' letters.
        expected: String,
    },
    /// A value that is not a finite number.
    #[error("{what}: {value} at {at}; expected finite numbers")]
    NotFinite {
        /// Which array.
        what: String,
        /// NaN, inf or -inf.
        value: f64,
        /// Where, as indices.
        at: String,
    },
    /// Work that would need more memory than the machine has.
    #[error("{what} would need {needed}, this machine has {available}; {instead}")]
    Memory {
        /// Which work.
        what: String,
        /// How much it needs, with a unit.
        needed: String,
        /// How much there is, with a unit.
        available: String,
        /// The option that avoids it.
        instead: String,
    },
    /// A model of the hub that is not on this machine.
    #[error("model '{id}' (revision '{revision}') is not in the cache '{}'; {fix}", .cache.display())]
    NotCached {
        /// The hub id.
        id: String,
        /// The revision that was asked for.
        revision: String,
        /// The cache that was searched.
        cache: PathBuf,
        /// What to do.
        fix: String,
    },
    /// Something that an implementation does not have, and that its input asks for.
    #[error("{who} has no {what}; {given}")]
    Unsupported {
        /// The implementation.
        who: String,
        /// What it does not have.
        what: String,
        /// What the input is or has.
        given: String,
    },
    /// A decomposition that did not converge.
    #[error("{what} did not converge")]
    Convergence {
        /// Which decomposition.
        what: String,
    },
    /// A training whose loss is NaN or infinite.
    #[error("{what} is {value} at step {step}; {kept}; a smaller --rate or --clip may help")]
    Diverged {
        /// The loss, or the norm of the gradients.
        what: &'static str,
        /// What it was.
        value: f64,
        /// The step, counted from 1.
        step: usize,
        /// What remains of the run.
        kept: String,
    },
    /// Ctrl-C, or a request to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Names the file in an error of the operating system.
    pub fn file(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::File { path, source }
    }

    /// A value outside what is accepted.
    pub fn value(what: impl Into<String>, value: impl ToString, accepted: impl Into<String>) -> Self {
        Self::Value { what: what.into(), value: value.to_string(), accepted: accepted.into() }
    }

    /// A file with other contents than expected.
    pub fn malformed(path: impl AsRef<Path>, what: impl ToString, accepted: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.as_ref().to_path_buf(),
            what: what.to_string(),
            accepted: accepted.into(),
        }
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(" (did you mean '{name}'?)")).unwrap_or_default()
}

/// The first names in quotes, and how many more there are.
fn first_of(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let first: Vec<String> = names.iter().take(SHOWN).map(|name| format!("'{name}'")).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}

/// The first names, and how many more there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 24;
    let more = names.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("and {more} more"));
    names.iter().take(SHOWN).cloned().chain(more).collect::<Vec<_>>().join(", ")
}

/// What clap says of arguments, in one line: without the usage that follows.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    said.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = Error::UnknownName {
            kind: "null model",
            name: "gausian".into(),
            suggestion: Some("gaussian".into()),
            known: vec!["gaussian".into(), "shuffled".into()],
        };
        let text = "unknown null model 'gausian' (did you mean 'gaussian'?); known: gaussian, shuffled";
        assert_eq!(error.to_string(), text);
    }
}
