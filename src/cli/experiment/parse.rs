//! Parses an experiment file into its entries; every mistake is one line that names its line in the file.

use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_yaml::Value;

use super::entry::{Entry, Experiment, Setting};
use crate::error::{Error, Result};

const ACCEPTED: &str = "a YAML mapping of long flags to values, such as 'seed: 7'";

/// More than any list of flags needs: bounds the cost of a wrong path.
const LARGEST: usize = 1 << 20;

/// Reads the text of an experiment file; `path` is for messages only.
pub fn parse(path: &Path, text: &str) -> Result<Experiment> {
    let malformed = |what: String| Error::malformed(path, what, ACCEPTED);
    if text.len() > LARGEST {
        return Err(malformed(format!("{} bytes, too many for an experiment file", text.len())));
    }
    if let Some(line) = text.lines().position(|line| line.trim_start_matches(' ').starts_with('\t')) {
        return Err(malformed(format!("line {}: indented by a tab", line + 1)));
    }
    let yaml = |error: serde_yaml::Error| malformed(one_line(&error.to_string()));
    // Once for the types of the values, and again for their text: as a number, `1.10` would become `1.1`.
    let pairs: Pairs = pairs(text).map_err(yaml)?;
    let types = pairs
        .into_iter()
        .map(|(key, value)| type_of(&key, &value, text).map_err(malformed))
        .collect::<Result<Vec<Typed>>>()?;
    let settings = Texts(&types).deserialize(serde_yaml::Deserializer::from_str(text)).map_err(yaml)?;

    let mut entries: Vec<Entry> = Vec::with_capacity(settings.len());
    for (typed, (key, setting)) in types.iter().zip(settings) {
        if entries.iter().any(|entry| entry.key == key) {
            return Err(malformed(format!(
                "line {}: '{}' is there twice",
                last_line(text, &key),
                one_line(&key)
            )));
        }
        entries.push(Entry { key, line: typed.line, setting });
    }
    let command = entries.iter().position(|entry| entry.key == "command").map(|at| entries.remove(at));
    Ok(Experiment { path: path.to_path_buf(), command, entries })
}

/// Keys are texts: the flag `--null` is the key `null`, which YAML would read as no value.
type Pairs = Vec<(String, Value)>;

/// The type of one value, and the line of its key.
struct Typed {
    line: usize,
    shape: Shape,
}

enum Shape {
    Switch(bool),
    Text,
    List,
}

/// The type of a value, or what is wrong with it.
fn type_of(key: &str, value: &Value, text: &str) -> Result<Typed, String> {
    let line = line_of(text, key);
    let wrong = |what: &str| Err(format!("line {line}: '{}' {what}", one_line(key)));
    let shape = match value {
        Value::Bool(on) => Shape::Switch(*on),
        Value::Number(_) | Value::String(_) => Shape::Text,
        Value::Sequence(items) if items.is_empty() => return wrong("has an empty list"),
        Value::Sequence(items) => {
            let plain = |item: &Value| matches!(item, Value::Number(_) | Value::String(_) | Value::Bool(_));
            if !items.iter().all(plain) {
                return wrong("has a list of something other than numbers and texts");
            }
            Shape::List
        }
        Value::Null => return wrong("has no value"),
        Value::Mapping(_) => return wrong("has a mapping for its value"),
        Value::Tagged(_) => return wrong("has a YAML tag"),
    };
    Ok(Typed { line, shape })
}

/// Keys and values of the mapping, repeated keys included; an empty file is an empty mapping.
fn pairs(text: &str) -> Result<Pairs, serde_yaml::Error> {
    struct Mapping;
    impl<'de> Visitor<'de> for Mapping {
        type Value = Pairs;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a mapping")
        }

        fn visit_unit<E>(self) -> Result<Pairs, E> {
            Ok(Vec::new())
        }

        fn visit_none<E>(self) -> Result<Pairs, E> {
            Ok(Vec::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    serde_yaml::Deserializer::from_str(text).deserialize_any(Mapping)
}

/// Reads the mapping again, each value as the text of its type.
struct Texts<'a>(&'a [Typed]);

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = Vec<(String, Setting)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = Vec<(String, Setting)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut settings = Vec::with_capacity(self.0.len());
        for typed in self.0 {
            let Some(key) = map.next_key()? else { break };
            let setting = match typed.shape {
                Shape::Switch(on) => {
                    map.next_value::<bool>()?;
                    Setting::Switch(on)
                }
                Shape::Text => Setting::Text(map.next_value()?),
                Shape::List => Setting::List(map.next_value()?),
            };
            settings.push((key, setting));
        }
        Ok(settings)
    }
}

