//! What was asked for, sorted before anything runs: cells that can be measured, cells and mechanisms that cannot, and why.

use super::cell::{Cell, Form, fits};
use super::core;
use super::settings::Settings;
use super::{Pass, Unit};
use crate::attention::{self, Attention, Kind, Mask, Origin, Under, backward, fused};
use crate::error::{Error, Result};
use crate::name::Spec;
use crate::network::{self, Mechanism};

/// Every cell that was asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Those that can be measured, by length, then in the order typed; exact attention stands first whether it was named or
    /// not.
    pub(super) cells: Vec<Cell>,
    /// Those that cannot, though their mechanism can at other lengths, each with its reason.
    pub(super) impossible: Vec<(Cell, String)>,
    /// Mechanisms that cannot be measured at all, each with its reason.
    pub(super) unusable: Vec<(String, String)>,
}

/// One mechanism with one l.
struct Line {
    spec: Spec,
    name: String,
    kind: &'static Kind,
    l: Option<usize>,
}

/// Why a mechanism cannot be measured, in few words, and as the error of those who asked for nothing else.
struct Reason {
    spec: String,
    why: String,
    error: Error,
}

impl Asked {
    /// What a configuration asks for. What is typed wrongly is an error at once; what cannot run under these settings is
    /// left out where something else was asked for that can, and otherwise named in one error, all of it.
    pub(super) fn of(settings: &Settings) -> Result<Self> {
        let mut lines: Vec<Line> = Vec::new();
        let mut reasons: Vec<Reason> = Vec::new();
        for spec in &settings.attention {
            let kind = attention::find(spec)?;
            match of_spec(spec, kind, settings)? {
                Ok(found) => lines.extend(found),
                Err(reason) => reasons.push(reason),
            }
        }
        for (at, line) in lines.iter().enumerate() {
            if lines[..at].iter().any(|other| other.spec == line.spec) {
                return Err(Error::value("--attention", &line.spec, "each mechanism once"));
            }
        }
        let mut asked = Self::default();
        for n in &settings.seq_len {
            for line in lines.iter().filter(|line| fits(line.l, *n)) {
                for form in forms(line, settings).iter().copied() {
                    let Line { spec, name, kind, l } = line;
                    let cell = Cell { spec: spec.clone(), name: name.clone(), kind, form, n: *n, l: *l };
                    match impossible(&line.spec, *n) {
                        None => asked.cells.push(cell),
                        Some(why) => asked.impossible.push((cell, why)),
                    }
                }
            }
        }
        reasons.extend(lost(&lines, &asked, settings));
        let added = |line: &Line| settings.adds_softmax && line.kind.name == "softmax";
        let wanted = lines.iter().filter(|line| !added(line));
        let remains = |line: &Line| asked.cells.iter().any(|cell| cell.spec == line.spec);
        if reasons.is_empty() || wanted.into_iter().any(remains) {
            asked.unusable = reasons.into_iter().map(|reason| (reason.spec, reason.why)).collect();
            return Ok(asked);
        }
        Err(all_of(reasons))
    }
}

/// One error for all.
fn all_of(mut reasons: Vec<Reason>) -> Error {
    match (reasons.pop(), reasons.is_empty()) {
        (Some(reason), true) => reason.error,
        (last, _) => {
            reasons.extend(last);
            let names: Vec<&str> = reasons.iter().map(|reason| &*reason.spec).collect();
            let whys: Vec<String> =
                reasons.iter().map(|reason| format!("{}: {}", reason.spec, reason.why)).collect();
            let accepted = format!("one mechanism at least that can be measured here ({})", whys.join("; "));
            Error::value("--attention", names.join(", "), accepted)
        }
    }
}

/// The lines of a spec, one for each l, or why there are none; an error where it is typed wrongly.
fn of_spec(
    spec: &Spec,
    kind: &'static Kind,
    settings: &Settings,
) -> Result<std::result::Result<Vec<Line>, Reason>> {
    let because = |why: String, accepted: String| Reason {
        spec: spec.to_string(),
        why,
        error: Error::value("--attention", spec, accepted),
    };
    let typed = match spec.params.iter().find(|(key, _)| key == "l") {
        Some((_, l)) => {
            let what = format!("parameter 'l' of attention '{}'", kind.name);
            let refused = || Error::value(what, l, "a whole number, 1 or more");
            Some(l.parse().ok().filter(|l| *l > 0).ok_or_else(refused)?)
        }
        None => None,
    };
    if settings.unit == Unit::Core {
        check(spec, kind, typed, settings)?;
    } else if network::ALL.iter().any(|layer| layer.name == kind.name) {
        Mechanism::build(spec)?;
    } else {
        let known: Vec<&str> = network::ALL.iter().map(|layer| layer.name).collect();
        let known = known.join(", ");
        return Ok(Err(because("no layer has it".into(), format!("for layers: {known}"))));
    }
    if let Some((why, accepted)) = masked(spec, kind, settings)? {
        return Ok(Err(because(why, accepted)));
    }
    if settings.pass == Pass::Train && !is_fast(spec, kind, settings) {
        let forms = backward::ALL.iter().filter(|form| form.honours(settings.mask));
        let known: Vec<&str> = forms.map(|form| form.name).collect();
        let under = if settings.causal() { "under a causal mask" } else { "here" };
        let why = format!("no backward pass {under}");
        return Ok(Err(because(why, format!("for --pass train: {}", known.join(", ")))));
    }
    let mut name = spec.clone();
    name.params.retain(|(key, _)| key != "l");
    let each: Vec<Option<usize>> = match (kind.depends_on_l(spec), typed) {
        (true, None) => settings.l.iter().map(|l| Some(*l)).collect(),
        (_, typed) => vec![typed],
    };
    let line = |l: Option<usize>| {
        let mut full = name.clone();
        full.params.extend(l.map(|l| ("l".into(), l.to_string())));
        Line { spec: full, name: name.to_string(), kind, l }
    };
    Ok(Ok(each.into_iter().map(line).collect()))
}

