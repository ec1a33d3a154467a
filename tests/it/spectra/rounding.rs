//! A rank of what is rounding is not reported: matrices that are nearly their mean row, beside the same in f64.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use luna::linalg::engine::Engine;
use luna::linalg::rounding::Rounding;
use luna::linalg::spectra;
use luna::metric::{self, Of, Spectrum};
use luna::report::Cell;
use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use super::random;
use crate::model::tiny;
use crate::study::{cell, number, svd_spectrum};

fn figure(name: &str, sigma: &[f64], shape: (usize, usize), rounding: Rounding) -> Option<f64> {
    let spectrum = Spectrum::rounded(sigma, shape, rounding);
    match metric::ALL.iter().find(|metric| metric.name == name).unwrap().of {
        Of::Spectrum(value) => value(&spectrum),
        Of::SpectrumAt(value) => value(&spectrum, 4),
        _ => panic!("{name} is not of a spectrum"),
    }
}

/// Asserts that what is left of every head without its mean row has no rank, and that a note says so.
fn has_no_centred_rank(flags: &[&str], heads: usize) {
    let report = svd_spectrum(flags, 0);
    assert_eq!(report.rows.rows.len(), heads);
    for row in 0..heads {
        for name in
            ["effective_rank", "cum_l1_at_4", "cum_energy_at_4", "stable_rank", "rank90_l1", "rank90_energy"]
        {
            let column = format!("centred_{name}");
            assert_eq!(*cell(&report.rows, row, &column), Cell::Missing, "{column} of row {row}");
        }
        assert_eq!(number(&report.rows, row, "centred_numerical_rank"), 0.0, "row {row}");
        assert_eq!(number(&report.rows, row, "numerical_rank"), 1.0, "row {row}");
        assert!((number(&report.rows, row, "effective_rank") - 1.0).abs() < 1e-6, "row {row}");
    }
    let said = format!("in {heads} of {heads} matrices");
    assert!(
        report.notes.iter().any(|note| note.starts_with(&said) && note.contains("no rank")),
        "{:?}",
        report.notes
    );
}

#[test]
fn uniform_matrices_have_no_centred_rank() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let flags = ["--attention", path.to_str().unwrap(), "--at", "4"];
    for n in [64, 60, 37] {
        let a = Array2::from_elem((n, n), 1.0 / n as f64);
        a.mapv(|x| x as f32).write_npy(fs::File::create(&path).unwrap()).unwrap();
        has_no_centred_rank(&flags, 1);
        a.write_npy(fs::File::create(&path).unwrap()).unwrap();
        has_no_centred_rank(&flags, 1);
    }
}

/// A copy of a tiny model whose queries are their bias, so that every row of every head is the same.
fn without_queries(name: &str, folder: &Path) -> PathBuf {
    let bytes = fs::read(tiny(name).join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let kept: BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, view)| {
            let data =
                if name.contains("query.weight") { vec![0; view.data().len()] } else { view.data().to_vec() };
            (name.to_string(), (view.dtype(), view.shape().to_vec(), data))
        })
        .collect();
    assert!(kept.keys().any(|name| name.contains("query.weight")));
    let views = kept
        .iter()
        .map(|(name, (dtype, shape, data))| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    fs::copy(tiny(name).join("config.json"), folder.join("config.json")).unwrap();
    folder.to_path_buf()
}

#[test]
fn heads_whose_rows_are_all_equal_have_no_centred_rank() {
    let folder = tempfile::tempdir().unwrap();
    let model = without_queries("bert", folder.path());
    let tokens = folder.path().join("ids");
    let ids: Vec<String> = (1..=20).map(|id: usize| id.to_string()).collect();
    fs::write(&tokens, ids.join(" ")).unwrap();
    for n in ["16", "20"] {
        let input =
            ["--model", model.to_str().unwrap(), "--tokens", tokens.to_str().unwrap(), "--seq-len", n];
        has_no_centred_rank(&[&input[..], &["--windows", "1", "--null", "none", "--at", "4"]].concat(), 8);
    }
}

/// Uniform attention plus `size` times a centred matrix of unit norm whose values fall by a tenth each.
fn planted(n: usize, size: f64) -> Array2<f64> {
    let (u, _, _) = luna::linalg::engine::thin_svd(spectra::centred(random(1, n, 9).view()).view()).unwrap();
    let (v, _, _) = luna::linalg::engine::thin_svd(random(2, n, 9).view()).unwrap();
    let values = ndarray::Array1::from_shape_fn(9, |i| 0.9_f64.powi(i as i32));
    (u * &values).dot(&v.t()) * size + 1.0 / n as f64
}