/// The line on which `key` first stands as a key, from 1.
///
/// The YAML parser keeps no positions of keys. In a flat mapping a key begins its line or follows `{` or `,`; the first such
/// line is the right one, except in contrived texts.
fn line_of(text: &str, key: &str) -> usize {
    lines_of(text, key).next().unwrap_or(1)
}

fn last_line(text: &str, key: &str) -> usize {
    lines_of(text, key).last().unwrap_or(1)
}

fn lines_of(text: &str, key: &str) -> impl Iterator<Item = usize> {
    text.lines().enumerate().filter(move |(_, line)| has_key(line, key)).map(|(i, _)| i + 1)
}

fn has_key(line: &str, key: &str) -> bool {
    line.match_indices(key).any(|(at, _)| {
        let before = line[..at].trim_end_matches(['"', '\'']).trim_end();
        let after = line[at + key.len()..].trim_start_matches(['"', '\'']).trim_start();
        (before.is_empty() || before.ends_with(['{', ','])) && after.starts_with(':')
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Experiment> {
        parse(Path::new("run.yaml"), text)
    }

    fn refusal(text: &str) -> String {
        read(text).expect_err(text).to_string()
    }

    fn text(value: &str) -> Setting {
        Setting::Text(value.to_string())
    }

    #[test]
    fn values_are_read_as_written() {
        let file = "command: svd-spectrum # which\nrevision: 1.10\nseed: 0x10\nskip: 007\nlr: 1e-3\n'at': [16, 032]\n\
                    plot: true\nmodel: \"a: b\"\nnull: no\n1: ~x\n";
        let experiment = read(file).unwrap();
        assert_eq!(experiment.command.unwrap().setting, text("svd-spectrum"));
        let found: Vec<_> =
            experiment.entries.into_iter().map(|entry| (entry.key, entry.line, entry.setting)).collect();
        let expected = [
            ("revision", 2, text("1.10")),
            ("seed", 3, text("0x10")),
            ("skip", 4, text("007")),
            ("lr", 5, text("1e-3")),
            ("at", 6, Setting::List(vec!["16".into(), "032".into()])),
            ("plot", 7, Setting::Switch(true)),
            ("model", 8, text("a: b")),
            ("null", 9, text("no")),
            ("1", 10, text("~x")),
        ];
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(*found, (expected.0.to_string(), expected.1, expected.2));
        }
    }

    #[test]
    fn nothing_is_an_experiment_without_keys() {
        for nothing in ["", "# only a comment\n", "---\n", "{}"] {
            assert_eq!(read(nothing).unwrap().entries, [], "{nothing:?}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (file, what) in [
            ("seed: 1\nat:\n  deep: 1\n", "line 2: 'at' has a mapping for its value"),
            ("seed: 1\nat: [[1], 2]\n", "line 2: 'at' has a list of something other"),
            ("seed: 1\nat: []\n", "line 2: 'at' has an empty list"),
            ("seed:\n", "line 1: 'seed' has no value"),
            ("seed: 1\nat: 2\nseed: 3\n", "line 3: 'seed' is there twice"),
            ("seed: 1\n[a]: 2\n", "invalid type: sequence, expected a string at line 2"),
            ("seed: !x 1\n", "line 1: 'seed' has a YAML tag"),
            ("seed: 1\n\tat: 2\n", "line 2: indented by a tab"),
            ("- seed\n", "invalid type: sequence, expected a mapping"),
            ("seed\n", "expected a mapping"),
            ("a: [1\n", "line 2"),
            ("seed: 1\n---\nseed: 2\n", "more than one document"),
            ("a: *b\n", "unknown anchor"),
        ] {
            let refusal = refusal(file);
            assert!(refusal.contains(what), "{file:?}: {refusal}");
            assert!(!refusal.contains('\n'), "{refusal}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(file in "([a-c&*!|>'\"\\[\\]{}?#%@-]|[:,] |\n|\t|\\PC){0,40}") {
            let _ = read(&file);
        }
    }
}
