//! Checks claims one after the other.

use std::path::PathBuf;

use clap::Args;

use super::ALL;
use super::evidence::Evidence;
use super::judge::Verdict;
use super::setting::Setting;
use super::statement::Claim;
use super::view;
use crate::error::{Error, Result};
use crate::name;
use crate::study::input::{InputArgs, Unnamed};
use crate::study::scale_sweep::Spawn;
use crate::study::{Context, Outcome};
use crate::sweep::RunFolder;

/// What `luna check` takes.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Claims to check (see `luna list claim`) [default: all]
    #[arg(value_name = "CLAIM")]
    pub claims: Vec<String>,
    /// Where the heads come from.
    #[command(flatten)]
    pub input: InputArgs,
    /// Finished runs that claims about training are judged by: folders of luna train or luna translate
    #[arg(long, value_name = "DIR")]
    pub runs: Vec<PathBuf>,
    /// Where the cells of what is measured are recorded.
    #[arg(skip)]
    pub folder: RunFolder,
    /// Starts this program again, for cells in a process of their own.
    #[arg(skip)]
    pub spawn: Option<Spawn>,
}

impl Config {
    /// What is read although no input was named.
    pub fn unnamed(&self) -> Option<Unnamed> {
        self.input.unnamed(Unnamed::Model)
    }

    /// The claims that are checked, each once.
    fn chosen(&self) -> Result<Vec<&'static Claim>> {
        if self.claims.is_empty() {
            return Ok(ALL.to_vec());
        }
        let mut chosen: Vec<&'static Claim> = Vec::new();
        for name in &self.claims {
            let claim = name::find("claim", name, ALL, |claim| claim.name)?;
            if !chosen.iter().any(|other| other.name == claim.name) {
                chosen.push(claim);
            }
        }
        Ok(chosen)
    }
}

/// A claim, and what was found of it.
pub(super) struct Checked {
    pub(super) claim: &'static Claim,
    pub(super) verdict: Verdict,
    /// Why there is no verdict.
    pub(super) why: Option<String>,
    pub(super) evidence: Option<Evidence>,
}

/// Checks the claims.
pub fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    let chosen = config.chosen()?;
    if let Some(lengths) = config.input.seq_len.as_ref().filter(|lengths| lengths.len() > 1) {
        let accepted = "one length: claims about growth are judged at a quarter, a half and all of it";
        return Err(Error::value("--seq-len", lengths, accepted));
    }
    let source = config.input.open(context.seed, Unnamed::Model)?;
    let n = source.lengths().last().copied().unwrap_or_default();
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
    let mut report = view::report(source.name(), n, checked);
    report.stamp.push("study", "check");
    for (key, value) in source.facts() {
        report.stamp.push(key, value);
    }
    report.notes.extend(source.notes());
    Ok(Outcome { report, complete })
}

/// Measures and judges one claim. What the input is not fit for is no verdict.
pub(super) fn check(claim: &'static Claim, setting: &Setting<'_>) -> Result<Checked> {
    setting.context.watch.check()?;
    match (claim.measure)(setting) {
        Ok(evidence) => {
            let (verdict, why) = claim.judge.verdict(&evidence.figure);
            Ok(Checked { claim, verdict, why, evidence: Some(evidence) })
        }
        Err(error @ (Error::Interrupted | Error::File { .. })) => Err(error),
        Err(error) => {
            let why = Some(error.to_string());
            Ok(Checked { claim, verdict: Verdict::Inconclusive, why, evidence: None })
        }
    }
}
