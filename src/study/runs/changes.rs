//! What differs between the stamps of runs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::open::Run;
use crate::report::{Cell, Column, Digits, Stamp, Table, shorten};

/// Facts that differ between any two runs, or that other lines say better.
const UNTOLD: [&str; 2] = ["date", "command"];
/// Options that say how a result is shown, not what is measured.
const SHOWN: [&str; 8] = ["--out", "--quiet", "--format", "--columns", "--plot", "--by", "--sort", "--where"];
/// Characters of a value that are shown.
const WIDTH: usize = 60;

/// A line for each fact in which a run differs from the first, with what is in one of the two only; none if nothing does.
pub(super) fn table(runs: &[Run]) -> Option<Table> {
    let (first, others) = runs.split_first()?;
    let text = |name: &str, about: &str| Column::new(name, "", about, Digits::Text);
    let mut columns = vec![text("fact", "what differs, by its name in the stamp")];
    if others.len() > 1 {
        columns.push(text("run", "the run that differs from the first"));
    }
    columns.extend([text("first", "of the first run"), text("other", "of the other one")]);
    let mut table = Table::new(format!("What differs from {}", first.name()), columns);
    for other in others {
        for (fact, [of_first, of_other]) in between(&first.report.stamp, &other.report.stamp) {
            let mut row: Vec<Cell> = vec![fact.into()];
            row.extend((others.len() > 1).then(|| other.name().into()));
            row.extend([of_first, of_other].map(Cell::from));
            table.push(row);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// The facts that differ, and what each side has that the other has not.
fn between(first: &Stamp, other: &Stamp) -> Vec<(String, [String; 2])> {
    let stamps = [first, other];
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (fact, _) in stamps.iter().flat_map(|stamp| stamp.iter()) {
        let values = stamps.map(|stamp| stamp.get(fact));
        if values[0] != values[1] && !UNTOLD.contains(&fact) && seen.insert(fact) {
            let lists = values.map(words);
            // Of a few numbers, such as windows, the whole list says what was done; of names what differs is enough.
            let are_numbers = values.iter().flatten().all(|value| is_of_numbers(value));
            let fit = lists.iter().all(|words| words.join(", ").chars().count() <= WIDTH);
            let sides = if are_numbers && fit { lists } else { apart(lists) };
            let digits = if fact.ends_with("sha256") { 12 } else { WIDTH };
            found.push((fact.to_string(), sides.map(|words| shorten(&words.join(", "), digits))));
        }
    }
    let options = stamps.map(|stamp| {
        options(stamp.get("command"), &|name| stamps.iter().any(|stamp| stamp.get(name).is_some()))
    });
    if options[0] != options[1] {
        found.push(("command".into(), apart(options).map(|words| shorten(&words.join(" "), WIDTH))));
    }
    found
}

/// What is in one list and not in the other; the whole lists where they differ in their order only.
fn apart([a, b]: [Vec<String>; 2]) -> [Vec<String>; 2] {
    let less =
        |a: &[String], b: &[String]| a.iter().filter(|word| !b.contains(word)).cloned().collect::<Vec<_>>();
    match [less(&a, &b), less(&b, &a)] {
        [one, other] if one.is_empty() && other.is_empty() => [a, b],
        sides => sides,
    }
}

fn is_of_numbers(value: &Value) -> bool {
    value.as_array().is_some_and(|all| all.iter().all(Value::is_number))
}

/// A value as a list: its elements, its entries, or itself.
fn words(value: Option<&Value>) -> Vec<String> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToString::to_string);
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(all)) => all.iter().map(plain).collect(),
        Some(Value::Object(all)) => {
            all.iter().map(|(key, value)| format!("{key} {}", plain(value))).collect()
        }
        Some(value) => vec![plain(value)],
    }
}

/// The options of a command with their values, of those that no other fact tells.
fn options(command: Option<&Value>, is_told: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut options: Vec<String> = vec![String::new()];
    for word in words(command) {
        match options.last_mut() {
            Some(last) if !word.starts_with('-') && !last.is_empty() => last.extend([" ", &word]),
            _ => options.push(word),
        }
    }
    options.retain(|option| {
        let name = option.split([' ', '=']).next().unwrap_or_default();
        let fact = name.trim_start_matches('-').replace('-', "_");
        let is_fact = name.starts_with("--") && is_told(&fact);
        !name.is_empty() && !SHOWN.contains(&name) && !is_fact
    });
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told_and_once() {
        let stamp = |facts: &[(&str, Value)]| {
            facts.iter().map(|(key, value)| ((*key).to_string(), value.clone())).collect()
        };
        let command = |text: &str| ("command", Value::from(text.split(' ').collect::<Vec<_>>()));
        let first: Stamp = stamp(&[
            ("version", "0.1.0".into()),
            command("a --seed 1 --l 16 --quiet"),
            ("seed", 1.into()),
            ("cpu_features", vec!["avx", "fma"].into()),
            ("judging_windows", vec![1, 3, 4].into()),
            ("date", "x".into()),
        ]);
        let other: Stamp = stamp(&[
            ("version", "0.1.0".into()),
            command("a --seed 2 --l 16 64 --plot"),
            ("seed", 2.into()),
            ("cpu_features", vec!["fma", "neon"].into()),
            ("judging_windows", vec![1, 3].into()),
            ("text", "b.txt".into()),
        ]);
        let told = |a: &Stamp, b: &Stamp| -> Vec<String> {
            between(a, b).into_iter().map(|(fact, [a, b])| format!("{fact}: {a} | {b}")).collect()
        };
        let expected = [
            "seed: 1 | 2",
            "cpu_features: avx | neon",
            "judging_windows: 1, 3, 4 | 1, 3",
            "text:  | b.txt",
            "command: --l 16 | --l 16 64",
        ];
        assert_eq!(told(&first, &other), expected);
        assert!(told(&first, &first).is_empty());
    }
}
