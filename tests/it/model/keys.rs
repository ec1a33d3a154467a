//! Every key of `config.json` that a family knows, set to another value: the result changes as transformers' does, the key
//! is refused by name, or it is without effect and says so.
//!
//! `tests/golden/hf_keys/expected.json` holds what transformers makes of each case, with the script that made it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use luna::Result;
use luna::model::{self, Effect, Family, HeadTap, Model};
use ndarray::{Array2, s};
use serde_json::{Map, Value, json};

use super::{Everything, Expected, Fed, set_config, tiny};

/// What a model makes of the ids of its folder.
#[derive(PartialEq)]
struct Ran {
    hidden: Array2<f32>,
    heads: Vec<Array2<f32>>,
    logits: Option<Array2<f32>>,
    layers: usize,
}

fn run(dir: &Path, fed: &Fed) -> Result<Ran> {
    let model = Model::open(dir)?;
    let mut seen = Everything::default();
    let hidden = model.run(fed.input(), &mut seen, None)?.hidden.unwrap();
    let logits = model.logits(&hidden)?;
    let heads = seen.0.into_iter().map(|HeadTap { matrix, .. }| matrix.unwrap()).collect();
    Ok(Ran { hidden, heads, logits, layers: model.config().layers })
}

impl Ran {
    /// The numbers that the script writes: see its `probe`.
    fn probe(&self, with_logits: bool) -> Vec<f64> {
        let n = self.hidden.nrows();
        let mut numbers = [self.hidden.slice(s![n - 1, ..8]), self.hidden.slice(s![1, ..4])]
            .map(|row| row.to_vec())
            .concat();
        for layer in self.heads.chunks(self.heads.len() / self.layers) {
            for a in [&layer[0], &layer[layer.len() - 1]] {
                numbers.extend([a[[n - 1, 0]], a[[2, 1]], a[[1, 2]]]);
            }
        }
        if with_logits {
            numbers.extend(self.logits.as_ref().unwrap().slice(s![n - 1, ..4]));
        }
        numbers.into_iter().map(f64::from).collect()
    }
}

/// A copy of a folder with these keys changed: null removes a key, or is written where the case says so.
fn changed(dir: &Path, case: &Value) {
    let mut removed = case.as_object().unwrap().clone();
    if removed.remove("null").is_none() {
        return set_config(dir, &Value::Object(removed));
    }
    let path = dir.join("config.json");
    let mut config: Map<String, Value> = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config.extend(removed);
    fs::write(path, Value::Object(config).to_string()).unwrap();
}

fn copy(folder: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(folder.join(name), dir.path().join(name)).unwrap();
    }
    dir
}

fn golden() -> Map<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hf_keys/expected.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The keys that a case sets.
fn keys(case: &Value) -> Vec<&str> {
    case.as_object().unwrap().keys().map(String::as_str).filter(|key| *key != "null").collect()
}

/// What is wrong with luna's answer to a case, if anything is.
fn fault(family: &Family, case: &Value, expected: &Value, base: &Ran, found: Result<Ran>) -> Option<String> {
    let effects: Vec<Option<Effect>> = keys(case).into_iter().map(|key| family.effect(key)).collect();
    if effects.contains(&None) {
        return Some("a key is on no list".into());
    }
    match found {
        Err(error) => {
            let text = error.to_string();
            // By the name of a key or a value, or by a tensor that a size does not fit.
            let values = case.as_object().unwrap().values().filter_map(Value::as_str);
            let named = keys(case).into_iter().chain(values).any(|word| text.contains(word))
                || ["key '", "tensor '", "tensors that a ", "rope type '", " heads"]
                    .iter()
                    .any(|part| text.contains(part));
            let inert = effects.iter().all(|effect| *effect == Some(Effect::Inert));
            (!named || inert || text.contains('\n')).then(|| format!("refused: {text}"))
        }
        // transformers stumbles over some keys that reach no arithmetic, and over null for a missing one; where it draws
        // a head that the file lacks, there are no logits here.
        Ok(ran) if expected == "refused" => {
            let idle =
                effects.iter().all(|effect| *effect == Some(Effect::Inert)) || case.get("null").is_some();
            let headless = base.logits.is_some() && ran.logits.is_none();
            (!(headless || idle && ran == *base)).then(|| "runs, and transformers refuses".into())
        }
        Ok(ran) if expected == "same" => {
            (ran != *base).then(|| "changes, and transformers' result does not".into())
        }
        Ok(ran) => {
            let exact: Vec<f64> = expected.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
            let logits = exact.len() > ran.probe(false).len();
            let found = ran.probe(logits);
            let (size, off) = exact
                .iter()
                .zip(&found)
                .fold((0.0_f64, 0.0_f64), |(size, off), (a, b)| (size.max(a.abs()), off.max((a - b).abs())));
            (found.len() != exact.len() || off > 1e-4 * size).then(|| format!("off by {off:e} of {size:e}"))
        }
    }
}

