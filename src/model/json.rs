//! JSON of model files as found in practice: a byte order mark, `NaN` as Python writes it, duplicate keys.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::file::refuse_pointer;
use crate::{Error, Result};

/// The object in the text of a file (`path` is named in errors, not read); `layout` describes a valid one.
///
/// A byte order mark is skipped. `NaN` and `Infinity`, which Python writes and JSON does not have, are read as strings of
/// that name, so that the error of a reader that needs a number shows them. A duplicate key is refused: parsers disagree on
/// which value counts.
pub(crate) fn object(path: &Path, text: &str, layout: &str) -> Result<Map<String, Value>> {
    refuse_pointer(path, text.as_bytes())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let read = |text: &str| serde_json::from_str::<UniqueKeys>(text);
    let value = match read(text) {
        Err(error) if error.is_syntax() => read(&quoted(text)).map_err(|_| error),
        value => value,
    };
    match value {
        Ok(UniqueKeys(Value::Object(map))) => Ok(map),
        Ok(_) => Err(Error::malformed(path, "not a JSON object", layout)),
        Err(error) if error.is_data() => Err(Error::malformed(path, error, "each key once")),
        Err(error) => Err(Error::malformed(path, format!("not JSON: {error}"), "a JSON object")),
    }
}

/// The same text with `NaN`, `Infinity` and `-Infinity` outside of strings put between quotation marks.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut rest, mut inside) = (text, false);
    while let Some(letter) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| rest.starts_with(word));
        let length = match word {
            Some(word) if !inside => {
                out.extend(["\"", word, "\""]);
                word.len()
            }
            _ => {
                // A character after a backslash does not end the string.
                let escaped = inside && letter == '\\';
                inside ^= letter == '"';
                let length = rest.chars().take(1 + usize::from(escaped)).map(char::len_utf8).sum();
                out.push_str(&rest[..length]);
                length
            }
        };
        rest = &rest[length..];
    }
    out
}

/// A JSON value in which no object has a duplicate key.
struct UniqueKeys(Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build).map(UniqueKeys)
    }
}

struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueKeys(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            let twice = format!("key '{}' stands twice", key.escape_debug());
            let UniqueKeys(value) = object.next_value()?;
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom(twice));
            }
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Map<String, Value>> {
        object(Path::new("c"), text, "an object")
    }

    #[test]
    fn what_python_writes_is_read() {
        let text =
            "\u{feff}{\"a\": NaN, \"b\": [-Infinity, 1.5], \"c \\\" NaN\": \"Infinity\", \"d\": Infinity}";
        let map = read(text).unwrap();
        assert_eq!(map["a"], "NaN");
        assert_eq!(map["b"], serde_json::json!(["-Infinity", 1.5]));
        assert_eq!((&map["c \" NaN"], &map["d"]), (&"Infinity".into(), &"Infinity".into()));
    }

    #[test]
    fn what_is_no_object_or_ambiguous_is_refused() {
        for (text, part) in [
            (
                "{\"a\": 1, \"b\": 2, \"a\": 1}",
                "'c': key 'a' stands twice at line 1 column 24; expected each key once",
            ),
            ("{\"r\": {\"t\\n\": 1, \"t\\n\": 2}}", "'c': key 't\\n' stands twice"),
            ("[1]", "'c': not a JSON object; expected an object"),
            ("{\"a\": Infinit}", "'c': not JSON: expected value at line 1 column 7"),
            ("{", "'c': not JSON: EOF"),
            ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n", "'c': a Git LFS pointer"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.starts_with(part) && !message.contains('\n'), "{message}");
        }
        assert!(read(&"[".repeat(1000)).is_err());
    }
}
