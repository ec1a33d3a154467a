//! What a reader must know beside the numbers of a spectrum.

use super::Config;
use super::asked::Asked;
use super::columns::Figure;
use super::config::Effort;
use super::measured::{Heads, Measured, differences};
use super::subject::Subject;
use super::summary::half_width;
use super::verdict::{self, Verdict, decide};
use crate::attention::Mask;
use crate::linalg::engine::Engine;
use crate::study::input::Source;

/// How the note on the verdicts begins; the one after it says what they rest on.
pub(in crate::study) const VERDICT: &str = "effective rank against the null models";

/// The share of zeros among visible probabilities above which a head's temperature says little about it.
const ZEROS: f64 = 0.01;

/// The notes, the most important first.
pub(super) fn all(asked: Asked<'_>, heads: &Heads<'_>, engine: Engine) -> Vec<String> {
    let Asked { config, source, figures, nulls } = asked;
    let mut notes: Vec<String> = interrupted(heads, source).into_iter().collect();
    if !nulls.is_empty() {
        notes.extend(verdicts(asked, heads));
    }
    notes.extend(source.dependence());
    if let Some(l) = source.own_l() {
        let bound = match source.mask() {
            Mask::Full => format!("rank {l} at most"),
            Mask::Causal => format!("a triangle cut from rank {l} at most"),
        };
        notes.push(format!(
            "by their form the model's own matrices are of {bound}, and so are their null models: being lower than these says \
             more than that form"
        ));
    }
    let sparse = heads.0.iter().filter(|head| head.iter().any(|one| one.zeros > ZEROS)).count();
    if !nulls.is_empty() && sparse > 0 {
        // Beside a window, softcap, bias or sink the null has the spread of the logits themselves.
        let is_null_too = source.kinds().iter().all(|kind| kind.terms.is_empty());
        let null = if is_null_too { ", and with it the gaussian null," } else { "" };
        notes.push(format!(
            "in {sparse} heads over {:.0} % of the visible probabilities are 0: logit_sd{null} describes the others only",
            100.0 * ZEROS
        ));
    }
    notes.extend(shared(config.of, heads));
    let estimated = heads.0.iter().flatten().any(|one| one.ends.is_some());
    if estimated {
        notes.extend(estimates(config, heads, figures));
    }
    if engine == Engine::Faer && source.is_layered() && config.of == Subject::Attention && !estimated {
        notes.push("values below 1e-8 sigma_max of matrices made in f32 are rounding".into());
    }
    notes
}

/// What estimates rest on, and how wide their intervals are.
fn estimates(config: &Config, heads: &Heads<'_>, figures: &[Figure]) -> Vec<String> {
    let Effort { options, tolerance } = config.effort();
    let rank = Figure::effective_rank(figures);
    let share = |one: &Measured| Some(2.0 * half_width(one, rank)? / one.values.plain[rank]?);
    let widths: Vec<f64> = heads.0.iter().flatten().filter_map(|one| share(one)).collect();
    let widest = widths.iter().copied().fold(0.0, f64::max);
    let mut notes = vec![format!(
        "figures of singular values are estimates from {} random vectors: _low and _high are 95 % intervals, whose width is \
         {:.1} % of the effective rank at most",
        options.probes,
        100.0 * widest
    )];
    let wide = widths.iter().filter(|width| **width > tolerance).count();
    if wide > 0 {
        notes.push(format!(
            "{wide} of {} effective ranks have intervals wider than --tolerance {tolerance} after --rounds {}: more --probes or \
             --rounds narrow them",
            widths.len(),
            options.rounds
        ));
    }
    notes
}

/// That heads share what was decomposed, where groups of query heads have one head of keys and values.
fn shared(of: Subject, heads: &Heads<'_>) -> Option<String> {
    let same = |a: &Vec<&Measured>, b: &Vec<&Measured>| {
        let (a, b) = (a.first(), b.first());
        a.zip(b)
            .is_some_and(|(a, b)| a.at.place.layer == b.at.place.layer && a.spectra.plain == b.spectra.plain)
    };
    let groups = heads.0.chunk_by(same).map(<[_]>::len).max().filter(|largest| *largest > 1)?;
    matches!(of, Subject::Keys | Subject::Values).then(|| {
        format!(
            "up to {groups} heads of a layer share one head of {0} (grouped-query attention): their rows are equal but for \
             the draws of null models",
            of.name()
        )
    })
}

/// What of an interrupted run is there; none of one that is complete.
fn interrupted(heads: &Heads<'_>, source: &dyn Source) -> Option<String> {
    let planned = source.lengths().len() * source.windows() * source.heads();
    let measured: usize = heads.0.iter().map(Vec::len).sum();
    if measured == planned {
        return None;
    }
    let windows = match heads.uneven() {
        Some(groups) => groups
            .iter()
            .map(|(windows, heads)| format!("{heads} with {windows}"))
            .collect::<Vec<_>>()
            .join(", "),
        None => format!("each with {}", heads.0.first().map_or(0, Vec::len)),
    };
    Some(format!(
        "interrupted: {} of {} heads are here, {windows} of {} windows; all figures and intervals are over these",
        heads.0.len(),
        source.lengths().len() * source.heads(),
        source.windows(),
    ))
}

/// How many heads of each length are lower or higher than their null models, and how many would be by chance alone.
fn verdicts(asked: Asked<'_>, heads: &Heads<'_>) -> Vec<String> {
    let Asked { config, source, figures, nulls } = asked;
    let mut counts = Vec::new();
    let mut largest = 0;
    for of_length in heads.0.chunk_by(|a, b| a.first().map(|one| one.at.n) == b.first().map(|one| one.at.n)) {
        let Some(n) = of_length.first().and_then(|head| head.first()).map(|one| one.at.n) else { continue };
        let found: Vec<Verdict> = of_length
            .iter()
            .map(|head| {
                let decision = decide(&differences(head, figures, nulls.len()));
                decision.map_or(Verdict::Undecided, |decision| decision.verdict)
            })
            .collect();
        let count = |wanted| found.iter().filter(|verdict| **verdict == wanted).count();
        let at = if source.lengths().len() > 1 { format!(" at n = {n}") } else { String::new() };
        counts.push(format!(
            "{} lower, {} higher, {} undecided of {} heads{at}",
            count(Verdict::Lower),
            count(Verdict::Higher),
            count(Verdict::Undecided),
            found.len(),
        ));
        largest = largest.max(found.len());
    }
    let mut notes = vec![format!(
        "{VERDICT}: {}; were all of them draws of their null model, {:.1}{} would be lower or \
         higher by chance",
        counts.join("; "),
        verdict::LEVEL * largest as f64,
        if counts.len() > 1 { " at each length" } else { "" },
    )];
    let fewest = heads.0.iter().map(Vec::len).min().unwrap_or(0);
    let most = heads.0.iter().map(Vec::len).max().unwrap_or(0);
    let draws = config.draws();
    notes.push(match (fewest, most, draws) {
        (_, 1, 1) => {
            "one window and one draw leave no interval: --windows or --null-draws above 1 decide".into()
        }
        (_, 1, draws) => {
            format!("verdicts: Student's 95 % prediction interval of one more draw of the null, from {draws} draws")
        }
        (fewest, most, _) if fewest == most => {
            format!("verdicts: Student's 95 % interval of the mean difference over {most} windows")
        }
        (fewest, most, _) => format!(
            "verdicts: Student's 95 % interval of the mean difference over {fewest} to {most} windows (of one window: \
             of one more of {draws} draws)"
        ),
    });
    notes
}
