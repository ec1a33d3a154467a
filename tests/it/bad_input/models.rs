//! Models and their texts: missing folders, broken files, texts that do not fit.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{luna, misused, refused, text, with};

/// A copy of a tiny BERT with a tokenizer of words, a text, and token ids; its positions are 64.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let bert = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hf_tiny/bert");
        for name in ["config.json", "model.safetensors"] {
            fs::copy(bert.join(name), folder.file(name)).unwrap();
        }
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1, "b": 2}, "unk_token": "[UNK]"},
        });
        folder.write("tokenizer.json", tokenizer.to_string());
        folder.write("text", "a b a c ".repeat(5));
        folder.write("ids", "1 2 3 4 ".repeat(5));
        folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(name), content).unwrap();
    }

    fn weights(&self) -> Vec<u8> {
        fs::read(self.file("model.safetensors")).unwrap()
    }

    /// Asserts on the refusal of 8 of the 20 token ids.
    fn refused(&self, parts: &[&str]) {
        self.refused_with(&["--tokens", text(&self.file("ids"))], parts);
    }

    fn refused_with(&self, args: &[&str], parts: &[&str]) {
        refused(with(&[&["--model", text(self.0.path())], args].concat()), parts);
    }
}

#[test]
fn the_folder_is_a_good_one() {
    let folder = Folder::new();
    for (option, file) in [("--text", "text"), ("--tokens", "ids")] {
        let file = folder.file(file);
        let mut command = with(&["--model", text(folder.0.path()), option, text(&file), "--windows", "1"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn folders_that_are_not_there() {
    refused(with(&["--model", "/no/such/folder"]), &["'/no/such/folder': no such folder", "hub id"]);
    let folder = Folder::new();
    let file = folder.file("config.json");
    refused(with(&["--model", text(&file)]), &["config.json': a file", "expected a model folder"]);
    let empty = tempfile::tempdir().unwrap();
    refused(with(&["--model", text(empty.path())]), &["config.json"]);
}

#[test]
fn a_hub_id_that_is_not_in_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let mut command = luna();
    command.args(["--model", "org/name", "--revision", "v1", "--offline"]).env("HF_HUB_CACHE", cache.path());
    refused(
        command,
        &[
            "model 'org/name' (revision 'v1') is not in the cache '",
            text(cache.path()),
            "hf download org/name --revision v1",
        ],
    );
}

#[test]
fn a_model_without_a_text() {
    Folder::new().refused_with(&[], &["--model", "--text FILE", "--tokens FILE"]);
    misused(&["--model", "m", "--text", "t", "--tokens", "t"], &["'--text <FILE>'", "'--tokens <FILE>'"]);
}

#[test]
fn images_and_texts_are_not_exchanged() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hf_tiny");
    let (vit, bert) = (golden.join("vit"), golden.join("bert"));
    let folder = Folder::new();
    ndarray_npy::write_npy(folder.file("small"), &ndarray::Array3::<f32>::zeros((3, 24, 20))).unwrap();
    ndarray_npy::write_npy(folder.file("right"), &ndarray::Array3::<f32>::zeros((3, 24, 24))).unwrap();
    let of = |model: &Path, option: &str, file: &str, parts: &[&str]| {
        let mut command = luna();
        command.args(["--model", text(model), option, text(&folder.file(file))]);
        refused(command, parts);
    };
    of(&vit, "--tokens", "ids", &["reads images", "--pixels FILE.npy"]);
    of(&bert, "--pixels", "right", &["--pixels", "--tokens FILE: the model reads tokens"]);
    of(&vit, "--pixels", "ids", &["ids': ", "a .npy array"]);
    of(&vit, "--pixels", "small", &["'3 x 24 x 20'", "3 x 24 x 24", "not interpolated"]);
    let mut command = luna();
    command.args(["--model", text(&vit), "--pixels", text(&folder.file("right")), "--windows", "2"]);
    refused(command, &["--windows: '2'", "at most 1, the images of"]);
    misused(&["--model", "m", "--pixels", "p", "--text", "t"], &["'--text <FILE>'", "'--pixels <FILE>'"]);
}

#[test]
fn texts_that_are_not_there_or_empty() {
    let folder = Folder::new();
    for option in ["--text", "--tokens"] {
        folder.refused_with(&[option, "/no/such/file"], &["'/no/such/file': ", "No such file"]);
        folder.refused_with(&[option, text(folder.0.path())], &["directory"]);
    }
    folder.write("text", " \n");
    folder.refused_with(&["--text", text(&folder.file("text"))], &["text': no text; expected text"]);
    folder.write("ids", "[]");
    folder.refused(&["ids': no token ids; expected token ids as a JSON list"]);
    folder.write("ids", "1 2 x");
    folder.refused(&["'x' (item 3, line 1)"]);
    folder.write("ids", "1 2 97");
    folder.refused(&["token id 97 (item 3)", "ids below 97, the model's vocabulary"]);
}

#[test]
fn texts_without_a_tokenizer() {
    let folder = Folder::new();
    let file = folder.file("text");
    folder.write("tokenizer.json", "{");
    folder.refused_with(&["--text", text(&file)], &["tokenizer.json': ", "--tokens FILE"]);
    fs::remove_file(folder.file("tokenizer.json")).unwrap();
    folder.refused_with(&["--text", text(&file)], &["tokenizer.json': no such file", "--tokens FILE"]);
}

#[test]
fn texts_that_do_not_fit() {
    let folder = Folder::new();
    for (option, name) in [("--text", "text"), ("--tokens", "ids")] {
        let file = folder.file(name);
        let refused = |args: &[&str], parts: &[&str]| {
            folder.refused_with(&[&[option, text(&file)], args].concat(), parts);
        };
        refused(&["--seq-len", "65"], &["65 tokens", "at most 64, the model's positions"]);
        refused(&["--seq-len", "21"], &["20 tokens", "0 ", "would fit"]);
        refused(&["--windows", "3"], &["20 tokens", "2 ", "would fit"]);
        refused(&["--windows", "1", "--skip-tokens", "13"], &["tokens", "13", "0 ", "would fit"]);
        refused(&["--windows", "1", "--skip-tokens", "1000000"], &["tokens", "1000000", "0 ", "would fit"]);
        refused(&["--windows", &usize::MAX.to_string()], &["windows"]);
        refused(&["--seq-len", "0"], &["--seq-len: '0'"]);
    }
}

#[test]
fn layers_and_heads_that_the_model_does_not_have() {
    let folder = Folder::new();
    let ids = folder.file("ids");
    let refused = |option, parts: &[&str]| {
        folder.refused_with(&["--tokens", text(&ids), option, "0,9"], parts);
    };
    refused("--layers", &["--layers: '9' is not accepted", "indices from 0 to 1"]);
    refused("--heads", &["--heads: '9' is not accepted", "indices from 0 to 3"]);
}

#[test]
fn broken_settings() {
    let folder = Folder::new();
    let config: Value = serde_json::from_slice(&fs::read(folder.file("config.json")).unwrap()).unwrap();
    let set = |key: &str, value: Value| {
        let mut changed = config.clone();
        changed[key] = value;
        folder.write("config.json", changed.to_string());
    };
    set("model_type", json!("brt"));
    folder.refused(&["'brt'", "did you mean 'bert'?", "known: bert, "]);
    set("num_attention_heads", json!(0));
    folder.refused(&["config.json", "num_attention_heads", "0"]);
    set("num_attention_heads", json!(5));
    folder.refused(&["config.json", "a width of 32 for 5 heads"]);
    set("hidden_size", json!("wide\nand wider"));
    folder.refused(&["config.json", "hidden_size"]);
    set("num_hidden_layers", json!(1_u64 << 60));
    folder.refused(&["num_hidden_layers", "a whole number from 1 to 10000"]);
    let mut without = config.clone();
    without.as_object_mut().unwrap().remove("num_attention_heads");
    folder.write("config.json", without.to_string());
    folder.refused(&["config.json': no key 'num_attention_heads'; expected "]);
    for broken in ["", "{", "[]", "\0\n\u{1b}[31m"] {
        folder.write("config.json", broken);
        folder.refused(&["config.json': ", "expected "]);
    }
}

#[test]
fn broken_weights() {
    let folder = Folder::new();
    let whole = folder.weights();
    let refused = |bytes: &[u8], parts: &[&str]| {
        folder.write("model.safetensors", bytes);
        folder.refused(&[&["model.safetensors': "], parts].concat());
    };
    refused(&whole[..whole.len() / 2], &["(is the file cut short?)"]);
    refused(b"", &["only 0 bytes"]);
    let long = [&u64::to_le_bytes(1 << 40), &whole[8..]].concat();
    refused(&long, &["a header of 1099511627776 bytes in a file of", "a whole safetensors file"]);
    let file =
        |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 12]].concat();
    let entry =
        |dtype, from, to| format!("{{\"dtype\":\"{dtype}\",\"shape\":[2],\"data_offsets\":[{from},{to}]}}");
    let overlapping = format!("{{\"a\":{},\"b\":{}}}", entry("F32", 0, 8), entry("F32", 4, 12));
    refused(&file(&overlapping), &["tensors 'a' and 'b' overlap"]);
    refused(&file("{\"a\": \"b\nc\""), &["its header is not JSON"]);
    // The right name with whole numbers: the first tensor that the model reads, or another one.
    let (header, numbers) = whole[8..].split_at(u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize);
    let header = String::from_utf8(header.to_vec()).unwrap().replace("\"F32\"", "\"I32\"");
    refused(&[&whole[..8], header.as_bytes(), numbers].concat(), &["is I32; expected F64, F32, F16 or BF16"]);
}

