//! The law of the modules: imports point down and run in no circle, and each dangerous thing has one door.
//!
//! Read from the text of the sources, so that a breach is named with its file and line. Comments, strings and unit
//! tests may name what they like: an import is code of the program itself.

mod circles;
mod source;

use std::fs;
use std::path::Path;

use source::{Line, code};

/// The first two carry the others.
const GROUND: &[&str] = &["error", "name", "file", "rng", "cost", "stats"];
const LARGEST: usize = 400;

/// What a module may import beside the ground, itself and the crate's root (`crate::Error`, `crate::Result`).
///
/// The longest matching path decides, so that a file can be allowed more than its folder.
const FLOORS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("name", &[]),
    ("file", &[]),
    ("rng", &[]),
    ("cost", &[]),
    ("stats", &["rng"]), // resampling draws from a labelled stream
    ("linalg", &[]),
    ("report", &[]),
    ("attention", &["linalg"]),
    ("metric", &["linalg"]), // never attention: a metric compares matrices, whoever made them
    ("task", &[]),
    ("profile", &[]),
    ("profile/calibrate", &["linalg"]),
    ("layer", &["linalg", "attention"]),
    ("model", &["linalg", "attention", "layer"]),
    ("network", &["linalg", "attention", "layer", "model"]),
    ("train", &["linalg", "attention", "layer", "model", "network", "task"]),
    ("sweep", &["profile"]), // a journal knows how long ago it was synchronised with the disk
    (
        "study",
        &[
            "sweep",
            "linalg",
            "report",
            "attention",
            "metric",
            "task",
            "profile",
            "layer",
            "model",
            "network",
            "train",
        ],
    ),
    (
        "cli",
        &[
            "sweep",
            "linalg",
            "report",
            "attention",
            "metric",
            "task",
            "profile",
            "layer",
            "model",
            "network",
            "train",
            "study",
        ],
    ),
];

/// Folders whose files still import each other in circles.
const CIRCLES_LEFT: &[&str] = &[];

/// Files that still stand beside a folder of their own name.
const FLAT_LEFT: &[&str] = &[];

/// The doors: what is spelled so may stand only in these files.
const DOORS: &[(&str, &[&str])] = &[
    ("println!", &["cli/", "main.rs"]),
    ("print!", &["cli/", "main.rs"]),
    ("eprintln!", &["cli/", "main.rs"]),
    ("eprint!", &["cli/", "main.rs"]),
    ("stdout", &["cli/", "main.rs"]),
    ("stderr", &["cli/", "main.rs"]),
    ("process::exit", &["cli/", "main.rs"]),
    ("Instant::now", &["profile/clock.rs"]),
    ("SystemTime::now", &["profile/clock.rs"]),
    ("unsafe", &["linalg/", "profile/memory.rs", "model/mapped.rs", "cli/signal.rs"]),
];

const NAMELESS: &[&str] = &["util", "utils", "helper", "helpers", "manager", "common", "misc"];

#[test]
fn the_modules_keep_the_law() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    gather(&src, &src, &mut files);
    assert!(files.len() > 10, "the sources were not found");
    let mut breaches: Vec<String> = files.iter().flat_map(|(path, text)| breaches(path, text)).collect();
    breaches.extend(circles::breaches(&files, CIRCLES_LEFT));
    breaches.extend(files.iter().filter_map(|(path, _)| flat(path, &files)));
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

/// Every Rust file below `folder`: its path from `src`, with forward slashes, and its text.
fn gather(src: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            gather(src, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let parts = path.strip_prefix(src).expect("below src").iter();
            let name = parts.map(|part| part.to_str().expect("a plain name")).collect::<Vec<_>>().join("/");
            files.push((name, fs::read_to_string(&path).expect("a text")));
        }
    }
}

/// What one file does against the law.
fn breaches(path: &str, text: &str) -> Vec<String> {
    let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let mut found = Vec::new();
    if let Some(word) = stem.split('/').find(|word| NAMELESS.contains(word)) {
        found.push(format!("{path}: '{word}' says nothing about what is in it"));
    }
    let lines = text.lines().count();
    let excused = || text.lines().take(10).any(|line| line.contains("400 lines"));
    if lines > LARGEST && !excused() {
        found.push(format!("{path}: {lines} lines, and its first lines give no reason for above 400 lines"));
    }
    let code = code(text);
    for Line { number, text } in &code {
        for (word, files) in DOORS {
            if has_word(text, word) && !files.iter().any(|file| path.starts_with(file)) {
                found.push(format!("{path}:{number}: '{word}' belongs in {}", files.join(", ")));
            }
        }
    }
    if matches!(stem, "lib" | "main") {
        return found;
    }
    let floor = FLOORS.iter().filter(|(floor, _)| within(stem, floor)).max_by_key(|(floor, _)| floor.len());
    let Some((_, allowed)) = floor else {
        found.push(format!("{path}: its floor is not in the table of tests/it/floors.rs"));
        return found;
    };
    // From as deep as this file lies, that many `super::` lead out of the floor, unseen by the table above.
    let way_out = "super::".repeat(stem.split('/').count());
    for Line { number, text } in code.iter().filter(|line| line.text.contains(&way_out)) {
        found.push(format!("{path}:{number}: '{}' leaves the floor; say 'crate::'", text.trim()));
    }
    let own = stem.split('/').next().unwrap_or(stem);
    // The ground itself stands on the error and on names; every floor above stands on all of it.
    let below = if GROUND.contains(&own) { &GROUND[..2] } else { GROUND };
    let may = [&[own, "Error", "Result"], below, allowed].concat();
    for (number, module) in source::imports(&source::paths(&source::tokens(&code))) {
        if !may.contains(&module.as_str()) {
            found.push(format!("{path}:{number}: '{own}' may not import '{module}'"));
        }
    }
    found
}

