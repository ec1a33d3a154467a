//! Attentions beside each other: each over its seeds, at the rate that suits it best of those that were tried.

use super::data::Data;
use super::recipe::Recipe;
use super::report::{accuracy, loss, seconds};
use super::run::{Ran, State, score};
use crate::error::Error;
use crate::report::{Cell, Column, Digits, Table};
use crate::stats::{self, Interval};
use crate::study::difference::{Compared as Pairs, Competitor};
use crate::train::loss::Sums;

/// What is printed of a comparison.
pub(super) struct Compared {
    pub(super) views: Vec<(String, Table)>,
    pub(super) notes: Vec<String>,
}

/// The runs of one attention at one rate, over the seeds.
struct Group<'a> {
    attention: String,
    rate: f64,
    runs: Vec<&'a Ran>,
}

/// What a score is called, its unit, whether it is the loss, and how it is written.
#[derive(Clone, Copy)]
struct Measure {
    name: &'static str,
    unit: &'static str,
    what: &'static str,
    by_loss: bool,
    /// Of one nat, or of all answers.
    scale: f64,
    digits: Digits,
}

impl Measure {
    fn of(data: &Data) -> Self {
        let by_loss = data.by_loss();
        let digits = if by_loss { Digits::Fixed(3) } else { Digits::Fixed(1) };
        let (name, unit, what, scale) = match (data.bits_a_nat(), by_loss) {
            (Some(bits), _) => ("bits_per_byte", "bits", "loss in bits a byte", bits),
            (None, true) => ("loss", "nats", "mean -ln p of a token", 1.0),
            (None, false) => ("accuracy", "%", "right answers", 100.0),
        };
        Self { name, unit, what, by_loss, scale, digits }
    }

    fn score(self, sums: &Sums) -> f64 {
        self.scale * if self.by_loss { loss(sums) } else { accuracy(sums) }
    }

    /// The mean over seeds and its interval: over seeds where there are some; else, of right answers, over the answers.
    fn over(self, judged: &[&Sums]) -> [Cell; 4] {
        let scores: Vec<f64> = judged.iter().map(|sums| self.score(sums)).collect();
        let ends = match judged {
            [sums] if !self.by_loss => {
                let ends = stats::wilson(accuracy(sums), sums.count);
                Some(Interval { mid: 100.0 * ends.mid, low: 100.0 * ends.low, high: 100.0 * ends.high })
            }
            _ => stats::student_mean(&scores),
        };
        let mid = (!scores.is_empty()).then(|| stats::mean(&scores));
        [scores.len().into(), mid.into(), ends.map(|ends| ends.low).into(), ends.map(|ends| ends.high).into()]
    }

    /// The columns of [`Measure::over`].
    fn columns(self, part: &str) -> [Column; 4] {
        let better = if self.by_loss { "lower" } else { "higher" };
        let about = format!("{part} part, {}: mean over seeds; {better} is better", self.what);
        [
            Column::new("seeds", "", "runs", Digits::Integer),
            Column::new(self.name, self.unit, about, self.digits),
            Column::new("low", self.unit, "lower end of its 95 % interval", self.digits),
            Column::new("high", self.unit, "upper end of it", self.digits),
        ]
    }
}

impl Group<'_> {
    fn validation(&self) -> Vec<&Sums> {
        self.runs.iter().filter_map(|run| run.best.as_ref().map(|(_, sums)| sums)).collect()
    }

    /// How good it is by what is held out for choosing: over more seeds first, as one that diverged with some is worse.
    fn choice(&self, data: &Data) -> (usize, f64) {
        let scores: Vec<f64> =
            self.validation().into_iter().map(|sums| score(sums, data.by_loss())).collect();
        (scores.len(), if scores.is_empty() { f64::NEG_INFINITY } else { stats::mean(&scores) })
    }

    fn diverged(&self) -> usize {
        self.runs.iter().filter(|run| matches!(run.state, State::Diverged(_))).count()
    }
}

/// The runs in groups, in the order of their first.
fn groups(runs: &[Ran]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for run in runs {
        let attention = run.spec.to_string();
        let same = |group: &&mut Group<'_>| group.attention == attention && group.rate == run.rate;
        match groups.iter_mut().find(same) {
            Some(group) => group.runs.push(run),
            None => groups.push(Group { attention, rate: run.rate, runs: vec![run] }),
        }
    }
    groups
}

