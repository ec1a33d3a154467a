//! Every claim on an input where it is planted to hold, and on one where it is planted not to.

use super::checked::check;
use super::config::Config;
use super::judge::Verdict;
use super::setting::Setting;
use super::statement::{Claim, On};
use super::{ALL, drawn, kernels, linformer, nested, softmax, trained};
use crate::attention::Mask;
use crate::linalg::engine::Engine;
use crate::report::{Cell, Report, Table};
use crate::rng::{Rng, normal, stream};
use crate::study::input::InputArgs;
use crate::study::{Context, Unwatched};
use crate::sweep::RunFolder;

fn config(synthetic: Option<&str>) -> Config {
    let input = InputArgs { synthetic: synthetic.map(Into::into), windows: Some(4), ..InputArgs::default() };
    Config { claims: Vec::new(), input, runs: Vec::new(), folder: RunFolder::default(), spawn: None }
}

const CONTEXT: Context<'_> = Context { seed: 0, engine: Engine::Faer, watch: &Unwatched };

/// The verdict where every command finds these rows.
fn planted(claim: &'static Claim, rows: Table) -> Verdict {
    let config = config(None);
    let mut setting = Setting::new(&config, 512, CONTEXT);
    setting.plant(Report {
        rows: rows.clone(),
        views: vec![("exponents".into(), rows)],
        ..Report::default()
    });
    let checked = check(claim, &setting).unwrap();
    assert!(checked.evidence.is_some(), "{}: {:?}", claim.name, checked.why);
    checked.verdict
}

/// The verdict on synthetic heads of 64 rows.
fn on_heads(claim: &'static Claim, synthetic: &str) -> Verdict {
    let config = config(Some(synthetic));
    let checked = check(claim, &Setting::new(&config, 64, CONTEXT)).unwrap();
    assert!(checked.evidence.is_some(), "{}: {:?}", claim.name, checked.why);
    checked.verdict
}

