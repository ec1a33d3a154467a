//! Resumed runs: damaged records, and what is refused.

use std::fs;
use std::path::Path;

use clap::Parser;
use luna::linalg::engine::Engine;
use luna::report::Report;
use luna::study::svd_spectrum::{self, Config};
use luna::study::{Context, Unwatched};
use luna::sweep::RunFolder;

#[derive(Debug, Parser)]
struct Asked {
    #[command(flatten)]
    config: Config,
}

const FLAGS: [&str; 8] = ["--synthetic", "gaussian,iid", "--seq-len", "24", "--windows", "3", "--at", "4"];

/// A run in a folder, resumed if there is one.
fn run(flags: &[&str], seed: u64, folder: &Path) -> luna::Result<Report> {
    let asked = Asked::try_parse_from([&["svd-spectrum"], flags].concat()).unwrap();
    let folder = RunFolder { path: Some(folder.into()), resume: true, ..RunFolder::default() };
    let config = Config { folder, ..asked.config };
    svd_spectrum::run(&config, Context { seed, engine: Engine::Faer, watch: &Unwatched })
        .map(|outcome| outcome.report)
}

#[test]
fn a_truncated_or_damaged_journal_gives_the_same_result() {
    let other: [&[&str]; 3] = [
        &[],
        &["--method", "lanczos", "--top", "3"],
        &["--method", "quadrature", "--probes", "4", "--null-draws", "1"],
    ];
    for flags in other.map(|other| [&FLAGS[..], other].concat()) {
        let flags = &flags[..];
        let folder = tempfile::tempdir().unwrap();
        let expected = run(flags, 0, folder.path()).unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal = fs::read(&path).unwrap();
        let first = journal.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for share in 0..12 {
            let at = first + (journal.len() - first) * share / 12;
            fs::write(&path, &journal[..at]).unwrap();
            assert_eq!(run(flags, 0, folder.path()).unwrap(), expected, "cut at byte {at}");
            let mut damaged = journal.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(run(flags, 0, folder.path()).unwrap(), expected, "damaged at byte {at}");
        }
        // What only decides how results are shown may be asked for again.
        if flags.len() == FLAGS.len() {
            let again = run(&[flags, &["--aggregate"]].concat(), 0, folder.path()).unwrap();
            assert_eq!(again.rows.rows.len(), 2);
        }
    }
}

#[test]
fn another_configuration_or_input_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.txt");
    fs::write(&text, "to be or not to be, that is the question ".repeat(9)).unwrap();
    let model = folder.path().join("model");
    fs::create_dir(&model).unwrap();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/byte-transformer");
    for file in ["config.json", "model.safetensors"] {
        fs::copy(tiny.join(file), model.join(file)).unwrap();
    }
    let (text_flag, model_flag) = (text.to_str().unwrap(), model.to_str().unwrap());
    let flags =
        ["--model", model_flag, "--text", text_flag, "--seq-len", "24", "--windows", "2", "--layers", "0,1"];
    let more = ["--null-draws", "1", "--at", "4"];
    let flags = [&flags[..], &more].concat();
    let out = folder.path().join("run");
    run(&flags, 0, &out).unwrap();
    run(&flags, 0, &out).unwrap();
    let refused = |flags: &[&str], seed, what: &str| {
        let error = run(flags, seed, &out).unwrap_err().to_string();
        let expected = format!("the journal of another run ({what}");
        assert!(error.contains(&expected) && error.contains("--resume") && !error.contains('\n'), "{error}");
    };
    let with = |name: &str, value: &'static str| {
        let mut flags = flags.clone();
        let at = flags.iter().position(|flag| *flag == name).unwrap();
        flags[at + 1] = value;
        flags
    };
    refused(&flags, 1, "seed: '0' then, '1' now)");
    refused(&with("--seq-len", "32"), 0, "seq_len: '[24]' then, '[32]' now)");
    refused(&with("--null-draws", "2"), 0, "null_draws: '1' then, '2' now)");
    refused(&with("--at", "8"), 0, "at: '4' then, '8' now)");
    refused(&with("--layers", "0"), 0, "heads: ");
    refused(&[&flags[..], &["--null", "shuffled"]].concat(), 0, "null: ");
    let unchanged = fs::read(&text).unwrap();
    fs::write(&text, [&unchanged[..], b"."].concat()).unwrap();
    refused(&flags, 0, "text_sha256: ");
    fs::write(&text, unchanged).unwrap();
    let weights = model.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    refused(&flags, 0, "model_sha256: ");
}
