//! Dumped matrices: files of another kind, of other shapes and types, truncated or with other contents.

use std::fs;
use std::path::PathBuf;

use ndarray::{Array2, ArrayD, IxDyn};
use ndarray_npy::{NpzWriter, WritableElement, WriteNpyExt};
use safetensors::{Dtype, serialize, tensor::TensorView};

use super::{misused, refused, text, with};

/// A folder for one file.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Asserts on the refusal of a file of these bytes.
    fn refused(&self, name: &str, bytes: impl AsRef<[u8]>, args: &[&str], parts: &[&str]) {
        let path = self.write(name, bytes);
        let file = format!("{name}'");
        refused(with(&[&["--attention", text(&path)], args].concat()), &[&[file.as_str()], parts].concat());
    }
}

fn npy<T: WritableElement + Clone>(value: T, shape: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ArrayD::from_elem(IxDyn(shape), value).write_npy(&mut bytes).unwrap();
    bytes
}

/// An `.npy` file with this header and so many bytes of data.
fn with_header(header: &str, numbers: usize) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &vec![0; numbers]].concat()
}

fn npz(names: &[&str]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut file = NpzWriter::new(&mut bytes);
    for name in names {
        file.add_array(*name, &Array2::<f32>::from_elem((4, 4), 0.25)).unwrap();
    }
    file.finish().unwrap();
    bytes.into_inner()
}

fn safetensors(names: &[&str], dtype: Dtype, shape: &[usize], size: usize) -> Vec<u8> {
    let data = vec![0; shape.iter().product::<usize>() * size];
    let view = |name: &&str| ((*name).to_string(), TensorView::new(dtype, shape.to_vec(), &data).unwrap());
    serialize(names.iter().map(view), None).unwrap()
}

#[test]
fn files_that_are_not_there_or_of_another_kind() {
    refused(with(&["--attention", "/no/such.npy"]), &["'/no/such.npy': No such file"]);
    let folder = Folder::new();
    let kinds = ["an unknown kind of file; expected a .npy, .npz or .safetensors file"];
    folder.refused("dump.pt", "x", &[], &kinds);
    folder.refused("dump", "x", &[], &kinds);
    for name in ["a.npy", "a.npz", "a.safetensors"] {
        folder.refused(name, "", &[], &["; expected "]);
        folder.refused(name, "these are no numbers", &[], &["; expected "]);
    }
    fs::create_dir(folder.0.path().join("folder.npy")).unwrap();
    let path = folder.0.path().join("folder.npy");
    refused(with(&["--attention", text(&path)]), &["folder.npy': "]);
}

#[test]
fn npy_of_other_shapes_and_types() {
    let folder = Folder::new();
    let shapes = "expected (n, m), (h, n, m), (layers, h, n, m) or (layers, batch, h, n, m), none of them 0";
    folder.refused("a.npy", npy(0.5_f32, &[4]), &[], &["shape [4]", shapes]);
    folder.refused("a.npy", npy(0.5_f64, &[1, 1, 1, 1, 2, 2]), &[], &["shape [1, 1, 1, 1, 2, 2]", shapes]);
    folder.refused("a.npy", npy(0.5_f32, &[4, 0]), &[], &["shape [4, 0]", shapes]);
    folder.refused("a.npy", npy(0.5_f32, &[]), &[], &["shape []", shapes]);
    folder.refused("a.npy", npy(1_i64, &[2, 2]), &[], &["numbers of type", "i8", "float32 or float64"]);
    folder.refused("a.npy", npy(true, &[2, 2]), &[], &["numbers of type", "b1", "float32 or float64"]);
    let brain = with_header("{'descr': '<V2', 'fortran_order': False, 'shape': (2, 2), }\n", 8);
    folder.refused("a.npy", brain, &[], &["numbers of type V2", "bfloat16", "float32 or float64"]);
}

