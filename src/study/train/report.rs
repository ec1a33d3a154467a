//! What the runs came to: rows, the table that people read, figures, notes.

use super::compare::compare;
use super::data::Data;
use super::metrics::Line;
use super::recipe::Recipe;
use super::run::Ran;
use crate::report::{Column, Curves, Digits, Figure, Kind, Report, Series, Table};
use crate::stats;
use crate::train::loss::Sums;

/// The columns, in their order: name, unit, about, digits.
const COLUMNS: &[(&str, &str, &str, Digits)] = &[
    (
        "attention",
        "",
        "the mechanism with its parameters; of an encoder-decoder, its encoder's",
        Digits::Text,
    ),
    ("decoder", "", "how the decoder of an encoder-decoder attends", Digits::Text),
    ("l", "rows", "projected length: rows of P or E, random features, width of a window", Digits::Integer),
    ("seed", "", "decides weights, batches and dropout", Digits::Integer),
    ("rate", "", "rate of learning behind the warm-up", Digits::Text),
    ("task", "", "what was learned", Digits::Text),
    ("n", "tokens", "longest sequence", Digits::Integer),
    ("d", "", "width of the network", Digits::Integer),
    ("layers", "", "layers", Digits::Integer),
    ("parameters", "", "numbers that were learned", Digits::Integer),
    ("steps", "", "steps of the optimiser that were taken", Digits::Integer),
    (
        "state",
        "",
        "trained; interrupted: --resume goes on; diverged: loss or gradients were no number any more (of several rates)",
        Digits::Text,
    ),
    ("train_loss", "nats", "mean of what was minimised over the last tenth of the steps", Digits::Fixed(4)),
    (
        "best_step",
        "",
        "the network that is judged is that of this step: the best by validation",
        Digits::Integer,
    ),
    (
        "validation_loss",
        "nats",
        "its mean -ln p of a target, on all that is held out for choosing",
        Digits::Fixed(4),
    ),
    ("validation_accuracy", "", "its share of right answers there", Digits::Fixed(4)),
    ("validation_bits_per_byte", "bits", "its loss there in bits a byte of text", Digits::Fixed(4)),
    ("test_loss", "nats", "the same on what no choice has seen", Digits::Fixed(4)),
    ("test_accuracy", "", "the share of right answers there", Digits::Fixed(4)),
    (
        "test_accuracy_low",
        "",
        "lower end of Wilson's 95 % interval over the test's answers (none for tokens of texts, which are not independent)",
        Digits::Fixed(4),
    ),
    ("test_accuracy_high", "", "upper end of it", Digits::Fixed(4)),
    (
        "constant_accuracy",
        "",
        "of the best constant answer (of recall: of a guess among the values)",
        Digits::Fixed(4),
    ),
    ("step_s", "s", "median over the steps, forward, backward and optimiser", Digits::Significant(3)),
    (
        "tokens_per_s",
        "1/s",
        "tokens of a step (of translation: of both sides) over step_s",
        Digits::Significant(3),
    ),
    (
        "memory_bytes",
        "bytes",
        "weights, gradients, means of the optimiser, and the most that a step held beyond them",
        Digits::Significant(4),
    ),
];

/// The columns of the result.
pub fn columns() -> Vec<Column> {
    COLUMNS.iter().map(|(name, unit, about, digits)| Column::new(*name, *unit, *about, *digits)).collect()
}

pub(super) fn loss(sums: &Sums) -> f64 {
    sums.nats / sums.count as f64
}

pub(super) fn accuracy(sums: &Sums) -> f64 {
    sums.correct as f64 / sums.count as f64
}

pub(super) fn seconds(run: &Ran) -> Option<f64> {
    let seconds = run.lines.iter().filter_map(|line| match line {
        // The first step warms up, and is measured for memory.
        Line::Step { step, seconds, .. } if *step > run.timed_after.max(1) => Some(*seconds),
        _ => None,
    });
    let seconds: Vec<f64> = seconds.collect();
    (!seconds.is_empty()).then(|| stats::median(&seconds))
}