/// Of each attention its best group, in the order of the attentions.
fn chosen<'a, 'b>(groups: &'b [Group<'a>], data: &Data) -> Vec<&'b Group<'a>> {
    let mut chosen: Vec<&Group<'_>> = Vec::new();
    for group in groups {
        let (seeds, score) = group.choice(data);
        match chosen.iter_mut().find(|best| best.attention == group.attention) {
            Some(best) => {
                let (most, highest) = best.choice(data);
                if seeds > most || (seeds == most && score > highest) {
                    *best = group;
                }
            }
            None => chosen.push(group),
        }
    }
    chosen
}

/// One line for each attention, and one for each of its rates where there are several.
pub(super) fn compare(runs: &[Ran], data: &Data, recipes: &[Recipe], complete: bool) -> Compared {
    let groups = groups(runs);
    let best = chosen(&groups, data);
    let mut views = vec![("compare".to_string(), attentions(&best, data, recipes))];
    let mut notes = Vec::new();
    if let Some((table, note)) = differences(&best, data) {
        views.push(("differences".into(), table));
        notes.push(note);
    }
    if recipes.len() > 1 {
        views.push(("rates".into(), rates(&groups, &best, data)));
        notes.extend(notes_on_rates(&groups, &best, data, complete));
    } else if complete && best.len() > 1 {
        let rate = recipes[0].rate;
        notes.push(format!(
            "all learned at one rate: what suits one attention need not suit another; --rate {:?},{rate:?},{:?} takes each at the one that suits it best",
            rate / 2.0,
            rate * 2.0,
        ));
    }
    Compared { views, notes }
}