/// At every size the rank that is there, to within what is said of it, or none.
#[test]
fn planted_ranks_fade_into_none() {
    let n = 96;
    let truth = {
        let sigma: Vec<f64> = (0..9).map(|i| 0.9_f64.powi(i)).collect();
        figure("effective_rank", &sigma, (9, 9), Rounding::default()).unwrap()
    };
    let (mut found, mut none, mut near) = (0, 0, 0);
    for exponent in 4..60 {
        let a = planted(n, 10.0_f64.powf(-0.25 * f64::from(exponent)));
        let rounded = a.mapv(|x| x as f32);
        let short = rounded.mapv(|x| f32::from_bits((x.to_bits() + 0x7fff) & 0xffff_0000));
        for (kind, spectra) in [
            ("f64", spectra::of_f64(a.view(), Engine::Faer, &spectra::uninterrupted).unwrap()),
            ("f32", spectra::of_f32(rounded.view(), Engine::Faer, &spectra::uninterrupted).unwrap()),
            (
                "f32 made again",
                spectra::of_f32_or(rounded.view(), Engine::Faer, || Some(a.clone()), &spectra::uninterrupted)
                    .unwrap(),
            ),
            ("bf16", spectra::of_f32(short.view(), Engine::Faer, &spectra::uninterrupted).unwrap()),
        ] {
            let spectrum = Spectrum::rounded(&spectra.centred, (n, n), spectra.rounding);
            let Some(rank) = figure("effective_rank", &spectra.centred, (n, n), spectra.rounding) else {
                none += 1;
                continue;
            };
            let share = spectrum.rounding_share().unwrap();
            let entropy = -share * share.ln() - (1.0 - share) * (1.0 - share).ln();
            let off = (rank / truth).ln().abs();
            assert!(
                off <= share * (n as f64).ln() + entropy + 1e-7,
                "{kind}, 10^-{exponent}/4: {rank} for {truth}"
            );
            let counted = figure("numerical_rank", &spectra.centred, (n, n), spectra.rounding).unwrap();
            assert!((1.0..=9.0).contains(&counted), "{kind}, 10^-{exponent}/4: {counted} values");
            found += usize::from(off < 1e-6);
            near += usize::from(share > 1e-4);
        }
        // Made again in f64, the rank is there long after f32 has lost it.
        if exponent < 32 {
            let again =
                spectra::of_f32_or(rounded.view(), Engine::Faer, || Some(a.clone()), &spectra::uninterrupted)
                    .unwrap();
            let rank = figure("effective_rank", &again.centred, (n, n), again.rounding).unwrap();
            let allowed = if exponent < 6 { 1e-4 } else { 1e-5 };
            assert!((rank / truth - 1.0).abs() < allowed, "10^-{exponent}/4: {rank} for {truth}");
        }
    }
    println!("{found} ranks right to 1e-6, {near} near rounding, {none} none");
    assert!(found > 40 && near > 5 && none > 40, "{found} {near} {none}");
}

/// What was made again is another matrix (a bias that queries and keys do not know): it is not believed.
#[test]
fn another_matrix_is_not_taken_for_the_same() {
    let a = planted(64, 1e-3);
    let rounded = a.mapv(|x| x as f32);
    let plain = spectra::of_f32(rounded.view(), Engine::Faer, &spectra::uninterrupted).unwrap();
    for other in [planted(64, 2e-3), a.t().to_owned(), Array2::zeros((64, 63))] {
        let found = spectra::of_f32_or(rounded.view(), Engine::Faer, || Some(other), &spectra::uninterrupted)
            .unwrap();
        assert_eq!(found, plain);
    }
}

/// A sink: one column holds nearly all, and what is left is a thousandth.
#[test]
fn a_sink_has_the_centred_rank_of_f64() {
    let n = 256;
    let mut a = planted(n, 3e-4) * 0.02;
    for mut row in a.rows_mut() {
        row[0] = 1.0 - row.iter().skip(1).sum::<f64>();
    }
    let exact = spectra::of_f64(a.view(), Engine::Faer, &spectra::uninterrupted).unwrap();
    let rank = |found: &spectra::Spectra| figure("effective_rank", &found.centred, (n, n), found.rounding);
    let again = spectra::of_f32_or(
        a.mapv(|x| x as f32).view(),
        Engine::Faer,
        || Some(a.clone()),
        &spectra::uninterrupted,
    )
    .unwrap();
    assert!((rank(&again).unwrap() / rank(&exact).unwrap() - 1.0).abs() < 1e-9);
    assert_eq!(again.rounding.epsilon, f64::from(f32::EPSILON));
}