/// Refuses parameters that the mechanism does not take, and values that it cannot work with.
///
/// Every parameter of every mechanism is accepted: what it decides is computed by the timed code where that depends on it
/// (Linformer's second projection, Performer's eps, the weights of causal Luna), and where it does not (how rows of P are
/// drawn) the figures hold all the same.
fn check(spec: &Spec, kind: &Kind, l: Option<usize>, settings: &Settings) -> Result<()> {
    spec.params("attention", kind.takes)?;
    // What is longer than every sequence is left out, and not drawn to be looked at.
    if settings.seq_len.last().is_some_and(|n| fits(l, *n)) {
        Attention::build(&core::priced(spec), &Origin { seed: 0, label: "check", learned: None })?;
    }
    Ok(())
}

/// Why a mechanism cannot stand under the mask, and what is accepted in its place.
fn masked(spec: &Spec, kind: &Kind, settings: &Settings) -> Result<Option<(String, String)>> {
    let (form, flag) = match settings.mask {
        Mask::Causal => ("causal form", "no --causal"),
        Mask::Full => ("form that sees all keys", "--causal"),
    };
    if let Under::Refused(instead) = kind.under(settings.mask) {
        let hint = if instead.is_empty() { String::new() } else { format!(" ('{instead}' does)") };
        let why = if instead.is_empty() { String::new() } else { format!(" ('{instead}' has one)") };
        let accepted = match settings.mask {
            Mask::Causal => format!("mechanisms that have a causal form{hint}, or {flag}"),
            Mask::Full => format!("mechanisms that see all keys{hint}, or {flag}"),
        };
        return Ok(Some((format!("no {form}{why}"), accepted)));
    }
    if settings.unit != Unit::Core && !Mechanism::build(spec)?.honours(settings.mask) {
        return Ok(Some((
            format!("its layer has no {form}"),
            format!("layers that have a {form}, or {flag}"),
        )));
    }
    Ok(None)
}

/// The forms that a line is measured in.
fn forms(line: &Line, settings: &Settings) -> &'static [Form] {
    match line.kind.name {
        "softmax" => &[Form::Fused, Form::Materialised],
        _ if is_fast(&line.spec, line.kind, settings) => &[Form::Fused],
        _ => &[Form::Reference],
    }
}

/// Whether there is a fast form for the spec, the mask and the pass.
fn is_fast(spec: &Spec, kind: &Kind, settings: &Settings) -> bool {
    // E that pools segments, or that is found by a decomposition, is not the product that the fused form has.
    let other = kind.name == "linformer" && !has_matrix(spec);
    !other
        && match settings.pass {
            Pass::Forward => fused::find(kind.name).is_some_and(|form| form.honours(settings.mask)),
            Pass::Train => backward::find(kind.name).is_some_and(|form| form.honours(settings.mask)),
        }
}

/// Whether Linformer's E is a matrix that is drawn or learned.
fn has_matrix(spec: &Spec) -> bool {
    spec.params.iter().all(|(key, value)| key != "e" || (value != "segment" && value != "svd"))
}

/// Why a mechanism cannot run at this length: what it learns or draws for the longest sequence is shorter.
fn impossible(spec: &Spec, n: usize) -> Option<String> {
    let max: usize = spec.params.iter().find(|(key, _)| key == "max")?.1.parse().ok()?;
    (max < n && has_matrix(spec)).then(|| format!("its longest sequence is max = {max}, and n is {n}"))
}

