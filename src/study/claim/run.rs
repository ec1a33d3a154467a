//! Checks claims one after the other.

use super::ALL;
use super::checked::check;
use super::config::Config;
use super::setting::Setting;
use super::statement::Claim;
use super::view;
use crate::error::{Error, Result};
use crate::name;
use crate::study::input::Unnamed;
use crate::study::{Context, Outcome};

/// The claims that are checked, each once.
fn chosen(config: &Config) -> Result<Vec<&'static Claim>> {
    if config.claims.is_empty() {
        return Ok(ALL.to_vec());
    }
    let mut chosen: Vec<&'static Claim> = Vec::new();
    for name in &config.claims {
        let claim = name::find("claim", name, ALL, |claim| claim.name)?;
        if !chosen.iter().any(|other| other.name == claim.name) {
            chosen.push(claim);
        }
    }
    Ok(chosen)
}

/// Whether the built-in model is measured because no input was named.
pub fn reads_built_in(config: &Config) -> bool {
    let on_input = chosen(config).is_ok_and(|chosen| chosen.iter().any(|claim| claim.is_on_input()));
    on_input && config.input.unnamed(Unnamed::Model).is_some()
}

/// Checks the claims.
pub fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    let chosen = chosen(config)?;
    if let Some(lengths) = config.input.seq_len.as_ref().filter(|lengths| lengths.len() > 1) {
        let accepted = "one length: claims about growth are judged at a quarter, a half and all of it";
        return Err(Error::value("--seq-len", lengths, accepted));
    }
    let on_input = chosen.iter().any(|claim| claim.is_on_input());
    let lengths = config.input.seq_len.as_ref().map(|_| "--seq-len".to_string());
    if !on_input && let Some(word) = config.input.words().into_iter().chain(lengths).next() {
        let names: Vec<&str> = chosen.iter().map(|claim| claim.name).collect();
        let accepted = format!("none beside {}: they are not measured on an input", names.join(", "));
        return Err(Error::value("option", word, accepted));
    }
    let source = if on_input { Some(config.input.open(context.seed, Unnamed::Model)?) } else { None };
    let n = source.as_ref().and_then(|source| source.lengths().last().copied()).unwrap_or_default();
    let setting = Setting::new(config, n, context);
    let mut checked = Vec::new();
    let mut complete = true;
    for (number, claim) in chosen.iter().enumerate() {
        context.watch.say(&format!("claim {} of {}: {}", number + 1, chosen.len(), claim.name));
        match check(claim, &setting) {
            Ok(found) => checked.push(found),
            Err(Error::Interrupted) if !checked.is_empty() => {
                complete = false;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let input = source.as_ref().map(|source| (source.name(), n));
    let mut report = view::report(input, checked);
    report.stamp.push("study", "check");
    if let Some(source) = &source {
        for (key, value) in source.facts() {
            report.stamp.push(key, value);
        }
        report.notes.extend(source.notes());
    }
    Ok(Outcome { report, complete })
}
