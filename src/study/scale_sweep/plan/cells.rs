//! The plan: cells that can be measured under these settings, and what cannot, with the reason.

use std::collections::BTreeMap;

use super::super::cell::{Cell, Form};
use super::super::options::{Pass, Unit};
use super::super::settings::Settings;
use crate::attention::{self, Attention, Kind, Mask, Under};
use crate::error::{Error, Result};
use crate::name::Spec;
use crate::network::{self, Mechanism};

/// The cells of a sweep, and what is left out.
#[derive(Debug, Default)]
pub(in super::super) struct Plan {
    /// Cells to measure, by length, then in the order typed; exact attention comes first.
    pub(in super::super) cells: Vec<Cell>,
    /// Cells that cannot run though their mechanism can at other lengths, each with the reason.
    pub(in super::super) impossible: Vec<(Cell, String)>,
    /// Mechanisms that cannot be measured at all, each with the reason.
    pub(in super::super) unusable: Vec<(String, String)>,
    /// Projected lengths that are above some n, each with the longest such n.
    pub(in super::super) above_n: BTreeMap<usize, usize>,
}

/// One mechanism with one l.
struct Candidate {
    spec: Spec,
    name: String,
    kind: &'static Kind,
    l: Option<usize>,
}

/// Why a mechanism cannot be measured (after its name: "has no ..."), and what could be.
struct Refusal {
    spec: String,
    why: String,
    instead: String,
}

impl Plan {
    /// The plan for these settings. Invalid specs are errors; mechanisms that cannot run under the settings are left out if
    /// others remain, and otherwise all named in one error.
    pub(in super::super) fn of(settings: &Settings) -> Result<Self> {
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut refusals: Vec<Refusal> = Vec::new();
        for spec in &settings.mechanisms {
            let kind = attention::find(spec)?;
            let l = typed_l(spec, kind)?;
            check(spec, kind, l, settings)?;
            match refusal(spec, kind, settings)? {
                Some(refusal) => refusals.push(refusal),
                None => candidates.extend(each_l(spec, kind, l, settings)),
            }
        }
        for (at, one) in candidates.iter().enumerate() {
            if candidates[..at].iter().any(|other| other.spec == one.spec) {
                return Err(Error::value("--mechanism", &one.spec, "each mechanism once"));
            }
        }
        let mut plan = Self::default();
        for n in &settings.seq_len {
            for Candidate { spec, name, kind, l } in &candidates {
                if let Some(l) = l.filter(|l| l > n) {
                    plan.above_n.insert(l, *n);
                    continue;
                }
                for form in forms(spec, kind, settings).iter().copied() {
                    let cell = Cell { spec: spec.clone(), name: name.clone(), kind, form, n: *n, l: *l };
                    match impossible(spec, *n) {
                        None => plan.cells.push(cell),
                        Some(why) => plan.impossible.push((cell, why)),
                    }
                }
            }
        }
        refusals.extend(without_length(&candidates, &plan, settings));
        let named = |cell: &Cell| !(settings.adds_softmax && cell.is_softmax());
        if !refusals.is_empty() && !plan.cells.iter().any(named) {
            return Err(error(&refusals));
        }
        plan.unusable = refusals.into_iter().map(|refusal| (refusal.spec, refusal.why)).collect();
        Ok(plan)
    }
}

/// One error that names every mechanism.
fn error(refusals: &[Refusal]) -> Error {
    if let [Refusal { spec, why, instead }] = refusals {
        return Error::Refused(format!("--mechanism: '{spec}' {why}; {instead}"));
    }
    let all: Vec<String> = refusals.iter().map(|one| format!("'{}' {}", one.spec, one.why)).collect();
    Error::Refused(format!("--mechanism: none of these can be measured here: {}", all.join(", ")))
}

/// The l of a spec.
fn typed_l(spec: &Spec, kind: &Kind) -> Result<Option<usize>> {
    let Some(l) = spec.typed("l") else { return Ok(None) };
    let what = format!("parameter 'l' of attention '{}'", kind.name);
    let refused = || Error::value(what, l, "a whole number, 1 or more");
    l.parse().ok().filter(|l| *l > 0).ok_or_else(refused).map(Some)
}

/// The mechanism at its own l, or at each of --l.
fn each_l(spec: &Spec, kind: &'static Kind, typed: Option<usize>, settings: &Settings) -> Vec<Candidate> {
    let name = spec.without("l");
    let each: Vec<Option<usize>> = match (kind.depends_on_l(spec), typed) {
        (true, None) => settings.l.iter().map(|l| Some(*l)).collect(),
        (_, typed) => vec![typed],
    };
    let candidate = |l: Option<usize>| {
        let mut spec = name.clone();
        spec.params.extend(l.map(|l| ("l".into(), l.to_string())));
        Candidate { spec, name: name.to_string(), kind, l }
    };
    each.into_iter().map(candidate).collect()
}

