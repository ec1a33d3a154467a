//! `--allocation FILE`: a mechanism for each head, as `luna allocate` chose it, among those that replace attention.

use std::path::Path;

use super::candidate::{Candidate, Candidates};
use super::config::Config;
use crate::attention::{Kind, Origin, Term, Under};
use crate::error::{Error, Result};
use crate::name::{Params, Spec};
use crate::study::allocation::{Assignment, Record};
use crate::study::input::{Source, Trained};
use crate::sweep::{Contents, Watch};

/// Its name in results.
const NAME: &str = "allocation";

/// As the other mechanisms are listed. It stands in no list of [`crate::attention`]: it is built from nothing but a file.
static KIND: Kind = Kind {
    name: NAME,
    about: "a mechanism for each head",
    equation: "",
    paper: "",
    takes: &[],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: false,
    // Heads whose mechanism has no form for what their layer has are refused one by one.
    terms: Term::ALL,
    by_default: false,
    fit: None,
    build: |_: &Params<'_>, _: &Origin<'_>| Err(Error::value("attention", NAME, "--allocation FILE")),
};

/// The mechanisms of a file, ready to replace attention.
pub(super) struct Allocated {
    pub(super) assignment: Assignment,
    /// Hash of the file, for the journal.
    pub(super) hash: String,
    /// What a reader must know of it.
    pub(super) note: String,
}

impl Allocated {
    /// Reads a file of a model of the same shape and mask.
    fn open(path: &Path, source: &Trained) -> Result<Self> {
        let record = Record::read(path)?;
        let config = source.model()?.config();
        let assignment = record.assign(path, (config.layers, config.heads), source.mask())?;
        let mut hash = Contents::default();
        hash.add(record.text().as_bytes());
        let same = source.facts().iter().any(|(_, value)| value.as_str() == Some(&record.model.sha256));
        let of = if same { "this model" } else { "another model of this shape" };
        let note = format!(
            "{NAME}: {} of '{}' ({of}), chosen for {} at n = {}",
            path.display(),
            record.model.name,
            record.budget.asked,
            record.n
        );
        Ok(Self { assignment, hash: hash.word(), note })
    }

    /// Whether a candidate is the one of the file.
    pub(super) fn is(candidate: &Candidate) -> bool {
        candidate.kind.name == NAME
    }
}

/// What replaces the attention of a model: the mechanisms that are named, and the allocation of a file.
pub(super) fn candidates(
    config: &Config,
    source: &Trained,
    watch: &dyn Watch,
) -> Result<(Candidates, Option<Allocated>)> {
    let Some(path) = &config.allocation else { return Ok((Candidates::of(config, source, watch)?, None)) };
    let allocated = Allocated::open(path, source)?;
    let mut candidates = match config.mechanism {
        Some(_) => Candidates::of(config, source, watch)?,
        None => Candidates { all: Vec::new(), left_out: Vec::new() },
    };
    let spec = Spec { name: NAME.into(), params: Vec::new() };
    let of_file = Candidate { name: NAME.into(), spec, l: None, has_own_l: true, kind: &KIND, fitted: false };
    candidates.all.push(of_file);
    candidates.left_out.push(allocated.note.clone());
    Ok((candidates, Some(allocated)))
}
