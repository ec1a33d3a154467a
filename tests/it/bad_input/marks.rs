//! Texts as editors save them: a byte order mark is no part of the text, and UTF-16 is refused by name.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use luna::task::bpe::Vocabulary;

use super::{refused, text};

fn luna(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    command.args(args);
    command
}

fn written(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = luna(args).output().unwrap();
    assert!(status.success(), "{args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

const SMALL: [&str; 19] = [
    "--attention",
    "linear",
    "--seq-len",
    "16",
    "--d",
    "8",
    "--heads",
    "2",
    "--layers",
    "1",
    "--steps",
    "3",
    "--batch",
    "4",
    "--quiet",
    "--format",
    "csv",
    "--columns",
    "train_loss,validation_loss",
];

#[test]
fn a_mark_changes_nothing_and_utf_16_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let words = "to be or not to be\n".repeat(30);
    let labelled = "0\tone\n1\ttwo\n".repeat(20);
    let lists = "1\t[MIN 1 2 ]\n2\t[MAX 1 2 ]\n".repeat(20);
    Vocabulary::train(words.lines(), 270).unwrap().save(&path("words.json")).unwrap();
    let tokenizer = fs::read_to_string(path("words.json")).unwrap();
    let by_words = format!("language:tokens={}", text(&path("words.json")));
    let yaml = "command: list\nformat: json\n";
    fs::write(path("plain.txt"), &words).unwrap();
    fs::write(path("pairs.en"), &words).unwrap();
    fs::write(path("pairs.de"), &words).unwrap();
    let plain = path("plain.txt");
    let train = |task: &str, data: &Path| {
        [&["train", "--task", task, "--data", text(data)][..], &SMALL].concat().join("\n")
    };
    let pairs = train("translation:vocab=270", &path("pairs"));
    let cases: [(&str, &str, String); 8] = [
        ("run.yaml", yaml, format!("run\n{}", text(&path("run.yaml")))),
        ("a.tsv", &labelled, train("text", &path("a.tsv"))),
        ("l.tsv", &lists, train("listops", &path("l.tsv"))),
        ("b.txt", &words, train("language", &path("b.txt"))),
        ("words.json", &tokenizer, train(&by_words, &plain)),
        ("pairs.en", &words, pairs.clone()),
        ("pairs.de", &words, pairs),
        (
            "e.txt",
            &words,
            format!("evaluate\nbyte-transformer\n--format\ncsv\n--quiet\n--data\n{}", text(&path("e.txt"))),
        ),
    ];
    for (name, content, args) in cases {
        let args: Vec<&str> = args.split('\n').collect();
        fs::write(path(name), content).unwrap();
        let before = written(&args);
        fs::write(path(name), format!("\u{feff}{content}")).unwrap();
        assert_eq!(written(&args), before, "{name}");
        fs::write(path(name), utf16(content)).unwrap();
        refused(luna(&args), &[name, "its byte order mark says UTF-16", "text in UTF-8"]);
        fs::write(path(name), content).unwrap();
    }
}

#[test]
fn a_mark_in_front_of_a_prompt_is_not_read() {
    let said = |prompt: &str| {
        written(&["generate", "byte-transformer", "--prompt", prompt, "--length", "20", "--temperature", "0"])
    };
    assert_eq!(said("\u{feff}KING"), said("KING"));
}
