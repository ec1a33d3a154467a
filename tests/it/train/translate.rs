//! `luna train --task translation` and `luna translate`: the whole way of a small task.
#![allow(clippy::unwrap_used)] // the helpers are test code too

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn luna(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luna"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A language of digits and their words: every sentence of it has one translation.
fn corpus(folder: &Path, name: &str, sentences: impl Iterator<Item = usize>) -> (String, String) {
    const WORDS: [&str; 5] = ["null", "eins", "zwei", "drei", "vier"];
    let (mut from, mut to) = (String::new(), String::new());
    for i in sentences {
        let digits = [i % 5, i / 5 % 5, i / 25 % 5];
        from.push_str(&digits.map(|digit| digit.to_string()).join(" "));
        to.push_str(&digits.map(|digit| WORDS[digit]).join(" "));
        from.push('\n');
        to.push('\n');
    }
    fs::write(folder.join(format!("{name}.a")), &from).unwrap();
    fs::write(folder.join(format!("{name}.b")), &to).unwrap();
    (from, to)
}

fn train(folder: &Path, attention: &str, more: &[&str]) -> Output {
    let [data, test, run] = ["train", "test", attention].map(|name| folder.join(name));
    let base = ["train", "--task", "translation:from=a,to=b,vocab=300", "--mechanism", attention];
    let small = ["--d", "32", "--num-heads", "2", "--num-layers", "1", "--seq-len", "24", "--batch", "16"];
    let steps = ["--rate", "0.005", "--validation", "0.1", "--eval-every", "50", "--dropout", "0", "--quiet"];
    let files = [("--data", &data), ("--test", &test), ("--out", &run)];
    let files: Vec<&str> = files.iter().flat_map(|(flag, path)| [*flag, path.to_str().unwrap()]).collect();
    luna(&[&base[..], &small, &steps, &files, more].concat(), "")
}

/// One attention of each: by the encoder's P, and by one of the decoder's own.
#[test]
fn decoders_with_one_attention_of_each_train_and_translate() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    corpus(folder, "train", (0..125).filter(|i| i % 9 != 4));
    corpus(folder, "test", (0..125).filter(|i| i % 9 == 4));
    for (encoder, decoder, shown) in [
        ("luna:l=4", "luna-self", "luna-self"),
        ("linear", "luna-source:l=6", "luna-source:l=6"),
        ("softmax", "luna:weight=elu", "\"luna:l=16,weight=elu\""),
    ] {
        let run = folder.join(decoder.replace([':', '='], "-"));
        let more = ["--steps", "5", "--decoder", decoder, "--format", "csv", "--columns", "decoder"];
        let trained = train(folder, encoder, &[&more[..], &["--out", run.to_str().unwrap()]].concat());
        let shown = format!("\n{shown}\n");
        assert!(
            text(&trained.stdout).ends_with(&shown),
            "{}{}",
            text(&trained.stdout),
            text(&trained.stderr)
        );
        let written = luna(&["translate", run.to_str().unwrap()], "1 2 3\n0 4 4");
        assert_eq!(text(&written.stdout).lines().count(), 2, "{}", text(&written.stderr));
    }
    for (encoder, decoder, part) in [
        ("linear", "luna:l=25", "1 to 24"),
        ("luna:l=2", "luna:l=2", "it reads the P of the luna encoder"),
        ("luna:l=2", "softmax:tied=true", "takes no parameter 'tied'"),
        ("luna:l=2", "luna-self:weight=relu", "softplus or elu"),
    ] {
        let refused = train(folder, encoder, &["--steps", "2", "--decoder", decoder]);
        let said = text(&refused.stderr);
        assert!(said.contains(part) && said.trim().lines().count() == 1, "{said}");
    }
}

