//! Which layers of a model every compared mechanism has a form for.

use super::{LayerKind, Source};
use crate::attention::{self, Kind, Term};
use crate::error::{Error, Result};
use crate::sweep::Watch;

/// Leaves out the chosen layers that have a window, softcap, bias or sink without a form in some mechanism; returns notes
/// that say which and why.
///
/// If nothing is left this is an error; `flag` is the option that chose the layers, if there is one.
pub(in crate::study) fn restrict(
    source: &mut dyn Source,
    mechanisms: &[&Kind],
    flag: Option<&str>,
    watch: &dyn Watch,
) -> Result<Vec<String>> {
    let kinds = source.kinds();
    let mut chosen: Vec<usize> = source.places().iter().map(|place| place.layer).collect();
    chosen.dedup();
    let mut kept = Vec::new();
    let mut left_out: Vec<(String, Vec<usize>)> = Vec::new();
    for layer in chosen {
        let Some(why) = kinds.get(layer).and_then(|kind| lack(kind, mechanisms)) else {
            kept.push(layer);
            continue;
        };
        match left_out.iter_mut().find(|(other, _)| *other == why) {
            Some((_, layers)) => layers.push(layer),
            None => left_out.push((why, vec![layer])),
        }
    }
    if kept.is_empty() {
        let full = kinds.iter().any(|kind| kind.window.is_none() && lack(kind, mechanisms).is_none());
        let full = flag.filter(|_| full).map_or_else(String::new, |flag| format!("{flag} full, or "));
        let why = left_out.into_iter().map(|(why, _)| why).collect::<Vec<_>>().join("; ");
        let terms: Vec<Term> = kinds.iter().flat_map(|kind| kind.terms.iter().copied()).collect();
        let able = attention::ALL.iter().filter(|one| terms.iter().all(|term| one.terms.contains(term)));
        let able = able.map(|one| one.name).collect::<Vec<_>>().join(",");
        return Err(Error::Refused(format!("{why}; accepted: {full}--mechanism {able}")));
    }
    if left_out.is_empty() {
        return Ok(Vec::new());
    }
    source.restrict(&kept);
    let note = |(why, layers): (String, Vec<usize>)| {
        let (layer, is) = if layers.len() == 1 { ("layer", "is") } else { ("layers", "are") };
        let note = format!("{layer} {} {is} left out: {why}", runs(&layers));
        watch.say(&note);
        note
    };
    Ok(left_out.into_iter().map(note).collect())
}

/// Which mechanisms have no form for what, if some do.
fn lack(kind: &LayerKind, mechanisms: &[&Kind]) -> Option<String> {
    let mut lacking: Vec<(Vec<&str>, Vec<Term>)> = Vec::new();
    for term in &kind.terms {
        let mut names: Vec<&str> = Vec::new();
        for one in mechanisms.iter().filter(|one| !one.terms.contains(term)) {
            if !names.contains(&one.name) {
                names.push(one.name);
            }
        }
        match lacking.last_mut() {
            _ if names.is_empty() => {}
            Some((same, terms)) if *same == names => terms.push(*term),
            _ => lacking.push((names, vec![*term])),
        }
    }
    let said = lacking.iter().map(|(names, terms)| {
        let have = if names.len() == 1 { "has" } else { "have" };
        let terms: Vec<String> = terms.iter().map(|term| term.one()).collect();
        format!("{} {have} no form for {}", names.join(", "), terms.join(" and "))
    });
    (!lacking.is_empty()).then(|| said.collect::<Vec<_>>().join("; "))
}

/// Ascending numbers, three or more in a row as a range.
fn runs(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let run = |run: &[usize]| match run {
        [first, _, .., last] => format!("{first}-{last}"),
        few => few.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    runs.map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!(runs(&[0, 2, 4]), "0, 2, 4");
        assert_eq!(runs(&[0, 1, 3, 4, 5, 9]), "0, 1, 3-5, 9");
    }
}
