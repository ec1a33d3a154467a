//! Typed reading of JSON keys; every error names the file, the key, what it holds and what is accepted.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// Sizes above this are refused as mistakes (a width or a vocabulary of 16 million).
const LARGEST_SIZE: usize = 1 << 24;
const MAX_LAYERS: usize = 10_000;

/// Names the keys of `config.json` that are read.
pub(crate) trait KeyList: Sync {
    /// Whether a key is read.
    fn reads(&self, key: &str) -> bool;
}

/// One JSON object of a file. A key that holds null counts as missing.
pub(crate) struct Keys<'a> {
    path: &'a Path,
    map: &'a Map<String, Value>,
    /// The path of the object in the file ("`rope_parameters`."), empty at the top.
    within: String,
    /// The list that names every key that may be read.
    list: Option<&'static dyn KeyList>,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(path: &'a Path, map: &'a Map<String, Value>) -> Self {
        Self { path, map, within: String::new(), list: None }
    }

    /// The same with the list of a family: reading a key that the list does not name is a bug.
    pub(crate) fn listed_by(self, list: &'static dyn KeyList) -> Self {
        Self { list: Some(list), ..self }
    }

    /// The names that hold anything but null, in the order of the file.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'a str> {
        self.map.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key.as_str())
    }

    /// Whether a key is in the file, even with null.
    pub(crate) fn is_present(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// The name that the file uses for a key: the other one, if it is there.
    pub(crate) fn either(&self, key: &'a str, other: &'a str) -> &'a str {
        if self.has(other) { other } else { key }
    }

    /// The file.
    pub(crate) fn path(&self) -> &'a Path {
        self.path
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        debug_assert!(
            self.list.is_none_or(|list| list.reads(key)),
            "'{key}' is read, and the family's list does not name it"
        );
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The object under a key.
    pub(crate) fn section(&self, key: &str) -> Result<Option<Keys<'a>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let map = value.as_object().ok_or_else(|| self.wrong(key, "an object"))?;
        Ok(Some(Self { path: self.path, map, within: format!("{}{key}.", self.within), list: None }))
    }

    /// A needed size, from 1.
    pub(crate) fn size(&self, key: &str) -> Result<usize> {
        self.whole(key, 1, LARGEST_SIZE, None)
    }

    /// A size, from 1, or the default.
    pub(crate) fn size_or(&self, key: &str, default: usize) -> Result<usize> {
        self.whole(key, 1, LARGEST_SIZE, Some(default))
    }

    /// The needed number of layers.
    pub(crate) fn layers(&self, key: &str) -> Result<usize> {
        self.whole(key, 1, MAX_LAYERS, None)
    }

    /// A whole number from 0, or the default.
    pub(crate) fn count(&self, key: &str, default: usize) -> Result<usize> {
        self.whole(key, 0, LARGEST_SIZE, Some(default))
    }

    /// A needed whole number from 0; `accepted` says why it is needed.
    pub(crate) fn needed_count(&self, key: &str, accepted: &str) -> Result<usize> {
        if self.has(key) { self.count(key, 0) } else { Err(self.wrong(key, accepted)) }
    }

    fn whole(&self, key: &str, min: usize, max: usize, default: Option<usize>) -> Result<usize> {
        let accepted = || format!("a whole number from {min} to {max}");
        let Some(value) = self.get(key) else {
            return default.ok_or_else(|| self.missing(key, accepted()));
        };
        let whole = value.as_u64().and_then(|whole| usize::try_from(whole).ok());
        whole.filter(|whole| (min..=max).contains(whole)).ok_or_else(|| self.wrong(key, accepted()))
    }

    /// A number, or the default.
    pub(crate) fn number(&self, key: &str, default: f64) -> Result<f64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_f64().ok_or_else(|| self.wrong(key, "a number"))
    }

    /// A number above 0, or the default.
    pub(crate) fn positive_or(&self, key: &str, default: f64) -> Result<f64> {
        if self.has(key) { self.positive(key) } else { Ok(default) }
    }

    /// A needed number above 0.
    pub(crate) fn positive(&self, key: &str) -> Result<f64> {
        let accepted = "a number above 0";
        let value = self.get(key).ok_or_else(|| self.missing(key, accepted.into()))?;
        value.as_f64().filter(|x| x.is_finite() && *x > 0.0).ok_or_else(|| self.wrong(key, accepted))
    }

    /// true or false, or the default.
    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.wrong(key, "true or false"))
    }

    /// A name, or the default.
    pub(crate) fn name(&self, key: &str, default: &'a str) -> Result<&'a str> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_str().ok_or_else(|| self.wrong(key, "a name"))
    }

    /// A needed name.
    pub(crate) fn needed_name(&self, key: &str, accepted: impl Fn() -> String) -> Result<&'a str> {
        let value = self.get(key).ok_or_else(|| self.missing(key, accepted()))?;
        value.as_str().ok_or_else(|| self.wrong(key, accepted()))
    }

    /// A needed list of numbers.
    pub(crate) fn numbers(&self, key: &str) -> Result<Vec<f64>> {
        let accepted = "a list of numbers";
        let value = self.get(key).ok_or_else(|| self.missing(key, accepted.into()))?;
        let numbers = value.as_array().and_then(|items| items.iter().map(Value::as_f64).collect());
        numbers.ok_or_else(|| self.wrong(key, accepted))
    }

    /// A list of names, if the key is there.
    pub(crate) fn names(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let names = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
        names.map(Some).ok_or_else(|| self.wrong(key, "a list of names"))
    }

    /// At most so many names from lists of names, each with how often it is repeated (`[[["a", "b"], 2]]`), if the key is
    /// there.
    pub(crate) fn repeated_names(&self, key: &str, most: usize) -> Result<Option<Vec<&'a str>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let mut found = Vec::new();
        let mut add = |item: &'a Value| {
            let [names, times] = item.as_array()?.as_slice() else { return None };
            let names: Vec<&str> = names.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
            let all = names.len().checked_mul(usize::try_from(times.as_u64()?).ok()?)?;
            found.extend(names.iter().copied().cycle().take(all.min(most - found.len())));
            Some(())
        };
        let read = value.as_array().is_some_and(|items| items.iter().all(|item| add(item).is_some()));
        let accepted = "lists of names, each with how often it is repeated";
        if read { Ok(Some(found)) } else { Err(self.wrong(key, accepted)) }
    }

    /// Refuses a key that holds anything else than one of these values (as JSON, without quotes).
    pub(crate) fn only(&self, key: &str, accepted: &[&str]) -> Result<()> {
        let Some(value) = self.get(key) else { return Ok(()) };
        let text = value.as_str().map_or_else(|| value.to_string(), String::from);
        if accepted.contains(&text.as_str()) {
            return Ok(());
        }
        let none = "null (luna does not implement it)";
        Err(self.wrong(key, if accepted.is_empty() { none.into() } else { accepted.join(", ") }))
    }

    /// The width of one head, d / heads.
    pub(crate) fn head_width(&self, d: usize, heads: usize) -> Result<usize> {
        if d.is_multiple_of(heads) {
            return Ok(d / heads);
        }
        let what = format!("a width of {d} for {heads} heads");
        Err(Error::malformed(self.path, what, "a width that is a multiple of the heads"))
    }

    fn missing(&self, key: &str, accepted: String) -> Error {
        let key = format!("{}{key}", self.within);
        Error::Key { path: self.path.to_path_buf(), key, accepted }
    }

    /// The error of a key whose value is not accepted.
    pub(crate) fn wrong(&self, key: &str, accepted: impl Into<String>) -> Error {
        let mut value = self.get(key).unwrap_or(&Value::Null).to_string();
        if value.chars().count() > 40 {
            value = value.chars().take(40).chain(['…']).collect();
        }
        Error::malformed(self.path, format!("key '{}{key}' holds {value}", self.within), accepted)
    }
}

/// A note on unknown keys.
pub(crate) fn unused(keys: &[&str]) -> Option<String> {
    const SHOWN: usize = 12;
    const LONGEST: usize = 60;
    if keys.is_empty() {
        return None;
    }
    let clean = |key: &&str| key.escape_debug().take(LONGEST).collect::<String>();
    let mut names: Vec<String> = keys.iter().take(SHOWN).map(clean).collect();
    if keys.len() > SHOWN {
        names.push(format!("and {} more", keys.len() - SHOWN));
    }
    Some(format!("keys of config.json that luna does not know and did not use: {}", names.join(", ")))
}
