//! The commands of README.md and docs/: what a console block shows is what the program prints, and every other command
//! that a page names is one that the program accepts.
//!
//! `LUNA_DOCS=overwrite cargo test --release --test it readme` writes the program's output into the console blocks. In a
//! block, `...` on a line of its own stands for any lines and `[..]` for any characters; both survive an overwriting.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use luna::cli::App;

/// One command of a console block, and what the page says that it prints.
struct Shown {
    command: String,
    code: i32,
    /// The expected lines, by their place in the page.
    lines: std::ops::Range<usize>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md, CONTRIBUTING.md and the pages of docs/.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("a folder docs");
    let mut pages: Vec<_> = docs.map(|entry| entry.expect("an entry").path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|page| root().join(page)));
    pages.sort();
    pages
}

/// The lines of the fenced blocks of one language, each block by its place in the page.
fn blocks(page: &[&str], language: &str) -> Vec<std::ops::Range<usize>> {
    let fences: Vec<usize> = (0..page.len()).filter(|&i| page[i].starts_with("```")).collect();
    let pairs = fences.chunks_exact(2).filter(|pair| page[pair[0]] == format!("```{language}"));
    pairs.map(|pair| pair[0] + 1..pair[1]).collect()
}

fn shown(page: &[&str], block: std::ops::Range<usize>) -> Vec<Shown> {
    let starts: Vec<usize> = block.clone().filter(|&i| page[i].starts_with("$ ")).collect();
    let ends = starts.iter().skip(1).copied().chain([block.end]);
    let one = |(start, end): (&usize, usize)| {
        let code = page.get(start + 1).and_then(|line| line.strip_prefix("? "));
        Shown {
            command: page[*start]["$ ".len()..].into(),
            code: code.map_or(0, |code| code.parse().expect("an exit code")),
            lines: start + 1 + usize::from(code.is_some())..end,
        }
    };
    starts.iter().zip(ends).map(one).collect()
}

/// The words of a command as a shell would split it, up to a pipe, a redirection or a comment.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for letter in command.chars() {
        match (letter, quote) {
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            (' ', None) => words.push(String::new()),
            _ => words.last_mut().expect("never empty").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    let end = words.iter().position(|word| ["|", "<", ">", "#"].contains(&word.as_str()));
    words.truncate(end.unwrap_or(words.len()));
    words
}

/// Standard output and standard error of a command that begins with `luna`, and its exit code.
fn run(command: &str) -> (Vec<String>, Option<i32>) {
    let words = words(command);
    assert_eq!(words[0], "luna", "'{command}' is not a command of this program");
    let mut luna = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    // As wide as a block of a page may be, whatever terminal runs the tests.
    let output =
        luna.args(&words[1..]).current_dir(root()).env("COLUMNS", "100").output().expect("luna starts");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    (text.trim_end().lines().map(Into::into).collect(), output.status.code())
}

fn matches(pattern: &[&str], text: &[String]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((&"...", rest)), _) => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
        (Some((line, rest)), Some((found, after))) => line_matches(line, found) && matches(rest, after),
        _ => false,
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    match pattern.split_once("[..]") {
        None => pattern == line,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|line| {
            line.char_indices()
                .map(|(at, _)| at)
                .chain([line.len()])
                .any(|at| line_matches(rest, &line[at..]))
        }),
    }
}

/// The output with the elisions of `pattern`: each part between two `...` keeps its number of lines, and is found again by
/// its first line or, where that changed, by its first word. `None` where it cannot be found.
fn elided(pattern: &[&str], text: &[String]) -> Option<Vec<String>> {
    let (mut lines, mut at) = (Vec::new(), 0);
    for (index, part) in pattern.split(|line| *line == "...").enumerate() {
        let Some(first) = part.first() else {
            lines.push("...".into());
            continue;
        };
        if index > 0 {
            let word = |line: &str| line.split_whitespace().next().map(str::to_string);
            let same = |line: &String| line_matches(first, line);
            let alike = |line: &String| word(line) == word(first);
            at += text[at..].iter().position(same).or_else(|| text[at..].iter().position(alike))?;
            if lines.last().is_none_or(|line| line != "...") {
                lines.push("...".into());
            }
        }
        for (offset, line) in part.iter().enumerate() {
            let found = text.get(at + offset)?;
            lines.push(if line_matches(line, found) { (*line).into() } else { found.clone() });
        }
        at += part.len();
    }
    if !pattern.contains(&"...") {
        lines.extend_from_slice(&text[at..]);
    }
    Some(lines)
}