fn train_loss(run: &Ran) -> Option<f64> {
    let losses: Vec<f64> = run
        .lines
        .iter()
        .filter_map(|line| match line {
            Line::Step { step, loss, .. } if step * 10 > run.steps * 9 => Some(*loss),
            _ => None,
        })
        .collect();
    (!losses.is_empty()).then(|| stats::mean(&losses))
}

/// Everything that the runs found.
pub(super) fn report(runs: &[Ran], data: &Data, recipes: &[Recipe], kept: bool, complete: bool) -> Report {
    let recipe = &recipes[0];
    let mut rows = Table::new("Trainings", columns());
    let bits_a_nat = data.bits_a_nat();
    for run in runs {
        let validation = run.best.as_ref().map(|(_, sums)| sums);
        let bits = |sums: &Sums| bits_a_nat.map(|bits| bits * loss(sums));
        // Tokens of one text are not independent answers.
        let judged = run.test.as_ref().filter(|_| !data.by_loss());
        let wilson = judged.map(|sums| stats::wilson(accuracy(sums), sums.count));
        let step = seconds(run);
        rows.push(vec![
            run.spec.to_string().into(),
            run.decoder.into(),
            run.mechanism.l().into(),
            (run.seed as i64).into(),
            run.rate.into(),
            data.title.clone().into(),
            recipe.n.into(),
            recipe.d.into(),
            recipe.layers.into(),
            run.parameters.into(),
            run.steps.into(),
            run.state.name().into(),
            train_loss(run).into(),
            run.best.as_ref().map(|(step, _)| *step).into(),
            validation.map(loss).into(),
            validation.map(accuracy).into(),
            validation.and_then(bits).into(),
            run.test.as_ref().map(loss).into(),
            run.test.as_ref().map(accuracy).into(),
            wilson.map(|ends| ends.low).into(),
            wilson.map(|ends| ends.high).into(),
            run.constant.into(),
            step.into(),
            step.map(|step| run.rows / step).filter(|speed| speed.is_finite()).into(),
            run.memory.map(|bytes| bytes as i64).into(),
        ]);
    }
    let mut report = Report { rows, ..Report::default() };
    let compared = compare(runs, data, recipes, complete);
    report.views = compared.views;
    report.figures.push(figure(runs, bits_a_nat, recipes.len() > 1));
    report.notes = notes(runs, data, recipe);
    report.notes.extend(compared.notes);
    if !complete {
        report.stamp.push("interrupted", true);
        let how = if kept {
            "the same command with --resume goes on"
        } else {
            "without --out DIR, --resume has nothing to go on with"
        };
        report.notes.push(format!("interrupted: {how}"));
    }
    if !kept {
        report.notes.push(
            "nothing was kept of these networks: --out DIR keeps them, and lets a run be resumed".into(),
        );
    }
    report.stamp.push("study", "train");
    report.stamp.push("task", data.title.clone());
    let mut told = serde_json::json!(recipe);
    if recipes.len() > 1 {
        told["rate"] = recipes.iter().map(|recipe| recipe.rate).collect();
    }
    report.stamp.push("recipe", told);
    report
}

/// Losses over the steps: of training in the mean over stretches, of validation at each look.
fn figure(runs: &[Ran], bits_a_nat: Option<f64>, rates: bool) -> Figure {
    const STRETCHES: usize = 60;
    let unit = 1.0 / bits_a_nat.unwrap_or(1.0);
    let mut series = Vec::new();
    for run in runs.iter().filter(|run| !run.lines.is_empty()) {
        let behind = run.decoder.map(|decoder| format!(", {decoder} decoder")).unwrap_or_default();
        let rate = if rates { format!(" rate {:?}", run.rate) } else { String::new() };
        let label = format!("{}{behind}{rate} seed {}", run.spec, run.seed);
        let steps: Vec<(f64, f64)> = run
            .lines
            .iter()
            .filter_map(|line| match line {
                Line::Step { step, loss, .. } => Some((*step as f64, loss / unit)),
                Line::Look { .. } => None,
            })
            .collect();
        let stretch = steps.len().div_ceil(STRETCHES).max(1);
        let means = steps.chunks(stretch).map(|chunk| {
            let of = |part: fn(&(f64, f64)) -> f64| stats::mean(&chunk.iter().map(part).collect::<Vec<_>>());
            (of(|pair| pair.0), of(|pair| pair.1))
        });
        let (x, y) = means.unzip();
        series.push(Series { label, x, y, ..Series::default() });
        let looks = run.lines.iter().filter_map(|line| match line {
            Line::Look { step, validation_loss, .. } => Some((*step as f64, validation_loss / unit)),
            Line::Step { .. } => None,
        });
        let (x, y) = looks.unzip();
        series.push(Series { x, y, dashed: true, dots: true, ..Series::default() });
    }
    let y_label = if bits_a_nat.is_some() { "loss (bits per byte)" } else { "loss (nats)" };
    Figure {
        name: "loss".into(),
        title: "Loss in training, and held out (dashed)".into(),
        kind: Kind::Curves(Curves {
            x_label: "steps".into(),
            y_label: y_label.into(),
            series,
            ..Curves::default()
        }),
    }
}

