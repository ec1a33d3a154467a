//! The error of each mechanism in the place of softmax attention on an input, beside which its cost is read.

use super::super::cell::{Cell, Form};
use super::super::config::ErrorInput;
use super::super::options::Measure;
use super::super::record::Errors;
use super::super::settings::Settings;
use crate::attention::{Attention, Kind, Mask, Origin};
use crate::error::{Error, Result};
use crate::metric::Output;
use crate::name::List;
use crate::profile::clock::Stopwatch;
use crate::profile::ram;
use crate::study::Context;
use crate::study::input::{Head, InputArgs, Source, Unnamed, needs_softmax, restrict};

/// Untrained heads of several temperatures, where no input is named: they have any length.
const HEADS: &str = "gaussian:logit_sd=0.5,gaussian:logit_sd=1,gaussian:logit_sd=2,gaussian:logit_sd=4";
/// The share of the budget that errors may use.
const SHARE: f64 = 0.5;

/// Measures on the input, length by length, as far as its length and the budget go.
pub(in super::super) fn measure(
    input: &ErrorInput,
    cells: &[Cell],
    settings: &Settings,
    (watch, context): (Stopwatch, Context<'_>),
) -> Result<Errors> {
    let mut errors = Errors::default();
    if !settings.measures(Measure::Error) {
        return Ok(errors);
    }
    for n in &settings.seq_len {
        let default = Unnamed::Heads { specs: HEADS, n: *n };
        let mut source = match args(input, *n, settings.mask).open(context.seed, default) {
            Ok(source) => source,
            // A model has a maximum length: beyond it there are no errors.
            Err(error @ Error::Tokens { .. }) if errors.input.is_some() => {
                errors.notes.push(format!("no errors from n = {n} on: {error}"));
                break;
            }
            Err(error) => return Err(error),
        };
        check(source.as_ref(), *n, settings)?;
        let kinds: Vec<&Kind> = cells.iter().filter(|cell| cell.n == *n).map(|cell| cell.kind).collect();
        errors.notes.extend(restrict(source.as_mut(), &kinds, None, context.watch)?);
        errors.input = Some(source.name().to_string());
        let cells: Vec<&Cell> =
            cells.iter().filter(|cell| cell.n == *n && cell.form != Form::Materialised).collect();
        for window in 0..source.windows() {
            let before = errors.clone();
            let visited = source.visit(*n, window, false, &|_, _| true, &mut |head| {
                context.watch.check()?;
                if watch.seconds() > SHARE * settings.budget {
                    return Err(Error::Interrupted);
                }
                add_head(&mut errors, &head, &cells, context.seed)
            });
            match visited {
                Ok(()) => {}
                Err(Error::Interrupted) => {
                    let why =
                        if context.watch.stopped() { "interrupted" } else { "half of --budget is used up" };
                    // An incomplete window is dropped: all means are over the same windows.
                    errors = before;
                    errors.notes.push(match window {
                        0 => format!("no errors from n = {n} on: {why}"),
                        _ => format!(
                            "errors at n = {n} are over {window} of {} windows, and there are none at longer n: {why}",
                            source.windows()
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

/// Refuses heads without softmax, heads under another mask, and matrices that do not fit in memory.
fn check(source: &dyn Source, n: usize, settings: &Settings) -> Result<()> {
    needs_softmax(source)?;
    if source.mask() != settings.mask {
        let flag = if settings.causal() { "run without --causal" } else { "run with --causal" };
        let name = source.name();
        return Err(Error::Refused(format!("--model: '{name}' has a {} mask; {flag}", source.mask().name())));
    }
    let square = (n as u64).saturating_mul(n as u64).saturating_mul(4);
    ram::require(
        format!("the n x n matrix of a head at n = {n}, for --measure error"),
        square,
        "a shorter --seq-len, or --measure without error, needs less",
    )
}

/// Adds the errors of all cells on one head.
fn add_head(errors: &mut Errors, head: &Head, cells: &[&Cell], seed: u64) -> Result<()> {
    let (input, v) = head.projected()?;
    errors.width = Some(input.q.ncols());
    let origin = Origin { seed, label: &head.label, learned: None };
    let exact = Output::new(Attention::build(&"softmax".parse()?, &origin)?.matrix(&input)?.dot(v));
    for cell in cells {
        let mut spec = cell.spec.clone();
        // What is drawn for the longest sequence is drawn for this length.
        let takes_max = cell.kind.takes.iter().any(|param| param.name == "max");
        if takes_max && !spec.params.iter().any(|(key, _)| key == "max") {
            spec.params.push(("max".into(), cell.n.to_string()));
        }
        let out = Attention::build(&spec, &origin)?.forward(&input, v.view())?;
        let error = exact.compare(out.view()).rel_fro;
        let heads = errors.heads.entry(cell.n).or_default().entry(cell.spec.to_string()).or_default();
        heads.entry(head.label.clone()).or_default().push(error);
    }
    Ok(())
}

/// The options of the input at one length.
fn args(input: &ErrorInput, n: usize, mask: Mask) -> InputArgs {
    let ErrorInput { model, revision, offline, text, tokens, synthetic, windows } = input.clone();
    let causal = model.is_none() && mask == Mask::Causal;
    let seq_len = List::new([n]);
    InputArgs {
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