/// Refuses parameters that the mechanism does not take, and values that it cannot use.
///
/// Every parameter of every mechanism is accepted: the timed code uses those on which its work depends (Linformer's second
/// projection, Performer's eps, the weights of causal Luna); the others (how rows of P are drawn) change no figure.
fn check(spec: &Spec, kind: &Kind, l: Option<usize>, settings: &Settings) -> Result<()> {
    if settings.unit != Unit::Core {
        return if has_layer(kind) { Mechanism::build(spec).map(drop) } else { Ok(()) };
    }
    spec.params("attention", kind.takes)?;
    // A mechanism whose l is above every n is left out: nothing is drawn for it.
    if settings.seq_len.last().is_some_and(|n| l.is_none_or(|l| l <= *n)) {
        Attention::of(spec)?;
    }
    Ok(())
}

/// Why a mechanism cannot be measured under these settings.
fn refusal(spec: &Spec, kind: &Kind, settings: &Settings) -> Result<Option<Refusal>> {
    let because = |why: String, instead: String| Ok(Some(Refusal { spec: spec.to_string(), why, instead }));
    let (implementation, flag) = match settings.mask {
        Mask::Causal => ("causal implementation", "run without --causal"),
        Mask::Full => ("implementation without a causal mask", "run with --causal"),
    };
    let layer = settings.unit != Unit::Core;
    if layer && !has_layer(kind) {
        let known: Vec<&str> = network::ALL.iter().map(|layer| layer.name).collect();
        let instead = format!("--unit layer and encoder take {}", known.join(", "));
        return because("has no layer".into(), instead);
    }
    if let Under::Refused(other) = kind.under(settings.mask) {
        let other = if other.is_empty() { String::new() } else { format!(" ('{other}' has one)") };
        return because(format!("has no {implementation}{other}"), flag.into());
    }
    if layer && !Mechanism::build(spec)?.honours(settings.mask) {
        return because(format!("has no {implementation} as a layer"), flag.into());
    }
    if settings.pass == Pass::Train && !is_fused(spec, settings) {
        let has = |kind: &&&Kind| {
            attention::fused(kind.name, None).is_ok_and(|fused| fused.has_backward(settings.mask))
        };
        let known: Vec<&str> = attention::ALL.iter().filter(has).map(|kind| kind.name).collect();
        let mask = if settings.causal() { " under a causal mask" } else { "" };
        return because(
            format!("has no backward pass{mask}"),
            format!("--pass train takes {}", known.join(", ")),
        );
    }
    Ok(None)
}

fn has_layer(kind: &Kind) -> bool {
    network::ALL.iter().any(|layer| layer.name == kind.name)
}

/// The implementations in which a mechanism is measured.
fn forms(spec: &Spec, kind: &Kind, settings: &Settings) -> &'static [Form] {
    match kind.name {
        "softmax" => &[Form::Fused, Form::Materialised],
        _ if is_fused(spec, settings) => &[Form::Fused],
        _ => &[Form::Reference],
    }
}

/// Whether there is a fused implementation for the spec, the mask and the pass.
fn is_fused(spec: &Spec, settings: &Settings) -> bool {
    let fused = match settings.unit {
        Unit::Core => Attention::of(spec).ok().and_then(|attention| attention.fused()),
        // Layers take parameters of their own.
        Unit::Layer | Unit::Encoder => attention::fused(&spec.name, None).ok(),
    };
    fused.is_some_and(|fused| match settings.pass {
        Pass::Forward => fused.honours(settings.mask),
        Pass::Train => fused.has_backward(settings.mask),
    })
}

/// Why a mechanism cannot run at this length: what it draws or learns covers shorter sequences only.
fn impossible(spec: &Spec, n: usize) -> Option<String> {
    // Only a length that was named: by default, arrays are as long as they need to be.
    spec.typed("max")?;
    let max = longest(spec)?;
    (max < n).then(|| format!("covers max = {max} tokens, and n is {n}"))
}

/// The longest sequence of a mechanism or of its layer, where there is one.
fn longest(spec: &Spec) -> Option<usize> {
    match Attention::of(spec) {
        Ok(attention) => attention.longest(),
        Err(_) => spec.typed("max")?.parse().ok(),
    }
}

