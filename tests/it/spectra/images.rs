//! Vision models: each image is a window.

use luna::report::Cell;
use ndarray::{Axis, s};
use tempfile::NamedTempFile;

use super::far;
use crate::model::{Expected, tiny};
use crate::study::svd_spectrum;

/// The image of a model's folder and another, its rows the other way round.
fn images(expected: &Expected) -> NamedTempFile {
    let image = expected.get("pixel_values").clone();
    let other = image.slice(s![.., .., ..;-1, ..]).to_owned().into_dyn();
    let file = NamedTempFile::new().unwrap();
    ndarray_npy::write_npy(file.path(), &ndarray::concatenate![Axis(0), image, other]).unwrap();
    file
}

#[test]
fn an_image_is_a_window() {
    for name in ["vit", "deit", "dinov2", "clip"] {
        let (dir, expected) = (tiny(name), Expected::read(name));
        let file = images(&expected);
        let input = ["--model", dir.to_str().unwrap(), "--pixels", file.path().to_str().unwrap()];
        let report = svd_spectrum(&[&input[..], &["--at", "4"]].concat(), 0);
        let exact = expected.get("singular_values");
        let (_, found) = &report.arrays[0];
        let (layers, heads) = (exact.len_of(Axis(0)), exact.len_of(Axis(1)));
        assert_eq!(report.rows.rows.len(), 2 * layers * heads);
        let mut near = [0, 0];
        for (row, found) in report.rows.rows.iter().zip(found.axis_iter(Axis(0))) {
            let at = |column: &str| match row[report.rows.index(column).unwrap()] {
                Cell::Int(at) => usize::try_from(at).unwrap(),
                ref other => panic!("{column}: {other:?}"),
            };
            let exact: Vec<f64> = exact.slice(s![at("layer"), at("head"), ..]).to_vec();
            let found: Vec<f64> = found.iter().copied().collect();
            let off = far(&found, &exact) / exact[0];
            near[at("window")] += usize::from(off <= 1e-5);
        }
        assert_eq!(near, [layers * heads, 0], "{name}: the first image is the folder's, the second another");
        let note = report.notes.iter().any(|note| note.contains("read: 2 of 2 images"));
        assert!(note, "{:?}", report.notes);
    }
}