#[test]
fn npy_with_broken_bytes() {
    let folder = Folder::new();
    let whole = npy(0.5_f32, &[2, 2]);
    let short = ["expected a .npy array of float16, float32 or float64"];
    for length in [5, 9, 40, whole.len() - 1] {
        folder.refused("a.npy", &whole[..length], &[], &short);
    }
    folder.refused("a.npy", [&whole[..], b"more"].concat(), &[], &short);
    for shape in
        ["(1000000, 1000000)", "(1000000000000,)", "(18446744073709551615, 3)", "(99999999999999999999, 2)"]
    {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        folder.refused("a.npy", with_header(&header, 16), &[], &short);
        // Other spacing and quotes, as other programs may write.
        let header = format!("{{\"shape\" : {shape}, \"descr\": \"<f4\", \"fortran_order\": False}}\n");
        folder.refused("a.npy", with_header(&header, 16), &[], &short);
    }
    for header in
        ["import os\n\n", "{'descr': '<f4'}\n", "{'descr': ('\n", "", "\0\u{1b}[31m\n", "{'shape': 3}\n"]
    {
        folder.refused("a.npy", with_header(header, 16), &[], &short);
    }
    // Nested as deep as a header can be: no reader may recurse so far.
    folder.refused("a.npy", with_header(&"(".repeat(60_000), 16), &[], &short);
}

#[test]
fn values_that_are_not_numbers() {
    let folder = Folder::new();
    let mut numbers = Array2::<f64>::from_elem((3, 3), 1.0 / 3.0);
    for (bad, shown) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        numbers[[1, 2]] = bad;
        let mut bytes = Vec::new();
        numbers.write_npy(&mut bytes).unwrap();
        let path = folder.write("a.npy", bytes);
        let command = with(&["--attention", text(&path)]);
        refused(command, &["layer 0, head 0", shown, "row 1, column 2", "expected finite numbers"]);
    }
}

#[test]
fn one_of_several_arrays() {
    let folder = Folder::new();
    let several = safetensors(&["first", "second"], Dtype::F32, &[2, 2], 4);
    for (name, bytes) in [("a.npz", npz(&["first", "second"])), ("a.safetensors", several)] {
        folder.refused(
            name,
            &bytes,
            &[],
            &["2 arrays; expected one, or --tensor NAME with one of: first, second"],
        );
        let path = folder.write(name, &bytes);
        let wrong = with(&["--attention", text(&path), "--tensor", "frist"]);
        refused(wrong, &["tensor 'frist'", "did you mean 'first'?", "known: first, second"]);
    }
    let none = safetensors(&[], Dtype::F32, &[2, 2], 4);
    for (name, bytes) in [("a.npz", npz(&[])), ("a.safetensors", none)] {
        folder.refused(name, bytes, &[], &["no arrays; expected at least one array"]);
    }
    let path = folder.write("a.npy", npy(0.5_f32, &[2, 2]));
    refused(
        with(&["--attention", text(&path), "--tensor", "a"]),
        &["--tensor", "an .npy file holds one array"],
    );
    // A layer of a model with more heads than a line holds.
    let names: Vec<String> = (0..500).map(|i| format!("layers.{i:03}.attention")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let many = safetensors(&names, Dtype::F32, &[2, 2], 4);
    folder.refused("a.safetensors", &many, &[], &["500 arrays", "layers.000.attention", " more"]);
    let path = folder.write("a.safetensors", many);
    let wrong = with(&["--attention", text(&path), "--tensor", "layers.00.attention"]);
    refused(wrong, &["did you mean 'layers.00", " more"]);
}

#[test]
fn broken_archives() {
    let folder = Folder::new();
    let whole = npz(&["first"]);
    for length in [3, 30, whole.len() / 2, whole.len() - 1] {
        folder.refused(
            "a.npz",
            &whole[..length],
            &[],
            &["an .npz file of float16, float32 or float64 arrays"],
        );
    }
    // The data are not those that were packed.
    let mut changed = whole.clone();
    let at = whole.windows(4).position(|bytes| bytes == 0.25_f32.to_le_bytes()).unwrap();
    changed[at] ^= 1;
    folder.refused("a.npz", changed, &[], &["an .npz file of float16, float32 or float64 arrays"]);
    let mut header = whole.clone();
    let at = whole.windows(6).position(|bytes| bytes == b"(4, 4)").unwrap();
    header[at..at + 6].copy_from_slice(b"(9, 9)");
    folder.refused("a.npz", header, &[], &["an .npz file of float16, float32 or float64 arrays"]);
    // A size beyond any memory, in the place of the blanks after the header.
    let mut promise = whole.clone();
    let long = b"(9999999, 9999999), }";
    promise[at..at + long.len()].copy_from_slice(long);
    folder.refused(
        "a.npz",
        promise,
        &[],
        &[
            "promises 9999999 x 9999999 numbers of 4 bytes",
            "an .npz file of float16, float32 or float64 arrays",
        ],
    );
}

#[test]
fn broken_safetensors() {
    let folder = Folder::new();
    let whole = safetensors(&["a"], Dtype::I32, &[2, 2], 4);
    folder.refused("a.safetensors", &whole, &[], &["tensor 'a' of type I32; expected F64, F32, F16 or BF16"]);
    for length in [4, 20, whole.len() - 1] {
        folder.refused("a.safetensors", &whole[..length], &[], &["expected a .safetensors file"]);
    }
    let long = [&u64::to_le_bytes(1 << 40), &whole[8..]].concat();
    folder.refused("a.safetensors", long, &[], &["expected a .safetensors file"]);
    let flat = safetensors(&["a"], Dtype::F16, &[4], 2);
    folder.refused("a.safetensors", flat, &[], &["shape [4]", "expected (n, m), "]);
}

#[test]
fn a_pointer_in_the_place_of_a_file() {
    let folder = Folder::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\nsize 12345\n";
    for name in ["a.npy", "a.npz", "a.safetensors"] {
        folder.refused(name, pointer, &[], &["a Git LFS pointer", "git lfs pull"]);
    }
}

#[test]
fn files_that_state_more_than_they_hold() {
    let folder = Folder::new();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (200000, 200000), }\n";
    let huge = with_header(header, 1100);
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("a.npy", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut archive, &huge).unwrap();
    let packed = archive.finish().unwrap().into_inner();
    let parts = ["promises 200000 x 200000 numbers of 4 bytes, and 1100 bytes after it"];
    folder.refused("a.npz", packed, &[], &parts);
    folder.refused("a.npy", huge, &[], &parts);
    let long = [&(1_u64 << 50).to_le_bytes()[..], b"{}"].concat();
    folder.refused("a.safetensors", long, &[], &["states 1125899906842624 bytes, and 2 bytes after it"]);
}