/// The verdict of another measurement than the claim's own.
fn measured(
    claim: &Claim,
    measure: impl Fn(&Setting<'_>) -> crate::Result<super::evidence::Evidence>,
) -> Verdict {
    let config = config(None);
    let evidence = measure(&Setting::new(&config, 64, CONTEXT)).unwrap();
    claim.judge.verdict(&evidence.figure).0
}

/// A table of these columns.
fn rows<const N: usize>(columns: [&str; N], cells: impl IntoIterator<Item = [Cell; N]>) -> Table {
    let mut table = drawn::table(&columns);
    for row in cells {
        table.push(row.into());
    }
    table
}

/// One row a window, of values about `mean`.
fn by_window(key: (&str, &[Cell]), column: &str, mean: impl Fn(usize) -> f64) -> Table {
    let mut rng = stream(3, "planted");
    let mut cells = Vec::new();
    for (at, value) in key.1.iter().enumerate() {
        for window in 0..8 {
            let noise = f64::from(normal(&mut rng, 1, 1)[[0, 0]]);
            cells.push([value.clone(), window.into(), (mean(at) * (1.0 + 0.01 * noise)).into()]);
        }
    }
    rows([key.0, "window", column], cells)
}

#[test]
fn names_are_unique_and_short_and_every_claim_says_what_it_is() {
    for (at, claim) in ALL.iter().enumerate() {
        assert!(ALL[..at].iter().all(|other| other.name != claim.name), "{}", claim.name);
        assert!(claim.name.len() <= 20, "{}: the table has 80 columns", claim.name);
        assert!(claim.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        assert!(
            [claim.about, claim.source, claim.figure].iter().all(|text| text.len() > 10),
            "{}",
            claim.name
        );
        assert!(claim.published.is_none_or(|text| text.len() <= 8), "{}", claim.name);
        assert!(claim.judge.words().len() <= 12, "{}: {}", claim.name, claim.judge.words());
    }
}

#[test]
fn claims_about_spectra_are_told_apart() {
    assert_eq!(on_heads(&linformer::SPECTRUM, "rank:r=4"), Verdict::Pass);
    assert_eq!(on_heads(&linformer::SPECTRUM, "iid:logit_sd=1"), Verdict::Fail);
    assert_ne!(on_heads(&linformer::SPECTRUM, "gaussian:logit_sd=1,d_h=16"), Verdict::Pass);
    assert_eq!(on_heads(&linformer::CONSTANT_L, "rank:r=2"), Verdict::Pass);
    assert_eq!(on_heads(&linformer::CONSTANT_L, "gaussian:logit_sd=1,d_h=16"), Verdict::Fail);
    let lengths = [128, 256, 512].map(Cell::from);
    let growth = |rank: fn(f64) -> f64| {
        by_window(("n", &lengths), "effective_rank", |at| rank(128.0 * f64::from(1 << at)))
    };
    assert_eq!(planted(&linformer::LOG_RANK, growth(|n| 300.0 * n.ln() - 1200.0 - n * 0.2)), Verdict::Pass);
    assert_eq!(planted(&linformer::LOG_RANK, growth(|n| n / 4.0)), Verdict::Fail);
    // A rank that does not grow has increments of noise, whose ratio may be anything.
    let config = config(None);
    let mut setting = Setting::new(&config, 512, CONTEXT);
    setting.plant(Report { rows: growth(|_| 40.0), ..Report::default() });
    let flat = check(&linformer::LOG_RANK, &setting).unwrap();
    assert_eq!((flat.verdict, flat.why.is_some()), (Verdict::Inconclusive, true));
}

#[test]
fn theorem_1_is_judged_by_its_columns() {
    let of = |column: &str, mean: f64| {
        let shares =
            (0..8).map(|window| [window.into(), (mean + 0.001 * f64::from(window)).into(), 250.into()]);
        rows(["window", column, "k"], shares)
    };
    assert_eq!(planted(&linformer::THEOREM_1, of("relative", 0.98)), Verdict::Pass);
    assert_eq!(planted(&linformer::THEOREM_1, of("relative", 0.5)), Verdict::Fail);
    assert_eq!(planted(&linformer::LEMMA_1, of("additive", 0.98)), Verdict::Pass);
    assert_eq!(planted(&linformer::LEMMA_1, of("additive", 0.5)), Verdict::Fail);
    // What the construction does to values that average out, as it stands.
    assert_eq!(on_heads(&linformer::THEOREM_1, "gaussian:logit_sd=1,d_h=16"), Verdict::Fail);
}

/// Times and memory of three forms, at the times of exact attention over those of a mechanism.
fn costs(mechanism: &str, speed: f64, memory: f64) -> Table {
    let row = |name: &str, form: &str, time: f64, bytes: f64| {
        let [mid, low, high] = [1.0, 0.9, 1.1].map(|share| Cell::from(time * share));
        [name.into(), form.into(), mid, low, high, 1.0.into(), bytes.into()]
    };
    let columns =
        ["mechanism", "form", "time_s", "time_low_s", "time_high_s", "speedup", "extra_memory_bytes"];
    rows(
        columns,
        [
            row("softmax", "fused", speed, memory),
            row("softmax", "n x n", speed, memory),
            row(mechanism, "fused", 1.0, 1.0),
        ],
    )
}

#[test]
fn claims_about_costs_are_told_apart() {
    for (claim, mechanism) in [(&linformer::TIME, "linformer"), (&nested::SPEED_4K, "luna")] {
        assert_eq!(planted(claim, costs(mechanism, 2.0, 1.0)), Verdict::Pass);
        assert_eq!(planted(claim, costs(mechanism, 1.1, 1.0)), Verdict::Inconclusive);
        assert_eq!(planted(claim, costs(mechanism, 0.5, 1.0)), Verdict::Fail);
    }
    for (claim, mechanism) in [(&linformer::MEMORY, "linformer"), (&nested::MEMORY_4K, "luna")] {
        assert_eq!(planted(claim, costs(mechanism, 1.0, 4.0)), Verdict::Pass);
        assert_eq!(planted(claim, costs(mechanism, 1.0, 0.5)), Verdict::Fail);
    }
    let exponents = |of: f64| {
        let columns = ["mechanism", "flops", "mem", "time", "low", "high"];
        let luna = Cell::from("luna");
        rows(columns, [[luna, of.into(), of.into(), of.into(), (of - 0.05).into(), (of + 0.05).into()]])
    };
    for claim in [&nested::FLOPS, &nested::TIME, &nested::MEMORY] {
        assert_eq!(planted(claim, exponents(1.0)), Verdict::Pass, "{}", claim.name);
        assert_eq!(planted(claim, exponents(2.0)), Verdict::Fail, "{}", claim.name);
    }
    let memory = |fused: f64| {
        let row = |form: &str, n: usize, bytes: f64| [form.into(), n.into(), bytes.into()];
        let of = [
            row("fused", 1024, 1.0),
            row("n x n", 1024, 1.0),
            row("fused", 4096, fused),
            row("n x n", 4096, 16.0),
        ];
        rows(["form", "n", "extra_memory_bytes"], of)
    };
    assert_eq!(planted(&softmax::FLASH, memory(1.0)), Verdict::Pass);
    assert_eq!(planted(&softmax::FLASH, memory(4.0)), Verdict::Fail);
}

#[test]
fn claims_about_every_input_are_told_apart() {
    let own = |claim: &'static Claim| measured(claim, claim.measure);
    for claim in [&nested::RANK, &nested::CAUSAL, &kernels::LINEAR, &kernels::EXACT, &softmax::TOP_K] {
        assert_eq!(own(claim), Verdict::Pass, "{}", claim.name);
    }
    assert_eq!(measured(&nested::RANK, |setting| nested::rank(setting, "softmax")), Verdict::Fail);
    assert_eq!(
        measured(&nested::CAUSAL, |setting| nested::causal(setting, "luna", Mask::Full)),
        Verdict::Fail
    );
    assert_eq!(measured(&kernels::LINEAR, |setting| kernels::linear(setting, "softmax")), Verdict::Fail);
    assert_eq!(measured(&kernels::EXACT, |setting| kernels::nystrom_exact(setting, 16)), Verdict::Fail);
    for other in ["top-k:l=8,renormalise=false", "sink-window:l=8,sink=2"] {
        assert_eq!(measured(&softmax::TOP_K, |setting| softmax::top_k_mass(setting, other)), Verdict::Fail);
    }
}

#[test]
fn claims_about_random_features_are_told_apart() {
    fn longer(rng: &mut Rng, l: usize, d: usize) -> ndarray::Array2<f32> {
        crate::attention::performer_features(rng, l, d) * 1.3
    }
    fn few(rng: &mut Rng, l: usize, d: usize) -> ndarray::Array2<f32> {
        let w = crate::attention::performer_features(rng, d, d);
        ndarray::Array2::from_shape_fn((l, d), |(i, j)| w[[i % d, j]])
    }
    for claim in [&kernels::UNBIASED, &kernels::VARIANCE, &kernels::NORM] {
        assert_eq!(measured(claim, claim.measure), Verdict::Pass, "{}", claim.name);
    }
    assert_eq!(measured(&kernels::UNBIASED, |setting| kernels::unbiased(setting, longer)), Verdict::Fail);
    assert_eq!(measured(&kernels::VARIANCE, |setting| kernels::variance(setting, few)), Verdict::Fail);
    assert_eq!(measured(&kernels::NORM, |setting| kernels::norm(setting, [1.5, 1.0])), Verdict::Fail);
}

#[test]
fn claims_about_errors_are_told_apart() {
    let ls = [32, 64, 128].map(Cell::from);
    let of = |means: [f64; 3]| by_window(("l", &ls), "output_rel_fro", move |at| means[at]);
    assert_eq!(planted(&kernels::LANDMARKS, of([0.5, 0.4, 0.3])), Verdict::Pass);
    assert_eq!(planted(&kernels::LANDMARKS, of([0.5, 0.4, 0.45])), Verdict::Fail);
    let names = ["sink-window:sink=0", "sink-window:sink=4"].map(Cell::from);
    let of = |means: [f64; 2]| by_window(("mechanism", &names), "nll_change", move |at| means[at]);
    assert_eq!(planted(&softmax::SINK, of([1.0, 0.2])), Verdict::Pass);
    assert_eq!(planted(&softmax::SINK, of([0.2, 1.0])), Verdict::Fail);
}

#[test]
fn runs_are_paired_by_seed() {
    let of = |luna: [f64; 4]| {
        let luna = luna.into_iter().enumerate().map(|(seed, x)| ["luna:l=16".into(), seed.into(), x.into()]);
        let softmax = [0.64, 0.62, 0.63].into_iter().enumerate();
        let softmax = softmax.map(|(seed, x)| ["softmax".into(), seed.into(), x.into()]);
        rows(["attention", "seed", "accuracy"], luna.chain(softmax))
    };
    let verdict = |rows: &Table| {
        let values = trained::differences(rows, "accuracy", "luna:l=16", "softmax").unwrap();
        assert_eq!(values.len(), 3, "a seed that one of the two lacks is no pair");
        trained::TEXT.judge.verdict(&super::judge::Figure::Sample { of: "seed", values }).0
    };
    assert_eq!(verdict(&of([0.65, 0.63, 0.641, 0.1])), Verdict::Pass);
    assert_eq!(verdict(&of([0.55, 0.53, 0.541, 0.1])), Verdict::Fail);
    assert_eq!(verdict(&of([0.65, 0.53, 0.641, 0.1])), Verdict::Inconclusive);
}

#[test]
fn a_carried_p_is_paired_with_its_own() {
    let of = |carried: [f64; 3]| {
        let row = |seed: usize, carried: bool, accuracy: f64| {
            ["listops".into(), "luna:l=16".into(), seed.into(), carried.into(), accuracy.into()]
        };
        let own = [0.35, 0.36, 0.37].into_iter().enumerate().map(|(seed, x)| row(seed, false, x));
        let carried = carried.into_iter().enumerate().map(|(seed, x)| row(seed, true, x));
        rows(["task", "attention", "seed", "p_chain", "test_accuracy"], own.chain(carried))
    };
    let verdict = |carried| {
        let values = trained::carried_less_own(&of(carried));
        trained::CARRIED.judge.verdict(&super::judge::Figure::Sample { of: "seed", values }).0
    };
    assert_eq!(verdict([0.38, 0.391, 0.40]), Verdict::Pass);
    assert_eq!(verdict([0.33, 0.341, 0.35]), Verdict::Fail);
    assert_eq!(verdict([0.33, 0.391, 0.35]), Verdict::Inconclusive);
}

#[test]
fn what_an_input_is_not_fit_for_is_said_and_no_verdict() {
    let config = config(Some("gaussian"));
    for claim in ALL.iter().filter(|claim| matches!(claim.on, On::Model | On::Runs)) {
        let checked = check(claim, &Setting::new(&config, 64, CONTEXT)).unwrap();
        assert_eq!(checked.verdict, Verdict::Inconclusive, "{}", claim.name);
        assert!(checked.why.is_some_and(|why| !why.contains('\n')), "{}", claim.name);
    }
}
