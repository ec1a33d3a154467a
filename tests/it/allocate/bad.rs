//! What is refused, in one line.

use std::fs;

use clap::Parser;

use super::{Asked, SMALL, allocate, gpt2, on, tokens};
use crate::approx_error::approx_error;
use crate::model::tiny;

fn refused(more: &[&str], parts: &[&str]) {
    let error = on(&gpt2(), &[&SMALL[..], more].concat(), None).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in parts {
        assert!(error.contains(part), "{more:?} lacks '{part}': {error}");
    }
}

#[test]
fn budgets() {
    refused(
        &["--budget", "l=1"],
        &["--budget: 'l=1'", "l=2 (12.5%) or more, what 'sink-window:l=2' in every head costs"],
    );
    refused(&["--budget", "l=6,1.9"], &["--budget: 'l=1.9'"]);
    refused(&["--budget", "flops=1"], &["--budget: 'flops=1'", "or more"]);
    refused(&["--budget", "cache=3%"], &["--budget: 'cache=3%'", "accepted: cache=", "%) or more"]);
    for budget in ["l=8,cache=10", "l=8,l=16"] {
        let error = Asked::try_parse_from(["allocate", "--budget", budget]).unwrap_err().to_string();
        assert!(error.contains("one unit, which is written once: l=8,16"), "{error}");
    }
    for budget in ["64", "l=0", "l=101%", "keys=3", "l=x"] {
        let error = Asked::try_parse_from(["allocate", "--budget", budget]).unwrap_err().to_string();
        assert!(error.contains("--budget") && error.contains("accepted: "), "{error}");
    }
}

#[test]
fn mechanisms() {
    refused(&["--mechanism", "sink-windw"], &["attention 'sink-windw'", "did you mean 'sink-window'?"]);
    refused(&["--mechanism", "nystrom"], &["nystrom", "causal"]);
    refused(&["--mechanism", "softmax"], &["--mechanism: 'softmax'", "something beside softmax"]);
    refused(
        &["--mechanism", "softmax,linear"],
        &["--mechanism under a budget of l: 'linear'", "--budget flops=B"],
    );
    for mechanism in ["sparse-low-rank", "svd"] {
        refused(
            &["--mechanism", &format!("softmax,{mechanism}")],
            &["--mechanism under a budget of l", mechanism, "read fewer keys", "--budget flops=B"],
        );
    }
    refused(&["--mechanism", "softmax,sink-window:l=2,sink=3"], &["'sink'", "'3'"]);
    refused(&["--l", "0"], &["--l: '0'"]);
    refused(&["--l", "32,64"], &["--l: '32,64'", "one of n = 16 or less at least"]);
    refused(&["--seq-len", "0"], &["--seq-len: '0'", "1 or more"]);
    refused(&["--windows", "0"], &["--windows: '0'"]);
    refused(&["--judge-windows", "0"], &["--judge-windows: '0'"]);
    refused(&["--judge-windows", "500"], &["tokens"]);
}

#[test]
fn texts_that_were_chosen_on() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("a.txt");
    let words: Vec<String> = (0..400).map(|i| format!("{}", (i * i * 31 + 7 * i) % 997)).collect();
    fs::write(&text, words.join(" ")).unwrap();
    let copy = folder.path().join("b.txt");
    fs::copy(&text, &copy).unwrap();
    let (text, copy) = (text.to_str().unwrap(), copy.to_str().unwrap());
    let small = ["--windows", "1", "--judge-windows", "2", "--seq-len", "64", "--budget", "l=8"];
    let refusal = |judge: &str| {
        let more = ["--text", text, "--judge-text", judge];
        allocate(&[&small[..], &more].concat(), None).unwrap_err().to_string()
    };
    assert!(refusal(text).contains("other windows of --text"), "{}", refusal(text));
    let same = allocate(
        &[&small[..], &["--text", text, "--judge-text", copy, "--judge-windows", "1"]].concat(),
        None,
    );
    let same = same.unwrap_err().to_string();
    assert!(
        same.contains("--judge-text, window 0") && same.contains("the tokens of a window of --text"),
        "{same}"
    );
}

#[test]
fn files_of_another_model_and_files_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("allocation.json");
    let tokens = tokens(folder.path());
    let text = on(&gpt2(), &SMALL, None).unwrap().files[0].1.clone();
    let refusal = |model: &str, text: &str| {
        fs::write(&path, text).unwrap();
        let model = tiny(model);
        let flags =
            ["--model", model.to_str().unwrap(), "--tokens", tokens.to_str().unwrap(), "--seq-len", "16"];
        let more = ["--windows", "1", "--substitute", "all", "--allocation", path.to_str().unwrap()];
        let error = approx_error(&[&flags[..], &more].concat()).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    let other = refusal("stories260k", &text);
    assert!(other.contains("of a model of 2 layers of 4 heads under the causal mask ('gpt2')"), "{other}");
    assert!(
        other.contains("expected one of 5 layers of 8 heads under the causal mask, as this model"),
        "{other}"
    );
    assert!(refusal("bert", &text).contains("under the full mask, as this model"));
    for (from, to, part) in [
        ("\"luna allocation\"", "\"another\"", "'another' of version 1"),
        ("\"version\": 1", "\"version\": 2", "of version 2"),
        ("top-k:l", "top-kk:l", "did you mean 'top-k'?"),
        ("top-k:l=", "nystrom:l=", "causal"),
        ("\"head\":1", "\"head\":2", "not every head of 2 layers of 4 in their order"),
        ("\"heads\": [", "\"heads\": [[", "expected allocation.json as luna allocate writes it"),
    ] {
        assert!(text.contains(from), "{text}");
        let error = refusal("gpt2", &text.replacen(from, to, 1));
        assert!(error.contains(part), "{error}");
        assert!(!error.contains("luna list mechanism names"), "{error}");
    }
    let list = refusal("gpt2", "[1]");
    assert!(list.ends_with("no JSON object; expected allocation.json as luna allocate writes it"), "{list}");
    assert!(refusal("gpt2", "").contains("expected allocation.json"));
}
