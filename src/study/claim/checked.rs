//! A claim that was measured and judged.

use super::evidence::Evidence;
use super::judge::Verdict;
use super::setting::Setting;
use super::statement::Claim;
use crate::error::{Error, Result};

/// A claim, and what was found of it.
pub(super) struct Checked {
    pub(super) claim: &'static Claim,
    pub(super) verdict: Verdict,
    /// Why there is no verdict.
    pub(super) why: Option<String>,
    pub(super) evidence: Option<Evidence>,
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