/// A file beside a folder of its own name, where `x/mod.rs` is the one style.
fn flat(path: &str, files: &[(String, String)]) -> Option<String> {
    let stem = path.strip_suffix(".rs")?;
    let excused = FLAT_LEFT.contains(&path);
    let beside =
        files.iter().any(|(other, _)| other.strip_prefix(stem).is_some_and(|rest| rest.starts_with('/')));
    (beside && !excused).then(|| format!("{path}: beside a folder of its name; call it {stem}/mod.rs"))
}

fn within(stem: &str, floor: &str) -> bool {
    stem.strip_prefix(floor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether `word` stands in `line` as a word of its own (`println!` is not in `eprintln!`).
fn has_word(line: &str, word: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(letter) && !line[at + word.len()..].starts_with(letter))
}

#[test]
fn a_planted_breach_is_found() {
    for (path, text, breach) in [
        (
            "metric/max.rs",
            "\n\nuse crate::attention::Mask;\n",
            "metric/max.rs:3: 'metric' may not import 'attention'",
        ),
        (
            "metric/max.rs",
            "use crate::{Result, linalg::{gemm, svd},\n study};\n",
            "metric/max.rs:2: 'metric' may not import 'study'",
        ),
        (
            "linalg/svd.rs",
            "fn f() { luna::report::x() }\n",
            "linalg/svd.rs:1: 'linalg' may not import 'report'",
        ),
        ("rng.rs", "use crate::stats;\n", "rng.rs:1: 'rng' may not import 'stats'"),
        ("profile/clock.rs", "use crate::linalg;\n", "profile/clock.rs:1: 'profile' may not import 'linalg'"),
        (
            "study/a.rs",
            "fn f() {\n println!(\"{x}\") }\n",
            "study/a.rs:2: 'println!' belongs in cli/, main.rs",
        ),
        ("study/a.rs", "use std::process;\nprocess::exit(1)\n", "study/a.rs:2: 'process::exit' belongs"),
        ("task/a.rs", "unsafe { x() }\n", "task/a.rs:1: 'unsafe' belongs in linalg/"),
        ("model/utils.rs", "", "model/utils.rs: 'utils' says nothing"),
        ("model/manager/mod.rs", "", "'manager' says nothing"),
        ("metric/a.rs", "use super::super::attention;\n", "leaves the floor"),
        ("metric/mod.rs", "use super::attention;\n", "leaves the floor"),
        (
            "metric/a.rs",
            "#[cfg(test)]\nuse x::{y};\nuse crate::task;\n",
            "metric/a.rs:3: 'metric' may not import 'task'",
        ),
        ("attic/a.rs", "", "attic/a.rs: its floor is not in the table"),
    ] {
        let found = breaches(path, text);
        assert!(found.iter().any(|found| found.contains(breach)), "{path} {text:?}: {found:?}");
    }
    assert_eq!(breaches("task/long.rs", &"\n".repeat(401)).len(), 1);
    let files = ["task/a.rs", "task/a/b.rs", "task/ab.rs"].map(|path| (path.to_string(), String::new()));
    assert!(flat("task/a.rs", &files).is_some_and(|breach| breach.contains("task/a/mod.rs")));
    assert_eq!((flat("task/ab.rs", &files), flat("task/a/b.rs", &files)), (None, None));
}

#[test]
fn what_is_allowed_passes() {
    for (path, text) in [
        ("profile/calibrate.rs", "use crate::linalg::gemm;\n"),
        ("metric/a.rs", "use crate::{Error, Result, name::{self, suggest}, linalg};\nuse super::b;\n"),
        (
            "metric/a.rs",
            "/// As [`crate::attention`].\nfn f() -> &'static str { \"crate::attention, unsafe\" }\n",
        ),
        (
            "metric/a.rs",
            "/* crate::study /* unsafe */ */ fn f<'a>(c: char) -> bool { c == '\"' } // unsafe\n",
        ),
        (
            "metric/a.rs",
            "const T: &str = r#\"unsafe \" crate::cli\"#;\n#[cfg(test)]\nmod tests { use crate::task; }\n",
        ),
        (
            "metric/a.rs",
            "#[cfg(test)]\nmod sample {\n use super::super::task;\n fn f() {}\n}\nuse crate::linalg;\n",
        ),
        ("linalg/exp.rs", "unsafe { x() }\n"),
        ("cli/a.rs", "use crate::{study, report};\nfn f() { eprintln!() }\n"),
        ("lib.rs", "pub mod cli;\npub use crate::study::x;\n"),
    ] {
        assert_eq!(breaches(path, text), Vec::<String>::new(), "{path}");
    }
    let long = format!("//! More than 400 lines, for a reason.\n{}", "\n".repeat(400));
    assert_eq!(breaches("task/long.rs", &long), Vec::<String>::new());
}
