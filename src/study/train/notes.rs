//! What a reader of a comparison must know beside its figures, the most important first.

use super::cell::CellResult;
use super::data::TrainingData;
use crate::task::judge::Judge;
use crate::task::recipe::Recipe;

/// Whether something is missing, and where the networks are.
pub(super) fn on_state(saved: bool, complete: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !complete {
        let how = if saved {
            "the same command with --resume continues"
        } else {
            "without --out DIR, --resume has nothing to continue"
        };
        notes.push(format!("interrupted: {how}"));
    }
    if !saved {
        notes.push("the networks were not saved: --out DIR saves them, and lets a run be resumed".into());
    }
    notes
}

/// What the figures mean; nothing of what was not measured, in a training that was stopped.
pub(super) fn on_figures(results: &[CellResult], data: &TrainingData) -> Vec<String> {
    let measured: Vec<&CellResult> = results.iter().filter(|result| result.best.is_some()).collect();
    let [first, ..] = &measured[..] else { return Vec::new() };
    let (judge, has_test) = (data.task.judge(), data.task.has_test());
    let mut notes = Vec::new();
    if has_test {
        notes.extend(chance(&measured));
    } else {
        notes.push(
            "no test set: the validation figures also selected the checkpoint, and are slightly optimistic"
                .into(),
        );
    }
    let one_seed = measured.iter().all(|result| result.seed == first.seed);
    notes.push(
        match (one_seed, judge.by_loss()) {
            (true, true) => "one seed: no interval; --seeds 3 gives one",
            (true, false) => {
                "one seed: Wilson's interval over the answers of this network; other seeds may differ by more (--seeds 3)"
            }
            (false, true) => {
                "intervals: Student's over seeds, which differ in initial weights and batches, not in the validation set"
            }
            (false, false) => {
                "intervals: Student's over seeds, which differ in initial weights, batches and split"
            }
        }
        .into(),
    );
    if has_test && judge == (Judge::Accuracy { several_per_sequence: true }) {
        notes.push(
            "answers of one sequence are not independent: Wilson's interval over them is slightly too narrow"
                .into(),
        );
    }
    notes
}

/// The accuracy of the best constant answer; seeds may have other test sets.
fn chance(measured: &[&CellResult]) -> Option<String> {
    let shares = || measured.iter().filter_map(|result| result.constant);
    let shown = |share: f64| format!("{:.1}", 100.0 * share);
    let (low, high) = (shown(shares().reduce(f64::min)?), shown(shares().reduce(f64::max)?));
    let share = if low == high { low } else { format!("{low} to {high}") };
    Some(format!("chance: the best constant answer is right for {share} % of the test set"))
}

/// What the data are, and what step times mean.
pub(super) fn on_data_and_times(results: &[CellResult], data: &TrainingData, recipe: &Recipe) -> Vec<String> {
    let mut notes = vec![format!("data: {}", data.task.amount())];
    notes.extend(data.task.notes());
    if recipe.dropout > 0.0 && recipe.attention_dropout == 0.0 {
        notes.push("no dropout of attention weights: --attention-dropout sets its rate".into());
    }
    let timed_after = results.iter().map(|result| result.timed_after).max().unwrap_or(0);
    if timed_after > 0 {
        let last = timed_after - 1;
        notes.push(format!(
            "steps 1 to {last} ran on another machine or with other threads, and are not in the step times"
        ));
    }
    if results.iter().any(|result| result.step_seconds().is_some()) {
        notes.push(
            "step times include whatever else the machine ran; compare them within one command only".into(),
        );
    }
    notes
}
