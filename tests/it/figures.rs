//! Every figure of every study shows its data, also of the smallest runs: one l, one length, one step.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use std::fs;
use std::path::Path;

use luna::linalg::engine::Engine;
use luna::report::{Figure, Plot, Report, to_svg, to_terminal};
use luna::study::train;
use luna::study::{Context, Unwatched};

use crate::approx_error::approx_error;
use crate::scale_sweep::swept;
use crate::study::svd_spectrum;

/// The smallest runs of every study with figures.
fn reports() -> Vec<(String, Report)> {
    let mut reports = Vec::new();
    let heads = "gaussian:logit_sd=1,gaussian:logit_sd=3,gaussian:logit_sd=2";
    let input = ["--synthetic", heads, "--seq-len", "24", "--windows", "1"];
    for more in [
        // As in the README: one l.
        &["--l", "8", "--attention", "luna,nystrom,linear,local"][..],
        // No mechanism that takes an l, and no l that fits.
        &["--l", "64", "--attention", "linear,softmax"],
        // One l of one mechanism and several of another.
        &["--l", "4,8", "--attention", "luna,nystrom:l=5,linear"],
        &["--l", "4,8", "--windows", "3", "--attention", "luna:p=fitted,luna:p=segment"],
    ] {
        reports.push((format!("approx-error {more:?}"), approx_error(&[&input[..], more].concat()).unwrap()));
    }
    let alone = ["--synthetic", "gaussian", "--seq-len", "24", "--windows", "1", "--l", "8"];
    reports.push(("approx-error of one head".into(), approx_error(&alone).unwrap()));
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.txt");
    fs::write(&tokens, (1..80).map(|id| id.to_string()).collect::<Vec<_>>().join(" ")).unwrap();
    for (model, attention) in [("stories260k", "luna-causal,local,linear"), ("bert", "luna,linear")] {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hf_tiny").join(model);
        for (l, windows) in [("4", "1"), ("4", "2"), ("4,8", "2")] {
            let input = ["--model", model.to_str().unwrap(), "--tokens", tokens.to_str().unwrap()];
            let size = ["--seq-len", "32", "--windows", windows, "--l", l, "--attention", attention];
            let report = approx_error(&[&input[..], &size, &["--substitute", "all"]].concat()).unwrap();
            reports.push((format!("substitution in {} at {l}", model.display()), report));
        }
    }
    for length in ["2", "24"] {
        let flags = ["--synthetic", "gaussian", "--seq-len", length, "--windows", "1"];
        reports.push((format!("svd-spectrum at {length}"), svd_spectrum(&flags, 0)));
    }
    let small =
        ["--seq-len", "48", "--l", "8", "--heads", "1", "--rounds", "3", "--attention", "softmax,luna"];
    reports.push(("scale-sweep at one length".into(), swept(&small)));
    let config = train::TrainConfig {
        task: "recall:pairs=2,vocab=9,held=16".into(),
        seq_len: Some(8),
        d: Some(16),
        num_heads: Some(2),
        steps: Some(1),
        batch: Some(4),
        mechanism: Some("softmax".into()),
        ..train::TrainConfig::default()
    };
    let outcome = train::run(&config, Context { seed: 1, engine: Engine::default(), watch: &Unwatched });
    reports.push(("train of one step".into(), outcome.unwrap().report));
    reports
}

/// The visible elements that show data: dots, areas, and lines with a length.
fn marks(svg: &str) -> usize {
    let (mut depth, mut count) = (0, 0);
    for line in svg.lines() {
        if depth > 0 || line == "<g class=\"data\">" {
            depth += usize::from(line.starts_with("<g "));
            depth -= usize::from(line == "</g>");
            count += usize::from(is_visible(line));
        }
    }
    count
}

fn is_visible(line: &str) -> bool {
    if line.starts_with("<circle") {
        return true;
    }
    if let Some(rest) = line.strip_prefix("<rect ") {
        return !rest.contains("width=\"0\"") && !rest.contains("height=\"0\"");
    }
    let Some(data) = line.strip_prefix("<path d=\"").and_then(|rest| rest.split('"').next()) else {
        return false;
    };
    let places: std::collections::BTreeSet<&str> =
        data.trim_end_matches('Z').split(['M', 'L']).skip(1).collect();
    places.len() > 1
}

/// The minimum number of marks of a figure: one for each line or dot with data.
fn shown(figure: &Figure) -> usize {
    match &figure.kind {
        Plot::Curves(curves) => {
            let can = |value: &f64, log: bool| value.is_finite() && (!log || *value > 0.0);
            let points = |at: &(&f64, &f64)| can(at.0, curves.log_x) && can(at.1, curves.log_y);
            curves.series.iter().filter(|one| one.x.iter().zip(&one.y).any(|at| points(&at))).count()
        }
        Plot::Heat(heat) => heat.values.iter().filter(|value| value.is_finite()).count(),
        Plot::Dots(dots) => dots.dots.iter().filter(|dot| dot.value > 0.0 || !dots.log).count(),
        Plot::Panels(_) => unreachable!("panels are walked one by one"),
    }
}

fn panels(figure: &Figure) -> Vec<Figure> {
    match &figure.kind {
        Plot::Panels(panels) => panels.clone(),
        _ => vec![figure.clone()],
    }
}

#[test]
fn no_figure_is_without_data_marks() {
    for (name, report) in reports() {
        assert!(!report.figures.is_empty(), "{name}");
        for figure in report.figures.iter().flat_map(panels) {
            let least = shown(&figure);
            assert!(least > 0, "{name}: figure '{}' has nothing to show", figure.name);
            let found = marks(&to_svg(&figure));
            assert!(found >= least, "{name}: figure '{}' shows {found} marks of {least}", figure.name);
            let style = luna::report::Style { width: 80, colour: false };
            let text = to_terminal(&figure, style, 12);
            let drawn = |c: char| {
                ('\u{2801}'..='\u{28ff}').contains(&c) || "●○▀▄█░▒▓■".contains(c) || c.is_ascii_digit()
            };
            assert!(text.chars().any(drawn), "{name}: {text}");
        }
    }
}

#[test]
fn one_l_has_a_dot_a_mechanism() {
    let flags = ["--synthetic", "gaussian,gaussian:logit_sd=2", "--seq-len", "24", "--l", "8"];
    let report = approx_error(&[&flags[..], &["--attention", "luna,nystrom,linear"]].concat()).unwrap();
    for panel in panels(&report.figures[0]) {
        let Plot::Dots(dots) = &panel.kind else { panic!("{:?}", panel.kind) };
        let names: Vec<&str> = dots.dots.iter().map(|dot| dot.label.as_str()).collect();
        for name in
            ["luna", "nystrom", "linear (takes no l)", "best of rank l (SVD)", "top-k (best of l keys)"]
        {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(
            dots.dots
                .iter()
                .all(|dot| dot.ends.is_some_and(|(low, high)| low <= dot.value && dot.value <= high))
        );
        assert_eq!(to_svg(&panel).matches("<circle").count(), 5);
    }
}
