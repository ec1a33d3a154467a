//! Mechanisms compared: each over its seeds, at the learning rate that its validation set selects.

use super::cell::{CellResult, TrainingState};
use super::data::TrainingData;
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Cell, Column, Digits, Table};
use crate::stats::{self, Interval};
use crate::study::columns::described;
use crate::study::difference::{Compared, Competitor};
use crate::task::NetworkKind;
use crate::task::judge::{Answers, Judge};
use crate::task::recipe::Recipe;

/// What is shown of a comparison.
pub(super) struct Comparison {
    pub(super) views: Vec<(String, Table)>,
    pub(super) notes: Vec<String>,
}

/// The results of one mechanism at one learning rate, over the seeds.
struct RateGroup<'a> {
    mechanism: &'a str,
    rate: f64,
    results: Vec<&'a CellResult>,
}

fn digits(judge: Judge) -> Digits {
    Fixed(judge.decimals())
}

/// Number of seeds, mean and interval: over seeds where there are several; else, of right answers, over the answers.
fn over_seeds(judge: Judge, answers: &[&Answers]) -> [Cell; 4] {
    let scores: Vec<f64> = answers.iter().map(|answers| judge.value(answers)).collect();
    let ends = match answers {
        [answers] if !judge.by_loss() => {
            let ends = stats::wilson(answers.accuracy(), answers.count);
            Some(Interval { mid: 100.0 * ends.mid, low: 100.0 * ends.low, high: 100.0 * ends.high })
        }
        _ => stats::student_mean(&scores),
    };
    let mid = (!scores.is_empty()).then(|| stats::mean(&scores));
    [scores.len().into(), mid.into(), ends.map(|ends| ends.low).into(), ends.map(|ends| ends.high).into()]
}

/// The columns of [`over_seeds`].
fn columns(judge: Judge, set: &str) -> Vec<Column> {
    let better = if judge.by_loss() { "lower" } else { "higher" };
    let about = format!("{set} set, {}: mean over seeds; {better} is better", judge.about());
    described(&[
        ("seeds", "", "number of seeds", Integer),
        (judge.name(), judge.unit(), about.as_str(), digits(judge)),
        ("low", judge.unit(), "lower end of its 95 % interval", digits(judge)),
        ("high", judge.unit(), "upper end of it", digits(judge)),
    ])
}

impl<'a> RateGroup<'a> {
    fn validation(&self) -> Vec<&'a Answers> {
        self.results.iter().filter_map(|result| result.validation()).collect()
    }

    /// How good it is on the validation set: first by the number of seeds that did not diverge.
    fn rank(&self, judge: Judge) -> (usize, f64) {
        let ranks: Vec<f64> = self.validation().into_iter().map(|answers| judge.rank(answers)).collect();
        (ranks.len(), if ranks.is_empty() { f64::NEG_INFINITY } else { stats::mean(&ranks) })
    }

    /// Seeds that diverged, and at which step.
    fn diverged(&self) -> Vec<(u64, usize)> {
        let diverged = self.results.iter().filter_map(|result| match result.state {
            TrainingState::Diverged(step) => Some((result.seed, step)),
            _ => None,
        });
        diverged.collect()
    }
}

/// The results in groups, in the order of their first.
fn groups(results: &[CellResult]) -> Vec<RateGroup<'_>> {
    let mut groups: Vec<RateGroup<'_>> = Vec::new();
    for result in results {
        let (mechanism, rate) = (result.mechanism.as_str(), result.rate);
        match groups.iter_mut().find(|group| group.mechanism == mechanism && group.rate == rate) {
            Some(group) => group.results.push(result),
            None => groups.push(RateGroup { mechanism, rate, results: vec![result] }),
        }
    }
    groups
}

/// Of each mechanism its best group, in the order of the mechanisms.
fn best_groups<'a, 'b>(groups: &'b [RateGroup<'a>], judge: Judge) -> Vec<&'b RateGroup<'a>> {
    let mut selected: Vec<&RateGroup<'_>> = Vec::new();
    for group in groups {
        let (seeds, rank) = group.rank(judge);
        match selected.iter_mut().find(|best| best.mechanism == group.mechanism) {
            Some(best) => {
                let (max_seeds, highest) = best.rank(judge);
                if seeds > max_seeds || (seeds == max_seeds && rank > highest) {
                    *best = group;
                }
            }
            None => selected.push(group),
        }
    }
    selected
}