#[test]
fn every_key_does_what_it_does_in_transformers() {
    let mut faults = Vec::new();
    let golden = golden();
    for (name, entry) in &golden {
        let family = Family::find(name).unwrap();
        let folder = tiny(entry["folder"].as_str().unwrap());
        let fed = Expected::read(entry["folder"].as_str().unwrap()).fed();
        let dir = copy(&folder);
        changed(dir.path(), &entry["base"]);
        let base = run(dir.path(), &fed).unwrap();
        for case in entry["cases"].as_array().unwrap() {
            let copied = copy(dir.path());
            changed(copied.path(), &case["set"]);
            let found = run(copied.path(), &fed);
            let wrong = fault(family, &case["set"], &case["is"], &base, found);
            faults.extend(wrong.map(|wrong| format!("{name}, {}: {wrong}", case["set"])));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// A family is of no use here without its lists, and a key on them without a case is an opinion.
#[test]
fn every_listed_key_of_every_family_has_a_case() {
    let golden = golden();
    for family in model::ALL.iter().filter(|family| family.name != "luna") {
        let entry = golden.get(family.name).unwrap_or_else(|| panic!("no cases of {}", family.name));
        let cases: BTreeSet<&str> =
            entry["cases"].as_array().unwrap().iter().flat_map(|case| keys(&case["set"])).collect();
        let listed: BTreeSet<&str> = family.keys().into_iter().collect();
        let without: Vec<_> = listed.difference(&cases).collect();
        assert!(listed.len() > 20 && without.is_empty(), "{}: {without:?}", family.name);
        let unlisted: Vec<_> = cases.difference(&listed).collect();
        assert!(unlisted.is_empty(), "{}: {unlisted:?}", family.name);
    }
}

/// The folders that `luna train` writes have no other reader to compare with: what is read changes the result or is
/// refused, the rest changes nothing.
#[test]
fn keys_of_lunas_own_folders() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/byte-transformer");
    let ids = Fed::Ids(b"To be, or not to be".map(u32::from).to_vec());
    let family = Family::find("luna").unwrap();
    let base = run(&folder, &ids).unwrap();
    let others = json!({
        "model_type": "luna-translator", "attention": "luna:l=4", "hidden_size": 64, "heads": 2, "ffn": 256, "layers": 3,
        "activation": "relu", "pre_norm": true, "vocab": 255, "positions": 128, "embedding_norm": false, "causal": false,
        "p_chain": false, "head": "none", "classes": 2, "tokens": "bytes+1", "task": "other", "seed": 2, "recipe": {},
        "class_names": ["a"], "image_size": ["2", "2"], "languages": ["a", "b"],
    });
    let others = others.as_object().unwrap();
    assert_eq!(family.keys().len(), others.len());
    for (key, value) in others {
        let dir = copy(&folder);
        set_config(dir.path(), &json!({key: value}));
        let effect = family.effect(key).unwrap();
        // Softmax has no P; what ids are is the text's reader's business; classes belong to another head.
        let apart = ["p_chain", "tokens", "classes"].contains(&key.as_str());
        match run(dir.path(), &ids) {
            Ok(ran) => assert_eq!(ran == base, effect == Effect::Inert || apart, "{key}"),
            Err(error) => assert!(effect == Effect::Read, "{key}: {error}"),
        }
    }
}

#[test]
fn unknown_keys_and_code_are_named_in_notes() {
    let notes = |name: &str, changes: Value| {
        let dir = copy(&tiny(name));
        set_config(dir.path(), &changes);
        Model::open(dir.path()).unwrap().notes()
    };
    assert_eq!(notes("qwen2", json!({})), Vec::<String>::new());
    let unknown = "keys of config.json that luna does not know and did not use: ";
    assert_eq!(notes("qwen2", json!({"a_key": 1, "b\n": "c"})), [format!("{unknown}a_key, b\\n")]);
    let nested =
        json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "mrope_section": [1, 1, 2]}});
    assert_eq!(notes("qwen2", nested), [format!("{unknown}rope_parameters.mrope_section")]);
    let many: Map<String, Value> = (0..20).map(|i| (format!("key_{i:02}"), i.into())).collect();
    assert!(notes("bert", Value::Object(many))[0].ends_with("key_10, key_11, and 8 more"));
    let code = notes("gpt2", json!({"auto_map": {"AutoModel": "own.Model"}}));
    assert!(
        code[0].contains("(auto_map), which luna does not run: the model is computed as gpt2"),
        "{code:?}"
    );
    let both = notes("llama-gqa", json!({"rope_scaling": {"rope_type": "linear", "factor": 4.0}}));
    assert_eq!(
        both,
        ["config.json has rope_scaling and rope_parameters: rope_scaling counts, as in transformers"]
    );
}

/// Defaults of keys that are missing, where they differ from those of a key that holds null.
#[test]
fn a_missing_key_is_not_null() {
    let window = |changes: Value| {
        let dir = copy(&tiny("llama-gqa"));
        set_config(dir.path(), &json!({"model_type": "mistral"}));
        changed(dir.path(), &changes);
        Model::open(dir.path()).map(|model| model.config().window(0).map(|window| window.back + 1))
    };
    assert_eq!(window(json!({})).unwrap(), Some(4096));
    assert_eq!(window(json!({"sliding_window": null, "null": true})).unwrap(), None);
    // Eight key and value heads of a model of four.
    let message = window(json!({"num_key_value_heads": null})).unwrap_err().to_string();
    assert!(message.contains("num_key_value_heads"), "{message}");
}
