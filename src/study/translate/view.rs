//! Translations as rows, and their scores.

use super::config::TranslateConfig;
use crate::network::translator::Translator;
use crate::report::Digits::{Fixed, Integer, Text};
use crate::report::{Cell, Column, Report, Table};
use crate::stats::{FEWEST, Interval, Verdict};
use crate::study::columns::described;
use crate::task::translation::bleu;
use crate::task::translation::scores::Scores;

/// Signatures of the scores, as sacreBLEU writes them.
const SIGNATURES: [&str; 2] = [
    "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp",
    "chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no",
];

/// The columns of the result.
pub fn columns() -> Vec<Column> {
    described(&[
        ("line", "", "number of the line", Integer),
        ("source", "", "the line", Text),
        ("translation", "", "its translation", Text),
    ])
}

/// The result: a row for every line, and the scores where there are references.
pub(super) fn report(
    config: &TranslateConfig,
    translator: &Translator,
    translated: &[(String, String)],
    scores: Option<&Scores>,
) -> Report {
    let mut rows = Table::new("Translations", columns());
    for (number, (source, line)) in (1_usize..).zip(translated) {
        rows.push(vec![number.into(), source.clone().into(), line.clone().into()]);
    }
    let mut report = Report { rows, ..Report::default() };
    report.stamp.push("study", "translate");
    report.stamp.push("run", config.run.display().to_string());
    report.stamp.push("attention", translator.config().encoder.mechanism.spec());
    report.stamp.push("decoder", translator.config().decoder_spec());
    report.stamp.push("beam", config.beam);
    report.stamp.push("length_penalty", config.length_penalty);
    if let Some(scores) = scores {
        report.views.push(("scores".into(), table(config, scores)));
        report.views.push(("translations".into(), report.rows.clone()));
        report.notes = score_lines(config, scores);
    }
    report
}

/// BLEU and chrF, a row each.
fn table(config: &TranslateConfig, scores: &Scores) -> Table {
    let fixed = Fixed(2);
    let mut columns = described(&[
        ("metric", "", "BLEU or chrF, as sacreBLEU computes them", Text),
        ("score", "%", "of the whole corpus", fixed),
        ("low", "%", "lower end of its 95 % interval, by the bootstrap over sentences", fixed),
        ("high", "%", "upper end of it", fixed),
    ]);
    if config.against.is_some() {
        columns.extend(described(&[
            ("diff", "%", "score less that of --against, the same sentences drawn for both", fixed),
            ("diff_low", "%", "lower end of its 95 % interval", fixed),
            ("diff_high", "%", "upper end of it", fixed),
            ("verdict", "", "undecided where the interval holds 0", Text),
        ]));
    }
    let mut table = Table::new(format!("Scores over {} sentences", scores.sentences), columns);
    let (intervals, differences) = (scores.intervals, scores.differences);
    let both = [
        ("BLEU", scores.bleu.score, intervals.map(|of| of.bleu), differences.map(|of| of.bleu)),
        ("chrF", scores.chrf, intervals.map(|of| of.chrf), differences.map(|of| of.chrf)),
    ];
    for (name, score, interval, difference) in both {
        let mut row: Vec<Cell> =
            vec![name.into(), score.into(), interval.map(|x| x.low).into(), interval.map(|x| x.high).into()];
        if config.against.is_some() {
            row.extend([
                difference.map(|x| x.mid).into(),
                difference.map(|x| x.low).into(),
                difference.map(|x| x.high).into(),
                difference.map(|x| Verdict::of(Some(x)).name()).into(),
            ]);
        }
        table.push(row);
    }
    table
}

/// The scores in sentences, each with its signature.
fn score_lines(config: &TranslateConfig, scores: &Scores) -> Vec<String> {
    let bleu = &scores.bleu;
    let [one, two, three, four] = bleu.precisions;
    let bleu::BleuCounts { hypothesis, reference, .. } = bleu.counts;
    let [bleu_signature, chrf_signature] = SIGNATURES;
    let mut lines = vec![
        format!(
            "{bleu_signature} = {:.2} {one:.1}/{two:.1}/{three:.1}/{four:.1} \
             (BP = {:.3} ratio = {:.3} hyp_len = {hypothesis} ref_len = {reference})",
            bleu.score,
            bleu.brevity_penalty,
            hypothesis as f64 / reference as f64,
        ),
        format!("{chrf_signature} = {:.2}", scores.chrf),
    ];
    let count = scores.sentences;
    lines.push(match scores.intervals {
        Some(of) => format!(
            "95 % by the bootstrap over {count} sentences: BLEU {:.2} to {:.2}, chrF {:.2} to {:.2}",
            of.bleu.low, of.bleu.high, of.chrf.low, of.chrf.high
        ),
        None => format!("no interval from {count} sentences; it needs {FEWEST} or more"),
    });
    if let (Some(path), Some(of)) = (&config.against, scores.differences) {
        let shown = |x: Interval| {
            let verdict = Verdict::of(Some(x)).name();
            format!("{:+.2} ({:+.2} to {:+.2}, {verdict})", x.mid, x.low, x.high)
        };
        lines.push(format!(
            "difference from '{}', paired by sentence: BLEU {}, chrF {}; one training of each: other seeds may differ by more",
            path.display(),
            shown(of.bleu),
            shown(of.chrf)
        ));
    }
    lines
}
