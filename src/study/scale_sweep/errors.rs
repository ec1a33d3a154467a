//! How far each stand-in is from softmax attention on an input, so that its cost can be held against what it buys.

use std::collections::BTreeMap;

use super::cell::{Cell, Form};
use super::settings::Settings;
use super::{ErrorInput, Measure};
use crate::attention::{Attention, Input, Origin};
use crate::error::{Error, Result};
use crate::metric::Output;
use crate::name::List;
use crate::profile::clock::Stopwatch;
use crate::profile::ram;
use crate::rng::stream;
use crate::stats::{self, Interval};
use crate::study::Context;
use crate::study::input::{Body, Head, Unnamed, needs_softmax};

/// Untrained heads of several temperatures, where no input is named: they have any length.
const HEADS: &str = "gaussian:logit_sd=0.5,gaussian:logit_sd=1,gaussian:logit_sd=2,gaussian:logit_sd=4";
/// The part of the budget that errors may take.
const SHARE: f64 = 0.5;

/// Relative errors of outputs, by length and mechanism: one mean over windows a head.
#[derive(Clone, Debug, Default)]
pub(super) struct Errors {
    heads: BTreeMap<(usize, String), BTreeMap<String, Vec<f64>>>,
    pub(super) input: Option<String>,
    /// Width of the heads that were judged on.
    pub(super) width: Option<usize>,
    /// What was left out, and why.
    pub(super) notes: Vec<String>,
}

impl Errors {
    /// Measures on the input, length by length, as far as its length and the budget go.
    pub(super) fn measure(
        input: &ErrorInput,
        cells: &[Cell],
        settings: &Settings,
        (watch, context): (Stopwatch, Context<'_>),
    ) -> Result<Self> {
        let mut errors = Self::default();
        if !settings.measures(Measure::Error) {
            return Ok(errors);
        }
        for n in &settings.seq_len {
            let default = Unnamed::Heads { specs: HEADS, n: *n };
            let source = match input.args(*n, settings.mask).open(context.seed, default) {
                Ok(source) => source,
                // A model ends somewhere; what is longer has no error here.
                Err(error @ Error::Tokens { .. }) if errors.input.is_some() => {
                    errors.notes.push(format!("no errors from n = {n} on: {error}"));
                    break;
                }
                Err(error) => return Err(error),
            };
            needs_softmax(source.as_ref())?;
            if source.mask() != settings.mask {
                let what = if settings.causal() { "--causal" } else { "the full mask" };
                return Err(Error::value(
                    "--model",
                    source.name(),
                    format!("one whose heads are made under {what}"),
                ));
            }
            let square = (*n as u64).saturating_mul(*n as u64).saturating_mul(4);
            let instead = "a shorter --seq-len, or --measure without error, needs less";
            ram::require(
                format!("the n x n matrix of a head at n = {n}, for --measure error"),
                square,
                instead,
            )?;
            errors.input = Some(source.name().to_string());
            let cells: Vec<&Cell> =
                cells.iter().filter(|cell| cell.n == *n && cell.form != Form::Materialised).collect();
            for window in 0..source.windows() {
                let whole = errors.heads.clone();
                let visited = source.visit(*n, window, false, &|_, _| true, &mut |head| {
                    context.watch.check()?;
                    if watch.seconds() > SHARE * settings.budget {
                        return Err(Error::Interrupted);
                    }
                    errors.head(&head, &cells, context.seed)
                });
                match visited {
                    Ok(()) => {}
                    Err(Error::Interrupted) => {
                        let why =
                            if context.watch.stopped() { "interrupted" } else { "half of --budget was gone" };
                        // A window of which some heads are missing counts for none: all means are over the same windows.
                        errors.heads = whole;
                        let windows = source.windows();
                        errors.notes.push(match window {
                            0 => format!("no errors from n = {n} on: {why}"),
                            _ => format!(
                                "errors at n = {n} are over {window} of {windows} windows, and there are none at longer n: \
                                 {why}"
                            ),
                        });
                        return Ok(errors);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(errors)
    }

    fn head(&mut self, head: &Head, cells: &[&Cell], seed: u64) -> Result<()> {
        let Body::Projected { q, k, v, scale, .. } = &head.body else {
            let accepted = "heads with queries, keys and values: a model, or --synthetic gaussian:...";
            return Err(Error::value("input", &head.label, accepted));
        };
        self.width = Some(q.ncols());
        let input = Input { scale: *scale as f32, ..Input::new(q.view(), k.view(), head.mask) };
        let origin = Origin { seed, label: &head.label, learned: None };
        let exact = Attention::build(&"softmax".parse()?, &origin)?.matrix(&input)?.dot(v);
        let exact = Output::new(exact);
        for cell in cells {
            let mut spec = cell.spec.clone();
            // What is drawn for the longest sequence is drawn for this one.
            let takes_max = cell.kind.takes.iter().any(|param| param.name == "max");
            if takes_max && !spec.params.iter().any(|(key, _)| key == "max") {
                spec.params.push(("max".into(), cell.n.to_string()));
            }
            let out = Attention::build(&spec, &origin)?.forward(&input, v.view())?;
            let error = exact.compare(out.view()).rel_fro;
            let heads = self.heads.entry((cell.n, cell.spec.to_string())).or_default();
            heads.entry(head.label.clone()).or_default().push(error);
        }
        Ok(())
    }

    /// The mean over heads of a cell's mechanism, with its bootstrap interval over heads.
    pub(super) fn of(&self, cell: &Cell, seed: u64) -> Option<(f64, Option<Interval>)> {
        let heads = self.heads.get(&(cell.n, cell.spec.to_string()))?;
        let means: Vec<f64> = heads.values().map(|windows| stats::mean(windows)).collect();
        let mut rng = stream(seed, &format!("bootstrap heads {}", means.len()));
        Some((stats::mean(&means), stats::bootstrap_mean(&means, &mut rng)))
    }
}

impl ErrorInput {
    /// The options of an input at one length.
    fn args(&self, n: usize, mask: crate::attention::Mask) -> crate::study::input::InputArgs {
        let Self { model, revision, offline, text, tokens, synthetic, windows } = self.clone();
        let causal = model.is_none() && mask == crate::attention::Mask::Causal;
        let seq_len = List::new([n]);
        crate::study::input::InputArgs {
            model,
            revision,
            offline,
            text,
            tokens,
            synthetic,
            seq_len,
            windows,
            causal,
            ..Default::default()
        }
    }
}