#[test]
fn a_language_of_digits_is_learned_and_translated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    corpus(folder, "train", (0..125).filter(|i| i % 9 != 4));
    let (from, to) = corpus(folder, "test", (0..125).filter(|i| i % 9 == 4));
    for attention in ["softmax", "luna:l=4", "linear"] {
        let trained = train(folder, attention, &["--steps", "300"]);
        assert!(trained.status.success(), "{}", text(&trained.stderr));
        assert!(text(&trained.stdout).contains("nats"), "{}", text(&trained.stdout));
        let run = folder.join(attention);
        assert!(run.join("best/tokenizer.json").exists());
        let run = run.to_str().unwrap();
        let reference = folder.join("test.b");
        let written = luna(&["translate", run, "--reference", reference.to_str().unwrap()], &from);
        assert!(written.status.success(), "{}", text(&written.stderr));
        let right = text(&written.stdout).lines().zip(to.lines()).filter(|(a, b)| a == b).count();
        assert!(right * 2 > to.lines().count(), "{attention}: {right}\n{}", text(&written.stdout));
        assert!(text(&written.stderr).contains("BLEU"), "{}", text(&written.stderr));
        assert!(text(&written.stderr).contains("bootstrap over 14 sentences"), "{}", text(&written.stderr));
        // As a result: a row for every line, and the scores in a table.
        let csv = luna(&["translate", run, "--format", "csv"], &from);
        let mut table = csv::Reader::from_reader(&csv.stdout[..]);
        let lines: Vec<String> = table.records().map(|row| row.unwrap()[2].to_string()).collect();
        assert!(lines.iter().map(String::as_str).eq(text(&written.stdout).lines()), "{lines:?}");
        let scored = ["translate", run, "--reference", reference.to_str().unwrap(), "--format", "table"];
        let scored = luna(&scored, &from);
        assert!(text(&scored.stdout).contains("Scores over 14 sentences"), "{}", text(&scored.stdout));
        assert!(scored.stderr.is_empty(), "{}", text(&scored.stderr));
        // What the training said of its test set.
        let judged = luna(
            &["evaluate", run, "--data", folder.join("test").to_str().unwrap(), "--format", "csv", "--quiet"],
            "",
        );
        assert!(judged.status.success(), "{}", text(&judged.stderr));
        let loss = |table: &str, column: &str| {
            let mut table = csv::Reader::from_reader(table.as_bytes());
            let at = table.headers().unwrap().iter().position(|name| name == column).expect("a column");
            table.records().next().unwrap().unwrap()[at].parse::<f64>().expect("a loss")
        };
        let trained = fs::read_to_string(Path::new(run).join("result.csv")).unwrap();
        let off = loss(&text(&judged.stdout), "loss") - loss(&trained, "test_loss");
        assert!(off.abs() < 1e-5, "{off}");
        // Greedy, and lines that are empty or have no end.
        let few = luna(&["translate", run, "--beam", "1"], "1 2 3\n\n3 2 1");
        assert_eq!(text(&few.stdout).lines().count(), 3);
        assert_eq!(text(&few.stdout).lines().nth(1), Some(""));
        // What an editor puts in front of a text is no part of its first line, or of that of a reference.
        let marked = folder.join("marked.b");
        fs::write(&marked, format!("\u{feff}{to}")).unwrap();
        let scored =
            luna(&["translate", run, "--reference", marked.to_str().unwrap()], &format!("\u{feff}{from}"));
        assert_eq!(
            (text(&scored.stdout), text(&scored.stderr)),
            (text(&written.stdout), text(&written.stderr))
        );
        assert!(luna(&["translate", run], "\u{feff}").stdout.is_empty());
    }
    // A run that goes on has the same vocabulary and takes no step again.
    let resumed = train(folder, "softmax", &["--steps", "300", "--resume"]);
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
    let refused = |args: &[&str], input: &str, part: &str| {
        let output = luna(args, input);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(part) && said.trim().lines().count() == 1, "{said}");
    };
    let run = &*folder.join("softmax").to_string_lossy().into_owned();
    refused(&["translate", run, "--beam", "0"], "", "--beam");
    refused(&["translate", run, "--length-penalty=-1"], "", "--length-penalty");
    refused(&["translate", run, "--reference", "none"], "", "none");
    refused(&["translate", run], &"1 ".repeat(60), "24");
    refused(&["translate", folder.to_str().unwrap()], "", "config.json");
    let wide = folder.join("wide.txt");
    fs::write(&wide, b"\xff\xfe1\0 \0").unwrap();
    refused(&["translate", run, "--input", wide.to_str().unwrap()], "", "UTF-16");
    refused(&["generate", run], "", "luna translate");
    refused(&["evaluate", run, "--data", "x"], "", "x.a");
    refused(&["svd-spectrum", "--model", run], "", "luna translate");
    // Sizes that would be memory, before anything is learned.
    let (data, task) = (folder.join("train"), "translation:from=a,to=b,vocab=4000000000");
    refused(&["train", "--task", task, "--data", data.to_str().unwrap()], "", "to 1048576");
    // Files that do not fit, and lengths that no pair has.
    for (attention, more, part) in [
        ("luna-causal:l=4", &[][..], "not causal"),
        ("luna:l=2", &["--decoder", "linear"], "softmax, luna, luna-self, luna-source"),
    ] {
        let new = folder.join("new");
        let more = [&["--steps", "2", "--out", new.to_str().unwrap()], more].concat();
        let refused = train(folder, attention, &more);
        assert!(text(&refused.stderr).contains(part), "{}", text(&refused.stderr));
    }
    // The step behind which a Luna encoder hands its rows, and no P, to a softmax decoder.
    let columns = ["--steps", "2", "--seeds", "2", "--format", "csv", "--columns", "attention,decoder,seed"];
    let mixed = train(folder, "luna:l=2", &[&columns[..], &["--decoder", "softmax"]].concat());
    assert!(
        text(&mixed.stdout).ends_with("\nluna:l=2,softmax,0\nluna:l=2,softmax,1\n"),
        "{}",
        text(&mixed.stderr)
    );
    let own = train(folder, "luna:l=3", &columns);
    assert!(text(&own.stdout).ends_with("\nluna:l=3,luna,0\nluna:l=3,luna,1\n"), "{}", text(&own.stderr));
    refused(&["train", "--task", "recall", "--decoder", "softmax"], "", "--task translation");
    let short = train(folder, "luna:l=1", &["--steps", "2", "--seq-len", "1"]);
    assert!(text(&short.stderr).contains("--seq-len"), "{}", text(&short.stderr));
    fs::write(folder.join("train.b"), "eins\n").unwrap();
    let uneven = train(folder, "luna:l=5", &["--steps", "2"]);
    assert!(text(&uneven.stderr).contains("ends after line 1"), "{}", text(&uneven.stderr));
}
