//! Spectra of logits, queries, keys and values (`--of`) through the program, against `NumPy`.

use std::path::Path;

use serde_json::Value;

use super::{json, refused};

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/factors");
    folder.join(name).to_str().unwrap().to_string()
}

fn of(what: &str, rest: &[&str]) -> Value {
    let file = golden("qkv.npz");
    let args = ["svd-spectrum", "--qkv", &file, "--qkv-scale", "0.3", "--at", "2,4", "--of", what];
    json(&[&args[..], rest].concat())
}

#[test]
fn spectra_are_those_of_numpy() {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(golden("expected.json")).unwrap()).unwrap();
    for what in ["logits", "queries", "keys", "values"] {
        let found = of(what, &["--null", "none", "--aggregate=no"]);
        assert_eq!(found["stamp"]["of"], what);
        assert!(found["title"].as_str().unwrap().contains(what), "{}", found["title"]);
        let rows = found["rows"].as_array().unwrap();
        let heads = expected[what].as_array().unwrap();
        assert_eq!(rows.len(), heads.len());
        for (row, head) in rows.iter().zip(heads) {
            for (column, exact) in head.as_object().unwrap() {
                let (found, exact) = (row[column].as_f64().unwrap(), exact.as_f64().unwrap());
                assert!((found - exact).abs() <= 1e-9 * exact, "{what} {column}: {found}, NumPy {exact}");
            }
            assert!(row.get("row_entropy").is_none() && row.get("keys90").is_none(), "{what} has no rows");
        }
        let shared = found["notes"].to_string().contains("2 heads of a layer share one head");
        assert_eq!(shared, what == "keys" || what == "values", "{}", found["notes"]);
    }
}

/// Columns that are mixed have a lower effective rank than independent ones of the same scales.
#[test]
fn null_models_stand_beside_them() {
    let found = of("keys", &["--null-draws", "10", "--aggregate=no"]);
    for row in found["rows"].as_array().unwrap() {
        let rank = |name: &str| row[&format!("{name}effective_rank")].as_f64().unwrap();
        assert!(rank("") < rank("null_gaussian_") && rank("") < rank("null_shuffled_"), "{row}");
        assert_eq!(row["verdict"], "lower", "{row}");
        let sigma = |name: &str| row[&format!("{name}stable_rank")].as_f64().unwrap();
        assert!(sigma("null_gaussian_") <= 6.0 && sigma("null_shuffled_") >= 1.0);
    }
    let logits = of("logits", &["--null-draws", "2", "--aggregate=no"]);
    assert!(logits["rows"][0]["null_gaussian_effective_rank"].as_f64().unwrap() <= 6.0);
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    let synthetic =
        |spec: &'static str| ["svd-spectrum", "--synthetic", spec, "--seq-len", "16", "--null", "none"];
    let with = |spec, rest: &[&'static str]| [&synthetic(spec)[..], rest].concat();
    refused(&with("iid", &["--of", "keys"]), 1, &["--of: 'keys'", "attention", "'iid'"]);
    let drawn = json(&with("iid", &["--of", "logits", "--at", "4", "--windows", "1"]));
    assert!(
        drawn["rows"][0]["effective_rank"].as_f64().unwrap() > 12.0,
        "logits that are drawn as such are there"
    );
    let lanczos = ["svd-spectrum", "--synthetic", "gaussian", "--of", "logits", "--method", "lanczos"];
    refused(&lanczos, 1, &["--method: 'lanczos'", "exact beside --of logits"]);
    refused(
        &["svd-spectrum", "--synthetic", "gaussian", "--of", "logits", "--null", "gaussian:d_h=8"],
        1,
        &["--null: 'gaussian:d_h=8'", "gaussian beside --of logits"],
    );
    let luna = ["svd-spectrum", "--model", "byte-luna", "--of", "keys"];
    refused(&luna, 1, &["--model: 'byte-luna'", "softmax"]);
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("a.npy");
    ndarray_npy::write_npy(&dump, &ndarray::Array2::<f32>::eye(4)).unwrap();
    refused(
        &["svd-spectrum", "--attention", dump.to_str().unwrap(), "--of", "values"],
        1,
        &["--of: 'values'", "attention", "--attention FILE"],
    );
    // Without values there are none to decompose; queries and keys are there.
    let path = folder.path().join("qk.npz");
    let mut file = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).unwrap());
    for name in ["q", "k"] {
        file.add_array(name, &super::random(name, &[1, 1, 9, 4]).mapv(|x| x as f32)).unwrap();
    }
    file.finish().unwrap();
    let of =
        |what| ["svd-spectrum", "--qkv", path.to_str().unwrap(), "--null", "none", "--at", "2", "--of", what];
    refused(&of("values"), 1, &["--of: 'values'", "no values"]);
    assert_eq!(json(&of("queries"))["rows"].as_array().unwrap().len(), 1);
}

/// 40,000 tokens in little time and memory: no n x n array is made.
#[test]
fn long_inputs_need_no_square_matrix() {
    let args = ["svd-spectrum", "--synthetic", "gaussian:d_h=16", "--seq-len", "40000", "--windows", "1"];
    let found =
        json(&[&args[..], &["--of", "logits", "--null", "none", "--at", "4", "--aggregate=no"]].concat());
    let rank = found["rows"][0]["effective_rank"].as_f64().unwrap();
    assert!(
        (15.5..=16.0).contains(&rank),
        "40,000 Gaussian queries and keys span all 16 directions alike: {rank}"
    );
}