/// Mechanisms of which no length is left.
fn without_length(candidates: &[Candidate], plan: &Plan, settings: &Settings) -> Vec<Refusal> {
    let mut refusals: Vec<Refusal> = Vec::new();
    let longest = settings.seq_len.last().copied().unwrap_or(0);
    for Candidate { spec, name, l, .. } in candidates {
        let has = |cell: &Cell| cell.name == *name;
        if plan.cells.iter().any(has) || refusals.iter().any(|one| one.spec == *name) {
            continue;
        }
        refusals.push(match (plan.impossible.iter().find(|(cell, _)| has(cell)), l) {
            (Some((_, why)), _) => Refusal {
                spec: name.clone(),
                why: why.clone(),
                instead: "use a larger max or shorter --seq-len".into(),
            },
            (None, l) => Refusal {
                spec: spec.to_string(),
                why: format!("has an l of {}, above the longest n", l.unwrap_or(0)),
                instead: format!("use an l from 1 to {longest}"),
            },
        });
    }
    refusals
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::super::config::ScaleSweepConfig;
    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        config: ScaleSweepConfig,
        #[arg(long)]
        out: Option<String>,
    }

    fn planned(flags: &str) -> Result<Plan> {
        let flags = Flags::try_parse_from(["x"].into_iter().chain(flags.split_whitespace())).unwrap();
        Plan::of(&Settings::of(&flags.config)?)
    }

    #[test]
    fn every_parameter_of_every_mechanism_is_accepted_with_its_default() {
        for kind in attention::ALL {
            for param in kind.takes {
                let Some(default) = param.default else { continue };
                let mask = if kind.under(Mask::Full) == Under::Honoured { "" } else { "--causal" };
                let flags =
                    format!("{mask} --seq-len 512 --l 32 --mechanism {}:{}={default}", kind.name, param.name);
                let found = planned(&flags);
                let under = |mask| !matches!(kind.under(mask), Under::Refused(_));
                if under(Mask::Full) || under(Mask::Causal) {
                    assert!(found.is_ok_and(|plan| plan.unusable.is_empty()), "{flags}");
                }
            }
        }
        for typed in ["luna-causal:weight=elu", "luna-causal:weight=softplus", "performer:eps=1e-6"] {
            assert!(
                planned(&format!("--causal --mechanism {typed}")).unwrap().unusable.is_empty(),
                "{typed}"
            );
        }
        for typed in ["luna:p=segment", "luna:p=kmeans", "linformer:shared=false", "linformer:e=segment"] {
            assert!(planned(&format!("--mechanism {typed}")).unwrap().unusable.is_empty(), "{typed}");
        }
    }

    #[test]
    fn an_error_says_what_fits_its_case() {
        let refused = |flags: &str| planned(flags).unwrap_err().to_string();
        for (typed, part) in [
            ("luna:p=fitted", "accepted: a fit on windows of a model"),
            ("luna:p=segments", "accepted: random, segment, kmeans or fitted"),
            ("performer:eps=2", "accepted: 1e-15 to 1"),
            ("linformer:shared=maybe", "accepted: true or false"),
            ("luna:weight=elu", "'luna' takes no parameter 'weight'"),
        ] {
            let error = refused(&format!("--mechanism {typed}"));
            assert!(error.contains(part), "{typed}: {error}");
        }
    }

    #[test]
    fn what_cannot_run_is_left_out_where_something_else_can_and_all_of_it_is_named_otherwise() {
        let mixed = planned("--causal --mechanism luna,linear,linformer --seq-len 64 --l 16").unwrap();
        let names: Vec<&str> = mixed.unusable.iter().map(|(spec, _)| spec.as_str()).collect();
        assert_eq!(names, ["luna", "linformer"]);
        assert!(mixed.unusable[0].1.contains("'luna-causal' has one"), "{:?}", mixed.unusable);
        assert!(mixed.cells.iter().any(|cell| cell.kind.name == "linear"));
        let error = planned("--causal --mechanism luna,linformer").unwrap_err().to_string();
        for part in ["'luna' has no causal implementation", "'linformer' has no causal implementation"] {
            assert!(error.contains(part), "{error}");
        }
        // Exact attention that was named is something else; what was only added is not.
        assert!(planned("--causal --mechanism softmax,luna").is_ok());
        assert!(planned("--causal --mechanism luna").is_err());
        for flags in ["--unit layer", "--pass train"] {
            let found = planned(&format!("{flags} --mechanism nystrom,linear")).unwrap();
            assert_eq!(found.unusable.len(), 1, "{flags}");
        }
    }

    #[test]
    fn a_length_beyond_a_mechanisms_longest_is_left_out_alone() {
        for unit in ["core", "layer", "encoder"] {
            let flags = format!("--unit {unit} --mechanism softmax,linformer:max=64 --seq-len 64,128 --l 16");
            let found = planned(&flags).unwrap();
            let ns = |cells: &mut dyn Iterator<Item = &Cell>| {
                cells.filter(|cell| cell.kind.name == "linformer").map(|cell| cell.n).collect::<Vec<_>>()
            };
            assert_eq!(ns(&mut found.cells.iter()), [64], "{unit}");
            assert_eq!(ns(&mut found.impossible.iter().map(|(cell, _)| cell)), [128], "{unit}");
            assert!(found.impossible[0].1.contains("max = 64"), "{:?}", found.impossible);
            assert!(found.unusable.is_empty());
        }
        let error = planned("--mechanism linformer:max=64 --seq-len 128 --l 16").unwrap_err().to_string();
        assert!(error.contains("max = 64"), "{error}");
    }
}
