//! How a result was produced.

use serde_json::{Map, Value};

/// An ordered list of facts about a run: version, command line, seed, machine. The program fills it in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stamp(Vec<(String, Value)>);

impl Stamp {
    /// Adds a fact, or replaces the value of an existing key.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// The fact of this key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// The facts in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The values, mutable.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// The facts as a JSON object, in order.
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.iter().cloned().collect::<Map<_, _>>())
    }
}

impl FromIterator<(String, Value)> for Stamp {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(facts: I) -> Self {
        let mut stamp = Self::default();
        for (key, value) in facts {
            stamp.push(key, value);
        }
        stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_keep_their_order_and_the_last_word_wins() {
        let mut stamp = Stamp::default();
        stamp.push("version", "0.1.0");
        stamp.push("seed", 1);
        stamp.push("version", "0.2.0");
        assert_eq!(stamp.to_json().to_string(), r#"{"version":"0.2.0","seed":1}"#);
        assert_eq!(stamp.get("seed"), Some(&Value::from(1)));
    }
}