fn attentions(best: &[&Group<'_>], data: &Data, recipes: &[Recipe]) -> Table {
    let (measure, recipe) = (Measure::of(data), &recipes[0]);
    let tested = best.iter().any(|group| group.runs.iter().any(|run| run.test.is_some()));
    let mut columns = vec![Column::new("attention", "", "the mechanism with its parameters", Digits::Text)];
    if data.pairs() {
        let about = "how the decoder attends; attention is the encoder's";
        columns.push(Column::new("decoder", "", about, Digits::Text));
    }
    if recipes.len() > 1 {
        let about = "rate of learning: the best by validation of those that were tried";
        columns.push(Column::new("rate", "", about, Digits::Text));
    }
    columns.push(Column::new("parameters", "", "numbers that were learned", Digits::Integer));
    columns.extend(measure.columns(if tested { "test" } else { "validation" }));
    columns.push(Column::new("step", "ms", "median over the steps", Digits::Significant(3)));
    let about = "weights, gradients, optimiser and the largest step";
    columns.push(Column::new("memory", "MiB", about, Digits::Significant(3)));
    let sequences = recipe.batch * recipe.accumulate;
    let step = if data.pairs() {
        format!("at most {} tokens a side", sequences * recipe.n)
    } else {
        format!("{sequences} sequences")
    };
    let title = format!(
        "{}: n {}, {} layers of width {}, {} steps of {step}",
        data.title, recipe.n, recipe.layers, recipe.d, recipe.steps,
    );
    let mut table = Table::new(title, columns);
    for group in best {
        let runs = &group.runs;
        let judged: Vec<&Sums> = runs.iter().filter_map(|run| run.judged()).collect();
        let steps: Vec<f64> = runs.iter().filter_map(|run| seconds(run)).collect();
        let memory: Vec<f64> = runs.iter().filter_map(|run| run.memory).map(|bytes| bytes as f64).collect();
        let middle = |values: &[f64]| (!values.is_empty()).then(|| stats::median(values));
        let mut row: Vec<Cell> = vec![group.attention.clone().into()];
        if data.pairs() {
            row.push(runs[0].decoder.into());
        }
        if recipes.len() > 1 {
            row.push((!judged.is_empty()).then(|| shown(group.rate)).into());
        }
        row.push(runs[0].parameters.into());
        row.extend(measure.over(&judged));
        row.push(middle(&steps).map(|step| 1e3 * step).into());
        row.push(middle(&memory).map(|bytes| bytes / f64::from(1 << 20)).into());
        table.push(row);
    }
    table
}

/// How far each attention is from the best, seed by seed: runs of one seed share what they learn from and are judged on;
/// none of fewer than two seeds.
fn differences(best: &[&Group<'_>], data: &Data) -> Option<(Table, String)> {
    let measure = Measure::of(data);
    let pairs = Pairs {
        name: measure.name,
        unit: measure.unit,
        digits: measure.digits,
        lowest: measure.by_loss,
        pairs: "seeds",
        baseline: None,
    };
    let competitor = |group: &&Group<'_>| {
        let scored =
            group.runs.iter().filter_map(|run| Some((run.seed as usize, measure.score(run.judged()?))));
        Competitor { keys: vec![group.attention.clone().into()], values: scored.collect(), baseline: false }
    };
    let set: Vec<Competitor> = best.iter().map(competitor).collect();
    if set.iter().map(|one| one.values.len()).max()? < 2 {
        return None;
    }
    let keys = vec![Column::new("attention", "", "the mechanism with its parameters", Digits::Text)];
    let (table, tally) = pairs.table("Which is better, seed by seed", keys, vec![set])?;
    Some((table, tally.note(pairs)))
}

/// A rate as it is written elsewhere, in folders and notes.
fn shown(rate: f64) -> String {
    format!("{rate:?}")
}

/// Every rate of every attention, by what is held out for choosing.
fn rates(groups: &[Group<'_>], best: &[&Group<'_>], data: &Data) -> Table {
    let measure = Measure::of(data);
    let mut columns = vec![
        Column::new("attention", "", "the mechanism with its parameters", Digits::Text),
        Column::new("rate", "", "rate of learning behind the warm-up", Digits::Text),
    ];
    columns.extend(measure.columns("validation"));
    columns.push(Column::new(
        "diverged",
        "",
        "runs whose loss or gradients were no number any more",
        Digits::Integer,
    ));
    columns.push(Column::new("chosen", "", "the best of this attention", Digits::Text));
    let mut table = Table::new("Rates, by what is held out for choosing", columns);
    for group in groups {
        let judged = group.validation();
        let mut row: Vec<Cell> = vec![group.attention.clone().into(), shown(group.rate).into()];
        row.extend(measure.over(&judged));
        row.push(group.diverged().into());
        let is_best = best.iter().any(|best| std::ptr::eq(*best, group)) && !judged.is_empty();
        row.push(is_best.then_some("yes").into());
        table.push(row);
    }
    table
}

fn notes_on_rates(groups: &[Group<'_>], best: &[&Group<'_>], data: &Data, complete: bool) -> Vec<String> {
    let tested = best.iter().any(|group| group.runs.iter().any(|run| run.test.is_some()));
    let flatters = if tested {
        "the test part had no say in it"
    } else {
        "the figures compared are the ones that chose, and flatter every attention by a little"
    };
    let mut behind = "";
    if groups.iter().any(|group| group.diverged() > 0) {
        behind = " (one at which a seed diverged comes behind those at which fewer did)";
    }
    let mut notes = vec![format!(
        "each attention is compared at the rate that the validation part chose{behind}; {flatters}"
    )];
    if !complete {
        // Of a sweep that was stopped a rate may be ahead because it was run first.
        notes[0] = "not every rate was trained with every seed yet: the rates chosen, and so the comparison, are provisional".into();
    }
    let lowest = groups.iter().map(|group| group.rate).fold(f64::INFINITY, f64::min);
    let highest = groups.iter().map(|group| group.rate).fold(0.0, f64::max);
    for group in best {
        if group.choice(data).0 == 0 {
            notes.push(format!("{} was trained at none of these rates", group.attention));
            continue;
        }
        let end = match group.rate {
            _ if !complete => continue,
            rate if rate == highest => "highest",
            rate if rate == lowest => "lowest",
            _ => continue,
        };
        let beyond = if end == "highest" { "higher" } else { "lower" };
        notes.push(format!(
            "{} is best at {:?}, the {end} that was tried: a {beyond} one may suit it better",
            group.attention, group.rate
        ));
    }
    for group in groups.iter().filter(|group| group.diverged() > 0) {
        let steps = group.runs.iter().filter_map(|run| match &run.state {
            State::Diverged(Error::Diverged { step, .. }) => {
                Some(format!("seed {} at step {step}", run.seed))
            }
            _ => None,
        });
        let steps: Vec<_> = steps.collect();
        notes.push(format!("{} diverged at rate {:?}: {}", group.attention, group.rate, steps.join(", ")));
    }
    notes
}