#[test]
fn console_blocks_show_what_the_program_prints() {
    let overwrite = std::env::var_os("LUNA_DOCS").is_some_and(|value| value == "overwrite");
    let mut wrong = Vec::new();
    for path in pages() {
        let text = fs::read_to_string(&path).expect("a page");
        let page: Vec<&str> = text.lines().collect();
        let mut new: Vec<String> = page.iter().map(ToString::to_string).collect();
        let commands = blocks(&page, "console").into_iter().flat_map(|block| shown(&page, block));
        // From the end, so that lines written do not move those that are still to come.
        for shown in commands.collect::<Vec<_>>().into_iter().rev() {
            let (found, code) = run(&shown.command);
            let mut pattern = &page[shown.lines.clone()];
            while let Some(("", rest)) = pattern.split_last().map(|(last, rest)| (*last, rest)) {
                pattern = rest;
            }
            if code == Some(shown.code) && matches(pattern, &found) {
                continue;
            }
            let place = format!("{}: $ {}", path.display(), shown.command);
            match elided(pattern, &found) {
                Some(lines) if overwrite && code == Some(shown.code) => {
                    new.splice(shown.lines.start..shown.lines.start + pattern.len(), lines);
                }
                _ => wrong.push(format!("{place}\nexit code {code:?}, output:\n{}\n", found.join("\n"))),
            }
        }
        if overwrite {
            fs::write(&path, new.join("\n") + "\n").expect("a page that can be written");
        }
    }
    assert!(wrong.is_empty(), "LUNA_DOCS=overwrite writes the output into the pages\n\n{}", wrong.join("\n"));
}

#[test]
fn commands_on_the_pages_are_accepted() {
    for path in pages() {
        let text = fs::read_to_string(&path).expect("a page");
        let page: Vec<&str> = text.lines().collect();
        for line in blocks(&page, "sh").into_iter().flatten().map(|i| page[i]) {
            if !line.starts_with("luna ") {
                continue;
            }
            let argv = words(line);
            if argv[1] == "run" {
                assert!(root().join(&argv[2]).is_file(), "{}: {line}", path.display());
            } else if let Err(error) = App::try_parse_from(argv) {
                panic!("{}: {line}\n{error}", path.display());
            }
        }
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    for path in pages() {
        let text = fs::read_to_string(&path).expect("a page");
        for (at, _) in text.match_indices("](") {
            let (target, _) = text[at + 2..].split_once(')').expect("a link that ends");
            let file = target.split('#').next().unwrap_or(target);
            if !target.contains("://") && !file.is_empty() {
                let folder = path.parent().expect("a folder");
                assert!(folder.join(file).exists(), "{}: {target}", path.display());
            }
        }
    }
}

#[test]
fn elisions_match_and_survive() {
    let text: Vec<String> = ["Title", "a 1", "b 2", "", "note 3", "end"].map(Into::into).to_vec();
    assert!(matches(&["Title", "a [..]", "..."], &text) && matches(&["...", "end"], &text));
    assert!(!matches(&["Title", "..", "end"], &text) && !matches(&["Title", "...", "a"], &text));
    let old = ["Title", "a 9", "...", "note 8", "..."];
    assert_eq!(elided(&old, &text).expect("found"), ["Title", "a 1", "...", "note 3", "..."]);
    assert_eq!(elided(&["Old", "a [..]"], &text[..2]).expect("found"), ["Title", "a [..]"]);
    assert!(elided(&["...", "gone"], &text).is_none());
    assert_eq!(words("luna a --b \"c d\" < e # f"), ["luna", "a", "--b", "c d"]);
}
