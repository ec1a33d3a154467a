//! What is measured: every mechanism in every form, at every length and projected length.

use super::settings::Settings;
use super::{Pass, Unit};
use crate::attention::{self, Kind, Mask, Under, backward, fused};
use crate::error::{Error, Result};
use crate::model::encoder::Mechanism;
use crate::name::Spec;

/// How a mechanism is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// Blocks that stay in cache; no n x m array.
    Fused,
    /// The n x m matrices are made and held.
    Materialised,
    /// The obvious form only: its operations are counted, it is not timed.
    Reference,
}

impl Form {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fused => "fused",
            Self::Materialised => "n x n",
            Self::Reference => "reference",
        }
    }
}

/// One mechanism in one form at one length.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// The mechanism with every parameter, l among them.
    pub(super) spec: Spec,
    /// The mechanism as it was typed, without l: what cells of one line have in common.
    pub(super) name: String,
    pub(super) kind: &'static Kind,
    pub(super) form: Form,
    pub(super) n: usize,
    pub(super) l: Option<usize>,
}

impl Cell {
    /// Names the cell in the journal, in messages and in random streams.
    pub(super) fn key(&self) -> String {
        format!("{} ({}) at n = {}", self.spec, self.form.name(), self.n)
    }

    /// What tables and legends call its line.
    pub(super) fn title(&self) -> String {
        match (self.kind.name, self.form) {
            ("softmax", form) => format!("{} ({})", self.name, form.name()),
            _ => self.name.clone(),
        }
    }

    /// Whether it is on the same line as another: only the length differs.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        (&self.spec, self.form) == (&other.spec, other.form)
    }

    /// Whether it is exact attention in this form at this length: what others are held against.
    pub(super) fn is_exact(&self, form: Form, n: usize) -> bool {
        self.kind.name == "softmax" && self.form == form && self.n == n
    }

    /// Every cell, by length, then in the order typed; the exact baseline stands first whether it was named or not.
    pub(super) fn all(settings: &Settings) -> Result<Vec<Self>> {
        let mut lines: Vec<(Spec, String, &'static Kind, Option<usize>)> = Vec::new();
        for spec in &settings.attention {
            let kind = attention::find(spec)?;
            honours(spec, kind, settings.mask)?;
            match settings.unit {
                Unit::Core => only_l(spec, kind)?,
                Unit::Layer | Unit::Encoder => drop(Mechanism::build(spec)?),
            }
            if settings.pass == Pass::Train && !is_fast(kind, settings) {
                let forms = backward::ALL.iter().filter(|form| form.honours(settings.mask));
                let known: Vec<&str> = forms.map(|form| form.name).collect();
                let accepted = format!("for --pass train: {}", known.join(", "));
                return Err(Error::value("--attention", spec, accepted));
            }
            let typed = match spec.params.iter().find(|(key, _)| key == "l") {
                Some((_, l)) => {
                    let what = format!("parameter 'l' of attention '{}'", kind.name);
                    Some(l.parse().map_err(|_| Error::value(what, l, "a whole number, 1 or more"))?)
                }
                None => None,
            };
            let mut name = spec.clone();
            name.params.retain(|(key, _)| key != "l");
            let each: Vec<Option<usize>> = match (kind.depends_on_l(spec), typed) {
                (true, None) => settings.l.iter().map(|l| Some(*l)).collect(),
                (_, typed) => vec![typed],
            };
            for l in each {
                let mut full = name.clone();
                if let Some(l) = l {
                    full.params.push(("l".into(), l.to_string()));
                }
                if lines.iter().any(|(other, ..)| *other == full) {
                    return Err(Error::value("--attention", full, "each mechanism once"));
                }
                lines.push((full, name.to_string(), kind, l));
            }
        }
        let mut cells = Vec::new();
        for n in &settings.seq_len {
            for (spec, name, kind, l) in lines.iter().filter(|(.., l)| fits(*l, *n)) {
                let cell = |form| Self { spec: spec.clone(), name: name.clone(), kind, form, n: *n, l: *l };
                if kind.name == "softmax" {
                    cells.push(cell(Form::Fused));
                    cells.push(cell(Form::Materialised));
                } else if is_fast(kind, settings) {
                    cells.push(cell(Form::Fused));
                } else {
                    cells.push(cell(Form::Reference));
                }
            }
        }
        // An l of the list that is too long is left out; a mechanism of which nothing is left is a mistake.
        let fits_somewhere = |l: Option<usize>| settings.seq_len.iter().any(|n| fits(l, *n));
        let lost = |name: &String| !lines.iter().any(|(_, other, _, l)| other == name && fits_somewhere(*l));
        if let Some((spec, .., l)) = lines.iter().find(|(_, name, ..)| lost(name)) {
            let longest = settings.seq_len.last().copied().unwrap_or(0);
            let what = format!("l of attention '{spec}'");
            return Err(Error::value(what, l.unwrap_or(0), format!("1 to {longest}, the longest n")));
        }
        Ok(cells)
    }

    /// Lines and lengths that are left out, for want of tokens.
    pub(super) fn left_out(settings: &Settings) -> Vec<String> {
        let named = |spec: &Spec| spec.params.iter().find(|(key, _)| key == "l")?.1.parse::<usize>().ok();
        let takes = |spec: &Spec| attention::find(spec).is_ok_and(|kind| kind.depends_on_l(spec));
        let mut all: Vec<usize> = settings.attention.iter().filter_map(named).collect();
        if settings.attention.iter().any(|spec| takes(spec) && named(spec).is_none()) {
            all.extend(&settings.l);
        }
        all.sort_unstable();
        all.dedup();
        let short = |l: &usize| settings.seq_len.iter().filter(move |n| !fits(Some(*l), **n)).max();
        all.iter().filter_map(|l| short(l).map(|n| format!("l = {l} up to n = {n}"))).collect()
    }
}

/// Whether a mechanism of this l is measured at this length.
fn fits(l: Option<usize>, n: usize) -> bool {
    l.is_none_or(|l| l <= n)
}

/// Whether there is a fast form for the mask and the pass.
fn is_fast(kind: &Kind, settings: &Settings) -> bool {
    match settings.pass {
        Pass::Forward => fused::find(kind.name).is_some_and(|form| form.honours(settings.mask)),
        Pass::Train => backward::find(kind.name).is_some_and(|form| form.honours(settings.mask)),
    }
}

/// The error for a mask that a mechanism has no form for.
fn honours(spec: &Spec, kind: &Kind, mask: Mask) -> Result<()> {
    let Under::Refused(instead) = kind.under(mask) else { return Ok(()) };
    let hint = if instead.is_empty() { String::new() } else { format!(" ('{instead}' does)") };
    let accepted = match mask {
        Mask::Causal => format!("mechanisms that have a causal form{hint}, or no --causal"),
        Mask::Full => format!("mechanisms that see all keys{hint}, or --causal"),
    };
    Err(Error::value("--attention", spec, accepted))
}

/// Refuses parameters that times and counts of a fast form do not depend on: a row would seem to be about them.
fn only_l(spec: &Spec, kind: &Kind) -> Result<()> {
    // A name that it does not take at all has an answer of its own.
    spec.params("attention", kind.takes)?;
    let odd = spec.params.iter().find(|(key, _)| key != "l" && key != "w");
    match odd.filter(|_| fused::find(kind.name).is_some()) {
        None => Ok(()),
        Some((key, value)) => {
            let what = format!("parameter '{key}' of attention '{}'", kind.name);
            Err(Error::value(what, value, "none here: counts and times do not depend on it"))
        }
    }
}
