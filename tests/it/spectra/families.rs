//! The singular values of trained and random models' attention, as torch found them in f64, on the way that the program
//! takes them.

use luna::linalg::engine::Engine;
use luna::linalg::spectra;
use luna::report::Report;
use luna::study::input::{InputArgs, Source, Unnamed};
use luna::task::dump::Matrix;
use ndarray::Axis;
use tempfile::NamedTempFile;

use super::far;
use crate::model::golden::of_tokens;
use crate::model::{Expected, tiny};
use crate::study::{cell, number, svd_spectrum};

/// Singular values from f32 matrices, against the largest.
const VALUES: f64 = 1e-5;

/// The token ids that the expected values of a tiny model are of, as a file, and how many there are.
fn tokens(name: &str) -> (NamedTempFile, String) {
    let ids: Vec<String> = Expected::read(name).ids().iter().map(ToString::to_string).collect();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ids.join(" ")).unwrap();
    (file, ids.len().to_string())
}

/// A tiny model as the program opens it, with one window: all tokens.
fn open(name: &str) -> Box<dyn Source> {
    let (file, n) = tokens(name);
    let args = InputArgs {
        model: Some(tiny(name).display().to_string()),
        tokens: Some(file.path().into()),
        seq_len: Some(n.parse().unwrap()),
        windows: Some(1),
        ..InputArgs::default()
    };
    args.open(0, Unnamed::Model).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every head with its matrix, made by the model and made again from what the head carries.
fn check(name: &str) {
    let (source, expected) = (open(name), Expected::read(name));
    let values = expected.get("singular_values");
    let mut worst = 0.0_f64;
    for matrices in [true, false] {
        let mut heads = 0;
        let mut one = |head: luna::study::input::Head| {
            let exact = values.index_axis(Axis(0), head.layer).index_axis(Axis(0), head.head).to_owned();
            let Matrix::F32(a) = head.matrix().into_owned() else { panic!("{name}: not f32") };
            let found = spectra::of_f32(a.view(), Engine::Faer, &spectra::uninterrupted)?.plain;
            let off = far(&found, exact.as_slice().unwrap()) / exact[0];
            assert!(off <= VALUES, "{name} layer {} head {}: {off:e}", head.layer, head.head);
            worst = worst.max(off);
            heads += 1;
            Ok(())
        };
        source.visit(source.lengths()[0], 0, matrices, &|_, _| true, &mut one).unwrap();
        assert_eq!(heads, values.shape()[0] * values.shape()[1], "{name}");
    }
    println!("{name}: at most {worst:.1e} of the largest value off");
}

#[test]
fn of_a_trained_llama() {
    check("stories260k");
}

#[test]
fn of_every_family() {
    let mut checked = 0;
    for name in of_tokens() {
        check(&name);
        checked += 1;
    }
    assert!(checked >= 24, "{checked} folders");
}

fn studied(name: &str, flags: &[&str]) -> Report {
    let ((file, n), dir) = (tokens(name), tiny(name));
    let input = ["--model", dir.to_str().unwrap(), "--tokens", file.path().to_str().unwrap()];
    svd_spectrum(&[&input[..], &["--seq-len", &n, "--windows", "1", "--at", "4"], flags].concat(), 0)
}

/// Leading values of matrices that are never made, of heads with a window, a softcap, a bias, a sink.
#[test]
fn leading_values_of_every_family() {
    for name in of_tokens() {
        let report = studied(&name, &["--method", "lanczos", "--top", "6"]);
        let values = Expected::read(&name).get("singular_values").clone();
        let (_, table) = report.tables.iter().find(|(name, _)| name == "values").unwrap();
        for row in 0..table.rows.len() {
            let [layer, head, index] = ["layer", "head", "index"].map(|key| number(table, row, key) as usize);
            let exact = values.index_axis(Axis(0), layer).index_axis(Axis(0), head).to_owned();
            let (sigma, bound) = (number(table, row, "sigma"), number(table, row, "bound"));
            let off = (sigma - exact[index - 1]).abs();
            let (at, most) = (format!("{name} layer {layer} head {head} value {index}"), VALUES * exact[0]);
            assert!(off <= bound.min(1e-3 * sigma) + most, "{at}: {off:e}, bound {bound:e}");
        }
        assert!(table.rows.len() >= 6 * values.shape()[0] * values.shape()[1], "{name}");
    }
}

#[test]
fn rows_say_the_mask_and_layers_are_chosen_by_it() {
    let masks = |report: &Report| -> Vec<(f64, String)> {
        let of = |row| (number(&report.rows, row, "layer"), cell(&report.rows, row, "mask").exact());
        let mut found: Vec<_> = (0..report.rows.rows.len()).map(of).collect();
        found.dedup();
        found
    };
    let (full, sliding) = ("causal".to_string(), "causal, window 12".to_string());
    let all = studied("qwen2-sliding", &[]);
    assert_eq!(masks(&all), [(0.0, full.clone()), (1.0, sliding.clone()), (2.0, sliding.clone())]);
    assert!(all.notes.iter().any(|note| note == "2 of 3 layers slide (window 12)"), "{:?}", all.notes);
    assert!(all.views[0].1.index("mask").is_ok(), "people are told where layers differ");
    let chosen = studied("qwen2-sliding", &["--layers", "sliding"]);
    assert_eq!(masks(&chosen), [(1.0, sliding.clone()), (2.0, sliding)]);
    assert!(chosen.views[0].1.index("mask").is_err());
    let chosen = studied("qwen2-sliding", &["--layers", "full"]);
    assert_eq!(masks(&chosen), [(0.0, full)]);
    assert!(!chosen.notes.iter().any(|note| note.contains("slide")), "{:?}", chosen.notes);
    let leading = studied("qwen2-sliding", &["--method", "lanczos", "--top", "2", "--layers", "2"]);
    assert_eq!(cell(&leading.rows, 0, "mask").exact(), "causal, window 12");
}
