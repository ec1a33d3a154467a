//! What a run was of, in words: the stamp as facts, and the command to repeat it.

use serde_json::Value;

use crate::report::{Stamp, shorten};

/// Facts about the machine and the program; the others are about what was measured.
const MACHINE: [&str; 9] =
    ["version", "commit", "date", "threads", "cpu", "cpu_features", "os", "engine", "interrupted"];
/// Told elsewhere.
const ELSEWHERE: [&str; 1] = ["command"];
/// Characters of a value.
const WIDTH: usize = 160;

/// The facts on what was measured, and those on the machine.
pub(super) fn facts(stamp: &Stamp) -> [Vec<(String, String)>; 2] {
    let fact = |(key, value): (&str, &Value)| (key.replace('_', " "), shorten(&words(value), WIDTH));
    let told = || stamp.iter().filter(|(key, _)| !ELSEWHERE.contains(key));
    let of = |machine: bool| told().filter(|(key, _)| MACHINE.contains(key) == machine).map(fact).collect();
    [of(false), of(true)]
}

/// What was measured, in one line; none if the stamp says nothing of it.
pub(super) fn subject(stamp: &Stamp) -> Option<String> {
    let told = ["model", "input", "text", "task", "seq_len", "windows", "steps"];
    let is_told =
        |key: &&&str| stamp.get(key).is_some() && (**key != "input" || stamp.get("model").is_none());
    let one = |key: &&str| {
        let value = stamp.get(key).map(words).unwrap_or_default();
        // The end of a long path says more than its beginning.
        let from = value.char_indices().rev().nth(59).map_or(0, |(at, _)| at);
        let cut = if from > 0 { "…" } else { "" };
        format!("{} {cut}{}", key.replace('_', " "), &value[from..])
    };
    let all: Vec<String> = told.iter().filter(is_told).map(one).collect();
    (!all.is_empty()).then(|| format!("measured on: {}", all.join("; ")))
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Object(all) => {
            all.iter().map(|(key, value)| format!("{key} {}", words(value))).collect::<Vec<_>>().join(", ")
        }
        Value::Null => "-".into(),
        Value::Bool(value) => if *value { "yes" } else { "no" }.into(),
        Value::Number(number) => number.to_string(),
    }
}

/// The command as a shell reads it; none if the stamp has none.
pub(super) fn command(stamp: &Stamp) -> Option<String> {
    let words = stamp.get("command")?.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
    let plain = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./,:=+@%".contains(c))
    };
    let quoted =
        |word: &str| if plain(word) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) };
    Some(
        std::iter::once("luna".to_string())
            .chain(words.into_iter().map(quoted))
            .collect::<Vec<_>>()
            .join(" "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_quoted_where_a_shell_needs_it() {
        let stamp = |words: Value| [("command".to_string(), words)].into_iter().collect::<Stamp>();
        let of = |words: Value| command(&stamp(words)).unwrap_or_default();
        let words =
            serde_json::json!(["svd-spectrum", "--text", "war and peace.txt", "--l", "16,64", "it's", ""]);
        assert_eq!(of(words), r"luna svd-spectrum --text 'war and peace.txt' --l 16,64 'it'\''s' ''");
        assert_eq!(of(Value::from("svd-spectrum")), "");
    }
}