/// Matrices that are no attention probabilities are not compared with null models.
#[test]
fn logits_and_other_matrices_that_are_no_probabilities() {
    let folder = Folder::new();
    let write = |values: &dyn Fn(usize, usize) -> f64| {
        let mut bytes = Vec::new();
        Array2::from_shape_fn((6, 6), |(i, j)| values(i, j)).write_npy(&mut bytes).unwrap();
        bytes
    };
    let logits = write(&|i, j| (i as f64 - 2.0 * j as f64) / 3.0);
    let advice = "--null none measures";
    folder.refused("a.npy", &logits, &[], &["in layer 0, head 0, row 0, column 1", "logits", advice]);
    folder.refused("a.npy", logits, &["--null", "shuffled"], &["logits", advice]);
    let scores = write(&|i, j| (i + j) as f64);
    folder.refused("a.npy", scores, &[], &["row 0 of layer 0, head 0 sums to 15.0000, and not to 1", advice]);
    let turned = write(&|i, j| (1.0 + i as f64) / 21.0 + 0.0 * j as f64);
    folder.refused("a.npy", turned, &[], &["is it transposed?", advice]);
    let dropped = write(&|i, j| if (i + 2 * j) % 5 == i % 2 { 0.0 } else { 1.0 / 4.5 });
    folder.refused("a.npy", dropped, &[], &["was dropout on?", advice]);
}

#[test]
fn masks_that_do_not_fit() {
    let folder = Folder::new();
    let path = folder.write("a.npy", npy(0.25_f32, &[4, 4]));
    let said = |mask: &str, parts: &[&str]| {
        refused(with(&["--attention", text(&path), "--mask", mask]), &[&["--mask"], parts].concat());
    };
    said("causal", &["'causal' is not accepted", "hides 0.25 in layer 0, head 0, row 0, column 1"]);
    said("padding:keys=4", &["fewer than the 4 keys"]);
    said("blocks:sizes=2+3", &["4 x 4"]);
    let alone = ["--attention", text(&path), "--mask", "full", "--null", "none"];
    refused(with(&alone), &["--mask", "only beside null models"]);
    said("cuasal", &["'cuasal'", "auto, zeros, or one or more of full, causal"]);
    misused(&["--synthetic", "uniform", "--mask", "full"], &["--mask"]);
}

#[test]
fn layers_and_heads_that_a_dump_does_not_have() {
    let folder = Folder::new();
    let path = folder.write("a.npy", npy(0.25_f32, &[2, 3, 4, 4]));
    refused(with(&["--attention", text(&path), "--layers", "2"]), &["--layers", "2"]);
    refused(with(&["--attention", text(&path), "--heads", "0-3"]), &["--heads", "3"]);
}
