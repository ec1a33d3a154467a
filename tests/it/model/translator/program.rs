//! `luna translate` on small random networks: lines in, lines out, and what it refuses.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use luna::network::translator::TranslatorConfig;
use luna::network::{EncoderConfig, Head, Mechanism};
use luna::task::bpe::Vocabulary;
use serde_json::json;

use super::laws::write;
use crate::model::encoder::{file, small};

const TEXTS: [&str; 3] = ["Zwei Hunde laufen.", "Two dogs run.", "Zwei Hunde laufen schnell."];

/// A run folder of a random network, with the vocabulary of a few texts.
fn folder(dir: &Path, mechanism: Mechanism, more: usize) {
    let vocabulary = Vocabulary::train(TEXTS.into_iter(), 270).unwrap();
    let encoder = EncoderConfig {
        vocab: Some(vocabulary.size() + more),
        positions: 24,
        embedding_norm: true,
        ..small(mechanism, false)
    };
    let best = dir.join("best");
    write(&best, &TranslatorConfig::new(encoder), &json!({"task": "translation"}));
    vocabulary.save(&best.join("tokenizer.json")).unwrap();
}

fn start(args: &[&str]) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    command.arg("translate").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn translate(args: &[&str], input: &[u8]) -> Output {
    let mut child = start(args);
    // Who refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_line_for_every_line_whatever_the_threads() {
    for mechanism in [Mechanism::Softmax, Mechanism::Luna { l: 4, tied: true }] {
        let dir = tempfile::tempdir().unwrap();
        folder(dir.path(), mechanism, 0);
        let run = dir.path().to_str().unwrap();
        let input = "Two dogs.\n\n  \r\nrun\nTwo dogs.\n".repeat(9) + "no end";
        let output = translate(&[run, "--threads", "1"], input.as_bytes());
        assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
        let lines: Vec<String> = text(&output.stdout).lines().map(String::from).collect();
        assert_eq!((lines.len(), text(&output.stdout).matches('\n').count()), (46, 46));
        for at in 0..9 {
            assert!(lines[5 * at + 1].is_empty() && lines[5 * at + 2].is_empty());
            assert_eq!(lines[5 * at], lines[4]);
        }
        assert_eq!(translate(&[run, "--threads", "3"], input.as_bytes()).stdout, output.stdout);
        let source = dir.path().join("source");
        fs::write(&source, &input).unwrap();
        assert_eq!(translate(&[run, "--input", source.to_str().unwrap()], b"").stdout, output.stdout);
        assert!(translate(&[run], b"").stdout.is_empty());
    }
}

#[test]
fn a_line_is_answered_before_the_next_one_comes() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), Mechanism::Softmax, 0);
    let mut child = start(&[dir.path().to_str().unwrap(), "--beam", "1"]);
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for line in ["Two dogs.\n", "\n", "run\n"] {
        input.write_all(line.as_bytes()).unwrap();
        input.flush().unwrap();
        let mut answer = Vec::new();
        output.read_until(b'\n', &mut answer).unwrap();
        assert_eq!(answer.last(), Some(&b'\n'));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_though_no_line_comes_and_a_closed_pipe_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), Mechanism::Softmax, 0);
    let run = dir.path().to_str().unwrap();
    let mut child = start(&[run]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"run\n").unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_until(b'\n', &mut Vec::new()).unwrap(); // it listens by then
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(input);

    let mut child = start(&[run]);
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"run\nrun\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn scores_stand_behind_their_signatures_and_translations_alone_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), Mechanism::Softmax, 0);
    let run = dir.path().to_str().unwrap();
    let reference = dir.path().join("reference");
    let name = reference.to_str().unwrap();
    let input = b"run\n\nTwo dogs.\n";
    let plain = translate(&[run], input);
    // Its own translations are as good as can be; a line without a text does not count.
    fs::write(&reference, plain.stdout.clone()).unwrap();
    let own: Vec<String> = text(&plain.stdout).lines().map(String::from).collect();
    let output = translate(&[run, "--reference", name], input);
    if own[0].trim().is_empty() || own[2].trim().is_empty() {
        assert!(text(&output.stderr).contains("no text"));
    } else {
        let said = text(&output.stderr);
        assert!(said.contains("luna: BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp = "), "{said}");
        assert!(
            said.contains("luna: chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no = 100.00"),
            "{said}"
        );
    }
    assert_eq!(output.stdout, plain.stdout);
    let refused = |reference_text: &str, part: &str| {
        fs::write(&reference, reference_text).unwrap();
        let output = translate(&[run, "--reference", name], input);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(part), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    refused("a\n\n", "2 lines; expected 3, as many as were translated");
    refused("a\n\n\n", "line 3: no text");
}

#[test]
fn what_it_cannot_do_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    folder(&good, Mechanism::Softmax, 0);
    let refused = |run: &Path, more: &[&str], input: &[u8], parts: &[&str]| {
        let output = translate(&[&[run.to_str().unwrap()], more].concat(), input);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
        text(&output.stdout)
    };
    refused(&good, &["--beam", "0"], b"run\n", &["--beam: '0'"]);
    refused(&good, &["--length-penalty", "nan"], b"run\n", &["--length-penalty: 'NaN'"]);
    refused(&good, &["--reference", "nowhere"], b"run\n", &["nowhere"]);
    refused(&good, &["--input", "nowhere"], b"", &["nowhere"]);
    refused(&dir.path().join("none"), &[], b"run\n", &["config.json"]);
    // What stands before the line that fails is written.
    let long = "run \n".to_string() + &"x ".repeat(40) + "\n";
    let written = refused(&good, &[], long.as_bytes(), &["line 2 of 'standard input'", "24, the positions"]);
    assert_eq!(written.lines().count(), 1);
    let written = refused(&good, &[], b"run\n\xff\n", &["line 2 is not UTF-8"]);
    assert_eq!(written.lines().count(), 1);
    let other = dir.path().join("other");
    folder(&other, Mechanism::Softmax, 1);
    refused(&other, &[], b"run\n", &["tokenizer.json", "as the network has"]);
    fs::remove_file(other.join("best/tokenizer.json")).unwrap();
    refused(&other, &[], b"run\n", &["tokenizer.json"]);
    let language = EncoderConfig {
        vocab: Some(256),
        positions: 40,
        causal: true,
        head: Head::Tokens,
        ..small(Mechanism::Softmax, false)
    };
    file::write(&dir.path().join("language"), &language, &json!({}));
    refused(&dir.path().join("language"), &[], b"run\n", &["a language model", "luna generate"]);
    let classes = EncoderConfig { causal: false, head: Head::Classes(2), ..language };
    file::write(&dir.path().join("classes"), &classes, &json!({}));
    refused(&dir.path().join("classes"), &[], b"run\n", &["a classifier", "luna evaluate"]);
}