/// A clone without Git LFS, whichever of its files is a pointer.
#[test]
fn git_lfs_pointers() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 440449768\n";
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        let folder = Folder::new();
        folder.write(name, pointer);
        let parts = [&format!("{name}': a Git LFS pointer"), "`git lfs pull`"];
        folder.refused_with(&["--text", text(&folder.file("text"))], &parts);
    }
}

/// Unknown keys of `config.json` are named in the notes of the result.
#[test]
fn keys_that_were_not_used_are_noted() {
    let folder = Folder::new();
    let mut config: Value = serde_json::from_slice(&fs::read(folder.file("config.json")).unwrap()).unwrap();
    config["a_new_kind_of_attention"] = json!(true);
    folder.write("config.json", format!("\u{feff}{config}").replace("0.02", "Infinity"));
    let (dir, ids) = (folder.0.path(), folder.file("ids"));
    let args = ["--model", text(dir), "--tokens", text(&ids), "--windows", "1", "--format", "json"];
    let output = with(&args).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let notes = report["notes"].to_string();
    assert!(notes.contains("luna does not know and did not use: a_new_kind_of_attention"), "{notes}");
}

#[test]
fn weights_that_are_not_numbers() {
    let folder = Folder::new();
    let mut weights = folder.weights();
    let header = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    for number in weights[8 + header..].chunks_exact_mut(4) {
        number.copy_from_slice(&f32::NAN.to_le_bytes());
    }
    folder.write("model.safetensors", weights);
    folder.refused(&["layer 0, head 0", "NaN", "expected finite numbers"]);
}
