//! Every kind of bad file of weights.

use std::fs;
use std::path::Path;

use luna::model::load::shards;
use luna::model::weights::Header;
use safetensors::Dtype;

use super::{Raws, refusal, tiny, with_tensors};

/// Asserts on the message for changed tensors of BERT.
fn refused(change: impl FnOnce(&mut Raws), parts: &[&str]) {
    let dir = with_tensors("bert", |mut raws| {
        change(&mut raws);
        raws
    });
    let message = refusal(dir.path());
    for part in parts {
        assert!(message.contains(part), "{message}");
    }
}

const QUERY: &str = "encoder.layer.1.attention.self.query.weight";

#[test]
fn a_missing_tensor() {
    let drop = |raws: &mut Raws| drop(raws.remove(QUERY));
    refused(
        drop,
        &["model.safetensors': no tensor 'encoder.layer.1.attention.self.query.weight'", "shape [32, 32]"],
    );
}

#[test]
fn an_ill_shaped_tensor() {
    let reshape = |raws: &mut Raws| raws.get_mut(QUERY).unwrap().shape = vec![16, 64];
    refused(reshape, &[&format!("tensor '{QUERY}' has shape [16, 64]; expected [32, 32]")]);
}

#[test]
fn quantized_weights() {
    let dir = with_tensors("gpt_oss", |raws| {
        let quantized = |name: String| match name.strip_suffix("experts.down_proj") {
            Some(stem) => format!("{stem}experts.down_proj_blocks"),
            None => name,
        };
        raws.into_iter().map(|(name, raw)| (quantized(name), raw)).collect()
    });
    let message = refusal(dir.path());
    let tensor = "tensor 'model.layers.0.mlp.experts.down_proj_blocks' holds quantized weights";
    assert!(message.contains(tensor) && message.contains("load the model with dequantize=True"), "{message}");
}

#[test]
fn tensors_of_another_kind_of_model() {
    let add = |raws: &mut Raws| {
        for i in 0..20 {
            raws.insert(format!("extra.{i:02}"), raws[QUERY].clone());
        }
    };
    refused(add, &["tensors that a bert model does not have: extra.00, extra.01", "and 12 more"]);
}

#[test]
fn half_a_head() {
    let dir = with_tensors("bert-mlm", |mut raws| {
        raws.remove("cls.predictions.transform.LayerNorm.bias");
        raws
    });
    assert!(refusal(dir.path()).contains("no tensor 'cls.predictions.transform.LayerNorm.bias'"));
}

#[test]
fn a_tensor_twice() {
    let add = |raws: &mut Raws| drop(raws.insert(format!("bert.{QUERY}"), raws[QUERY].clone()));
    refused(add, &["'bert.encoder.layer.1.attention.self.query.weight' and another tensor are both", "once"]);
}

#[test]
fn a_type_that_holds_no_weights() {
    let retype = |raws: &mut Raws| raws.get_mut(QUERY).unwrap().dtype = Dtype::I32;
    refused(retype, &[&format!("tensor '{QUERY}' is I32; expected F64, F32, F16 or BF16")]);
}

/// The message for the bytes of a file.
fn broken(file: &[u8]) -> String {
    let message = Header::parse(Path::new("w"), file).unwrap_err().to_string();
    assert!(
        message.starts_with("'w': ") && message.ends_with("; expected a whole safetensors file"),
        "{message}"
    );
    message
}

/// A file with this header and this many bytes of numbers.
fn file(header: &str, numbers: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; numbers]].concat()
}

fn entry(dtype: &str, shape: &str, from: usize, to: usize) -> String {
    format!("{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}")
}

#[test]
fn broken_headers() {
    assert!(broken(b"").contains("only 0 bytes"));
    assert!(broken(b"1234567").contains("only 7 bytes"));
    assert!(broken(&[255; 20]).contains("a header of 18446744073709551615 bytes in a file of 20"));
    assert!(broken(&file("{\"a\":", 0)).contains("its header is not JSON"));
    assert!(broken(&file("{\"a\":\"\u{ff}", 0)).contains("its header is not JSON"));
    assert!(
        broken(&file("{\"a\":3}", 0)).contains("its header does not describe tensors: invalid type: integer")
    );
    let unknown = format!("{{\"a\":{}}}", entry("Q4", "[2]", 0, 8));
    assert!(broken(&file(&unknown, 8)).contains("does not describe tensors: unknown variant `Q4`"));
    let numbers = format!("{{\"__metadata__\":{{\"a\":1}},\"b\":{}}}", entry("F32", "[2]", 0, 8));
    assert!(broken(&file(&numbers, 8)).contains("does not describe tensors"));
}