/// One line for each mechanism, and one for each of its learning rates where there are several.
pub(super) fn compare(
    results: &[CellResult],
    data: &TrainingData,
    recipes: &[Recipe],
    complete: bool,
) -> Comparison {
    let judge = data.task.judge();
    let groups = groups(results);
    let best = best_groups(&groups, judge);
    let mut views = vec![("compare".to_string(), mechanisms(&best, data, recipes))];
    let mut notes = Vec::new();
    if let Some((table, note)) = differences(&best, judge) {
        views.push(("differences".into(), table));
        notes.push(note);
    }
    if recipes.len() > 1 {
        views.push(("rates".into(), rates(&groups, &best, judge)));
        notes.extend(notes_on_rates(&groups, &best, judge, complete));
    } else if complete && best.len() > 1 {
        let rate = recipes[0].rate;
        notes.push(format!(
            "one learning rate for all, which may suit some better than others; --rate {:?},{rate:?},{:?} compares each at its best",
            rate / 2.0,
            rate * 2.0,
        ));
    }
    Comparison { views, notes }
}

fn mechanisms(best: &[&RateGroup<'_>], data: &TrainingData, recipes: &[Recipe]) -> Table {
    let (judge, recipe) = (data.task.judge(), &recipes[0]);
    let translates = data.kind.network == NetworkKind::EncoderDecoder;
    let tested = tested(best);
    let mut columns = vec![Column::new("attention", "", "the mechanism with its parameters", Text)];
    if translates {
        let about = "attention of the decoder; the mechanism is the encoder's";
        columns.push(Column::new("decoder", "", about, Text));
    }
    if recipes.len() > 1 {
        columns.push(Column::new("rate", "", "learning rate: the best by validation", Text));
    }
    columns.push(Column::new("parameters", "", "learned parameters", Integer));
    columns.extend(self::columns(judge, if tested { "test" } else { "validation" }));
    columns.push(Column::new("step", "ms", "median step time", Significant(3)));
    let about = "weights, gradients, optimiser moments and the largest step";
    columns.push(Column::new("memory", "MiB", about, Significant(3)));
    let sequences = recipe.batch * recipe.accumulate;
    let step = if translates {
        format!("at most {} tokens a side", sequences * recipe.n)
    } else {
        format!("{sequences} sequence{}", plural(sequences))
    };
    let title = format!(
        "{}: n {}, {} layer{} of width {}, {} step{} of {step}",
        data.title,
        recipe.n,
        recipe.layers,
        plural(recipe.layers),
        recipe.d,
        recipe.steps,
        plural(recipe.steps),
    );
    let mut table = Table::new(title, columns);
    for group in best {
        let results = &group.results;
        let compared: Vec<&Answers> = results.iter().filter_map(|result| result.compared()).collect();
        let steps: Vec<f64> = results.iter().filter_map(|result| result.step_seconds()).collect();
        let memory: Vec<f64> =
            results.iter().filter_map(|result| result.memory).map(|bytes| bytes as f64).collect();
        let median = |values: &[f64]| (!values.is_empty()).then(|| stats::median(values));
        let mut row: Vec<Cell> = vec![group.mechanism.into()];
        if translates {
            row.push(results[0].decoder.clone().into());
        }
        if recipes.len() > 1 {
            row.push((!compared.is_empty()).then(|| shown(group.rate)).into());
        }
        row.push(results[0].parameters.into());
        row.extend(over_seeds(judge, &compared));
        row.push(median(&steps).map(|step| 1e3 * step).into());
        row.push(median(&memory).map(|bytes| bytes / f64::from(1 << 20)).into());
        table.push(row);
    }
    table
}

fn tested(groups: &[&RateGroup<'_>]) -> bool {
    groups.iter().any(|group| group.results.iter().any(|result| result.test.is_some()))
}

/// How far each mechanism is from the best, seed by seed: cells of one seed share their data; none of fewer than two
/// seeds.
fn differences(best: &[&RateGroup<'_>], judge: Judge) -> Option<(Table, String)> {
    let pairs = Compared {
        name: judge.name(),
        unit: judge.unit(),
        digits: digits(judge),
        lowest: judge.by_loss(),
        pairs: "seeds",
        baseline: None,
    };
    let competitor = |group: &&RateGroup<'_>| {
        let scored = group
            .results
            .iter()
            .filter_map(|result| Some((result.seed as usize, judge.value(result.compared()?))));
        Competitor { keys: vec![group.mechanism.into()], values: scored.collect(), baseline: false }
    };
    let set: Vec<Competitor> = best.iter().map(competitor).collect();
    if set.iter().map(|one| one.values.len()).max()? < 2 {
        return None;
    }
    let keys = vec![Column::new("attention", "", "the mechanism with its parameters", Text)];
    let (table, tally) = pairs.table("Which is better, seed by seed", keys, vec![set])?;
    Some((table, tally.note(pairs)))
}

/// A learning rate as it is written elsewhere, in folders and notes.
fn shown(rate: f64) -> String {
    format!("{rate:?}")
}

/// Every learning rate of every mechanism, on the validation set.
fn rates(groups: &[RateGroup<'_>], best: &[&RateGroup<'_>], judge: Judge) -> Table {
    let mut columns = vec![
        Column::new("attention", "", "the mechanism with its parameters", Text),
        Column::new("rate", "", "learning rate after warm-up", Text),
    ];
    columns.extend(self::columns(judge, "validation"));
    let about = "seeds with NaN or infinite loss or gradients";
    columns.push(Column::new("diverged", "", about, Integer));
    columns.push(Column::new("chosen", "", "the best of this mechanism", Text));
    let mut table = Table::new("Learning rates, on the validation set", columns);
    for group in groups {
        let validation = group.validation();
        let mut row: Vec<Cell> = vec![group.mechanism.into(), shown(group.rate).into()];
        row.extend(over_seeds(judge, &validation));
        row.push(group.diverged().len().into());
        let is_best = best.iter().any(|best| std::ptr::eq(*best, group)) && !validation.is_empty();
        row.push(is_best.then_some("yes").into());
        table.push(row);
    }
    table
}

fn notes_on_rates(
    groups: &[RateGroup<'_>],
    best: &[&RateGroup<'_>],
    judge: Judge,
    complete: bool,
) -> Vec<String> {
    let selection = if complete {
        let after = if groups.iter().any(|group| !group.diverged().is_empty()) {
            " (after rates at which fewer seeds diverged)"
        } else {
            ""
        };
        let effect = if tested(best) {
            "the test set was not used"
        } else {
            "the compared figures are the ones that selected it, and slightly optimistic"
        };
        format!("each mechanism is compared at the learning rate selected by validation{after}; {effect}")
    } else {
        // In a comparison that was stopped a rate may lead because it ran first.
        "provisional: not every learning rate was trained with every seed yet, so the selection may change"
            .into()
    };
    let mut notes = vec![selection];
    let lowest = groups.iter().map(|group| group.rate).fold(f64::INFINITY, f64::min);
    let highest = groups.iter().map(|group| group.rate).fold(0.0, f64::max);
    for group in best {
        let RateGroup { mechanism, rate, .. } = group;
        if group.rank(judge).0 == 0 {
            notes.push(format!("{mechanism} diverged at every learning rate, or was not trained yet"));
        } else if complete && (*rate == highest || *rate == lowest) {
            let (end, beyond) = if *rate == highest { ("highest", "higher") } else { ("lowest", "lower") };
            notes.push(format!(
                "{mechanism} is best at {rate:?}, the {end} learning rate: a {beyond} one may be better"
            ));
        }
    }
    for group in groups {
        let seeds = group.diverged();
        if !seeds.is_empty() {
            let seeds: Vec<_> =
                seeds.into_iter().map(|(seed, step)| format!("seed {seed} at step {step}")).collect();
            notes.push(format!(
                "{} diverged at rate {:?}: {}",
                group.mechanism,
                group.rate,
                seeds.join(", ")
            ));
        }
    }
    notes
}

/// The end of a noun of which there are so many.
fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