/// Mechanisms of which no length is left.
fn lost(lines: &[Line], asked: &Asked, settings: &Settings) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    let longest = settings.seq_len.last().copied().unwrap_or(0);
    for line in lines {
        let has = |cell: &Cell| cell.name == line.name;
        let known =
            reasons.iter().any(|reason| reason.spec == line.name || reason.spec == line.spec.to_string());
        if known || asked.cells.iter().any(has) {
            continue;
        }
        let (what, l) = (format!("l of attention '{}'", line.spec), line.l.unwrap_or(0));
        reasons.push(match asked.impossible.iter().find(|(cell, _)| has(cell)) {
            Some((_, why)) => Reason {
                spec: line.name.clone(),
                why: why.clone(),
                error: Error::value("--attention", &line.spec, format!("a longer sequence ({why})")),
            },
            None => Reason {
                spec: line.spec.to_string(),
                why: format!("l = {l} is above the longest n, {longest}"),
                error: Error::value(what, l, format!("1 to {longest}, the longest n")),
            },
        });
    }
    reasons
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Config;
    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        config: Config,
        #[arg(long)]
        out: Option<String>,
    }

    fn asked(flags: &str) -> Result<Asked> {
        let flags = Flags::try_parse_from(["x"].into_iter().chain(flags.split_whitespace())).unwrap();
        Asked::of(&Settings::of(&flags.config)?)
    }

    #[test]
    fn every_parameter_of_every_mechanism_is_accepted_with_its_default() {
        for kind in attention::ALL {
            for param in kind.takes {
                let Some(default) = param.default else { continue };
                let mask = if kind.under(Mask::Full) == Under::Honoured { "" } else { "--causal" };
                let flags =
                    format!("{mask} --seq-len 512 --l 32 --attention {}:{}={default}", kind.name, param.name);
                let found = asked(&flags);
                let under = |mask| !matches!(kind.under(mask), Under::Refused(_));
                if under(Mask::Full) || under(Mask::Causal) {
                    assert!(found.is_ok_and(|asked| asked.unusable.is_empty()), "{flags}");
                }
            }
        }
        for typed in ["luna-causal:weight=elu", "luna-causal:weight=softplus", "performer:eps=1e-6"] {
            assert!(asked(&format!("--causal --attention {typed}")).unwrap().unusable.is_empty(), "{typed}");
        }
        for typed in ["luna:p=segment", "luna:p=kmeans", "linformer:shared=false", "linformer:e=segment"] {
            assert!(asked(&format!("--attention {typed}")).unwrap().unusable.is_empty(), "{typed}");
        }
    }

    #[test]
    fn an_error_says_what_fits_its_case() {
        let refused = |flags: &str| asked(flags).unwrap_err().to_string();
        for (typed, part) in [
            ("luna:p=fitted", "accepted: a fit on windows of a model"),
            ("luna:p=segments", "accepted: random, segment, kmeans or fitted"),
            ("performer:eps=2", "accepted: 1e-15 to 1"),
            ("linformer:shared=maybe", "accepted: true or false"),
            ("luna:weight=elu", "'luna' takes no parameter 'weight'"),
        ] {
            let error = refused(&format!("--attention {typed}"));
            assert!(error.contains(part), "{typed}: {error}");
        }
    }

    #[test]
    fn what_cannot_run_is_left_out_where_something_else_can_and_all_of_it_is_named_otherwise() {
        let mixed = asked("--causal --attention luna,linear,linformer --seq-len 64 --l 16").unwrap();
        let names: Vec<&str> = mixed.unusable.iter().map(|(spec, _)| spec.as_str()).collect();
        assert_eq!(names, ["luna", "linformer"]);
        assert!(mixed.unusable[0].1.contains("'luna-causal' has one"), "{:?}", mixed.unusable);
        assert!(mixed.cells.iter().any(|cell| cell.kind.name == "linear"));
        let error = asked("--causal --attention luna,linformer").unwrap_err().to_string();
        for part in ["'luna, linformer' is not accepted", "luna: no causal form", "linformer: no causal form"]
        {
            assert!(error.contains(part), "{error}");
        }
        // Exact attention that was named is something else; what was only added is not.
        assert!(asked("--causal --attention softmax,luna").is_ok());
        assert!(asked("--causal --attention luna").is_err());
        for flags in ["--unit layer", "--pass train"] {
            let found = asked(&format!("{flags} --attention nystrom,linear")).unwrap();
            assert_eq!(found.unusable.len(), 1, "{flags}");
        }
    }

    #[test]
    fn a_length_beyond_a_mechanisms_longest_is_left_out_alone() {
        for unit in ["core", "layer", "encoder"] {
            let flags = format!("--unit {unit} --attention softmax,linformer:max=64 --seq-len 64,128 --l 16");
            let found = asked(&flags).unwrap();
            let ns = |cells: &mut dyn Iterator<Item = &Cell>| {
                cells.filter(|cell| cell.kind.name == "linformer").map(|cell| cell.n).collect::<Vec<_>>()
            };
            assert_eq!(ns(&mut found.cells.iter()), [64], "{unit}");
            assert_eq!(ns(&mut found.impossible.iter().map(|(cell, _)| cell)), [128], "{unit}");
            assert!(found.impossible[0].1.contains("max = 64"), "{:?}", found.impossible);
            assert!(found.unusable.is_empty());
        }
        let error = asked("--attention linformer:max=64 --seq-len 128 --l 16").unwrap_err().to_string();
        assert!(error.contains("max = 64"), "{error}");
    }
}