fn notes(runs: &[Ran], data: &Data, recipe: &Recipe) -> Vec<String> {
    let mut notes = data.notes();
    // What was not measured, in a training that was stopped, gets no word.
    let judged: Vec<&Ran> = runs.iter().filter(|run| run.best.is_some()).collect();
    if !judged.is_empty() {
        notes.extend(notes_on_figures(&judged, data));
    }
    if data.pairs() {
        notes.push(
            "loss is of a token of this vocabulary, learnt from what is learned from: only runs with the same vocabulary \
             compare; luna translate RUN --reference FILE gives BLEU"
                .into(),
        );
    }
    if data.loses_text() {
        notes.push(
            "no bits a byte: tokens of this tokenizer do not say the text back letter by letter; losses of other tokenizers do not \
             compare"
                .into(),
        );
    }
    if recipe.dropout > 0.0 {
        notes.push("dropout leaves attention weights alone: the fused passes have none to drop from".into());
    }
    if let Some(step) = runs.iter().map(|run| run.timed_after).max().filter(|step| *step > 0) {
        notes.push(format!(
            "steps 1 to {} ran on another machine or with other threads, and are not among the step times",
            step - 1
        ));
    }
    if runs.iter().any(|run| seconds(run).is_some()) {
        notes.push(
            "step times are of this machine beside whatever else ran on it; only runs of one command compare"
                .into(),
        );
    }
    notes
}

/// What must be known of the figures of these runs, which were all judged.
fn notes_on_figures(judged: &[&Ran], data: &Data) -> Vec<String> {
    let mut notes = Vec::new();
    if data.has_test() {
        notes.extend(chance(judged));
    } else {
        notes.push(
            "validation figures chose the step that they are given for, and flatter it by a little: there is no test part"
                .into(),
        );
    }
    match judged.iter().all(|run| run.seed == judged[0].seed) {
        true if data.by_loss() => notes.push("one seed: no interval; --seeds 3 gives one".into()),
        true => notes.push(
            "one seed: the interval is Wilson's over the answers of this one network; another seed may differ by more (--seeds 3)"
                .into(),
        ),
        false if data.by_loss() => notes.push(
            "intervals: Student's over seeds, each of which draws weights and batches anew; what is held out is the same"
                .into(),
        ),
        false => notes.push("intervals: Student's over seeds, each of which draws weights, batches and split anew".into()),
    }
    if data.answers_share_sequences() && data.has_test() {
        notes.push(
            "several answers of one sequence are not independent: Wilson's interval over them is a little too short"
                .into(),
        );
    }
    notes
}

/// What the best constant answer would come to; seeds may have other test parts.
fn chance(judged: &[&Ran]) -> Option<String> {
    let shares = || judged.iter().filter_map(|run| run.constant);
    let shown = |share: f64| format!("{:.1}", 100.0 * share);
    let (low, high) = (shown(shares().reduce(f64::min)?), shown(shares().reduce(f64::max)?));
    let share = if low == high { low } else { format!("{low} to {high}") };
    Some(format!("chance: the best constant answer has {share} % of the test part"))
}