#[test]
fn broken_places() {
    let one = |shape: &str, from, to| format!("{{\"a\":{}}}", entry("F32", shape, from, to));
    assert!(
        broken(&file(&one("[2]", 0, 8), 4)).contains("tensor 'a' lies at bytes 0 to 8 of 4 (is the file cut")
    );
    assert!(broken(&file(&one("[2]", 8, 0), 8)).contains("lies at bytes 8 to 0"));
    assert!(broken(&file(&one("[3]", 0, 8), 8)).contains("tensor 'a' has 8 bytes for shape [3] of F32"));
    let huge = one("[4294967295,4294967295,4294967295]", 0, 8);
    assert!(broken(&file(&huge, 8)).contains("has 8 bytes for shape"));
    let two = format!("{{\"a\":{},\"b\":{}}}", entry("F32", "[2]", 0, 8), entry("F32", "[2]", 4, 12));
    assert!(broken(&file(&two, 12)).contains("tensors 'a' and 'b' overlap"));
    let apart = format!("{{\"a\":{},\"b\":{}}}", entry("F32", "[2]", 0, 8), entry("F32", "[2]", 12, 20));
    assert!(broken(&file(&apart, 20)).contains("bytes 8 to 12 belong to no tensor"));
    assert!(broken(&file(&one("[2]", 4, 12), 12)).contains("bytes 0 to 4 belong to no tensor"));
    assert!(broken(&file(&one("[2]", 0, 8), 11)).contains("3 bytes behind its last tensor"));
    assert!(broken(&file("{}", 1)).contains("1 bytes behind its last tensor"));
}

/// Whatever the second one says of its place: with data of its own, without any, or with that of the first.
#[test]
fn a_name_twice_in_the_header() {
    for (from, to, shape, bytes) in [(8, 16, "[2]", 16), (0, 8, "[2]", 8), (8, 8, "[0]", 8), (0, 0, "[0]", 8)]
    {
        let (first, second) = (entry("F32", "[2]", 0, 8), entry("F32", shape, from, to));
        let text = format!("{{\"a\":{first},\"a\":{second}}}");
        assert!(broken(&file(&text, bytes)).contains("tensor 'a' stands twice in its header"));
    }
}

/// What a clone without Git LFS has in the place of a large file.
#[test]
fn git_lfs_pointers() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 440449768\n";
    for name in ["model.safetensors", "config.json"] {
        let dir = with_tensors("bert", |raws| raws);
        fs::write(dir.path().join(name), pointer).unwrap();
        let message = refusal(dir.path());
        assert!(message.starts_with(&format!("'{name}': a Git LFS pointer")), "{message}");
        assert!(message.contains("git lfs pull"), "{message}");
    }
    let message = shards(Path::new("i"), pointer).unwrap_err().to_string();
    assert!(message.starts_with("'i': a Git LFS pointer"), "{message}");
}

/// An index that says that a tensor is in another shard than the one that holds it.
#[test]
fn an_index_that_belongs_to_other_shards() {
    let dir = with_tensors("bert", |raws| raws);
    let one = dir.path().join("one.safetensors");
    fs::rename(dir.path().join("model.safetensors"), &one).unwrap();
    let mut other = Raws::new();
    other.insert("embeddings.position_ids".into(), super::raws("bert")[QUERY].clone());
    super::write_raws(&dir.path().join("two.safetensors"), &other);
    let index = |map: &str| {
        fs::write(dir.path().join("model.safetensors.index.json"), format!("{{\"weight_map\": {{{map}}}}}"))
            .unwrap();
    };
    index(&format!("\"{QUERY}\": \"two.safetensors\", \"pooler.dense.bias\": \"one.safetensors\""));
    let message = refusal(dir.path());
    assert!(
        message.contains(&format!("tensor '{QUERY}' is not in 'two.safetensors', where it says")),
        "{message}"
    );
    index("\"absent.weight\": \"one.safetensors\"");
    assert!(refusal(dir.path()).contains("'absent.weight' is not in 'one.safetensors'"));
    index(&format!("\"{QUERY}\": \"one.safetensors\", \"embeddings.position_ids\": \"two.safetensors\""));
    assert!(luna::model::Model::open(dir.path()).is_ok());
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = fs::read(tiny("bert").join("model.safetensors")).unwrap();
    assert!(Header::parse(Path::new("w"), &whole).is_ok());
    for length in (0..whole.len()).step_by(997).chain([whole.len() - 1]) {
        broken(&whole[..length]);
    }
    let dir = with_tensors("bert", |raws| raws);
    fs::write(dir.path().join("model.safetensors"), &whole[..whole.len() / 2]).unwrap();
    assert!(refusal(dir.path()).contains("(is the file cut short?)"));
    fs::write(dir.path().join("model.safetensors"), "").unwrap();
    assert!(refusal(dir.path()).contains("only 0 bytes"));
}

#[test]
fn a_broken_index() {
    let message = |text: &str| shards(Path::new("i"), text).unwrap_err().to_string();
    assert!(message("{").contains("'i': not JSON"));
    assert!(message("{}").contains("no weight_map"));
    assert!(message("{\"weight_map\": {}}").contains("no weight_map"));
    for file in ["\"../model.safetensors\"", "\"/etc/model\"", "\"\"", "7", "\"..\""] {
        let text = format!("{{\"weight_map\": {{\"a\": {file}}}}}");
        assert!(message(&text).contains(&format!("tensor 'a' is in {file}; expected")), "{file}");
    }
    let dir = with_tensors("bert", |raws| raws);
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let index = "{\"weight_map\": {\"a\": \"absent.safetensors\"}}";
    fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
    assert!(refusal(dir.path()).starts_with("'absent.safetensors': "));
}
