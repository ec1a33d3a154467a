//! What a reader must know beside the tables.

use super::plan::Choice;
use super::results::{Results, Trial};
use super::tables::checked;
use crate::stats;

/// The notes, the findings first.
pub(super) fn all(results: &Results<'_>) -> Vec<String> {
    let mut notes: Vec<String> =
        (0..results.limits.len()).filter_map(|budget| finding(results, budget)).collect();
    notes.extend(results.choices.iter().filter_map(|choice| limited(results, choice)));
    notes.extend(checks(results));
    notes.extend(results.choices.iter().filter_map(|choice| gap(results, choice)));
    let windows = results.measured.iter().filter(|one| one.of.judged && one.of.choice == 0).count();
    if windows > 1 {
        notes.push(format!(
            "intervals: Student's, over {windows} windows of one text, which are not independent: they are about this text, \
             and too narrow for others"
        ));
    }
    notes.push(
        "the model was trained with softmax attention: what replaces it is judged without retraining, not by what it could learn"
            .into(),
    );
    notes
}

/// How the allocation of a budget stands beside the best uniform choice.
fn finding(results: &Results<'_>, budget: usize) -> Option<String> {
    let limit = &results.limits[budget];
    if limit.cost >= limit.softmax {
        let whole = results.offers.typed(limit.softmax, limit.softmax, results.heads);
        return Some(format!("{}: nothing is saved: softmax in every head costs {whole}", limit.asked));
    }
    let all = results.of(budget);
    let [allocated, best, ..] = &all[..] else { return None };
    let (own, others) = (allocated.losses(), best.losses());
    if own.is_empty() || own.len() != others.len() {
        return None;
    }
    let unit = if results.is_language_model() { "nats a token" } else { "of relative drift" };
    let (mean, other) = (stats::mean(&own), stats::mean(&others));
    let is_a_loss = stats::student_mean(&others).is_some_and(|ends| ends.low > 0.0);
    let share = match stats::student_ratio(&own, &others).filter(|_| is_a_loss) {
        Some(ends) => format!("{:.2} of it ({:.2} to {:.2}, 95 %)", ends.mid, ends.low, ends.high),
        None if own.len() == 1 && other > 0.0 => format!("{:.2} of it", mean / other),
        None => "whose interval holds 0".into(),
    };
    let least = all[1..].iter().min_by(|a, b| mean_of(a).total_cmp(&mean_of(b)))?;
    let hindsight = if least.choice.name == best.choice.name {
        String::new()
    } else {
        format!("; on the windows judged on {} loses least: {:.4}", least.choice.name, mean_of(least))
    };
    Some(format!(
        "{}: allocated loses {mean:.4} {unit}, {} in every head, the best on the windows that were chosen on, {other:.4}: \
         {share}{hindsight}",
        results.limits[budget].asked, best.choice.name,
    ))
}

fn mean_of(one: &Trial<'_>) -> f64 {
    stats::mean(&one.losses())
}

/// Whether harms are as predicted: of heads replaced alone, and of the whole model.
fn checks(results: &Results<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let pairs: Vec<(f64, f64)> =
        checked(results).into_iter().map(|(.., predicted, measured)| (predicted, measured)).collect();
    let (predicted, measured): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    if let Some(found) = stats::spearman(&predicted, &measured) {
        notes.push(format!(
            "predicted and measured harm of {} heads replaced alone by what they were not measured with: rank correlation \
             {:.2} ({:.2} to {:.2}, 95 %)",
            pairs.len(),
            found.mid,
            found.low,
            found.high
        ));
    }
    let what = if results.is_language_model() { "kl" } else { "hidden_err^2" };
    for (budget, limit) in results.limits.iter().enumerate() {
        let all = results.of(budget);
        let Some(allocated) = all.first() else { continue };
        let found = allocated.mean(|one| Some(one.drift.harm()));
        if let (Some(predicted), Some(found)) = (allocated.choice.predicted, found) {
            notes.push(format!(
                "{}: the harms of all heads add to {predicted:.4}, and {what} of the whole model is {found:.4}",
                limit.asked
            ));
        }
    }
    notes
}

/// That an allocation with a limit was the best.
fn limited(results: &Results<'_>, choice: &Choice) -> Option<String> {
    let asked = &results.limits[choice.budget].asked;
    let part = match choice.least? {
        1 => "an equal share".into(),
        divisor => format!("1/{divisor} of an equal share"),
    };
    Some(format!(
        "{asked}: no head gets less than {part}; the allocation of the least predicted harm, in which some do, did more harm on \
         the windows that were chosen on"
    ))
}

/// How far an allocation may be from the best that the predictions allow.
fn gap(results: &Results<'_>, choice: &Choice) -> Option<String> {
    let chosen = choice.chosen.as_ref()?;
    let above = chosen.harm - chosen.bound;
    (above > 1e-9 * chosen.harm.abs()).then(|| {
        format!(
            "{}: chosen by Lagrange's multiplier; no choice within it has a predicted harm lower by more than {above:.2e}",
            results.limits[choice.budget].asked
        )
    })
}
