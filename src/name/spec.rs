//! Things with parameters, `name:key=value,key=value`, and comma lists of them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::{Item, suggest};
use crate::error::{Error, Result};

const GRAMMAR: &str = "name or name:key=value,key=value";

/// A name with the parameters that were typed after it: `local:w=17`.
///
/// Printed and read back it is the same, so that it can label a random stream and a row of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The name before the colon.
    pub name: String,
    /// Key and value of each parameter, in the order typed; no key stands twice.
    pub params: Vec<(String, String)>,
}

/// A parameter that something takes: an entry of its registry line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Param {
    /// The key.
    pub name: &'static str,
    /// The value when none is typed; `None` if the parameter is then off.
    pub default: Option<&'static str>,
    /// One line about it.
    pub about: &'static str,
}

/// The parameters of one [`Spec`], checked against what their owner takes.
#[derive(Debug)]
pub struct Params<'a> {
    spec: &'a Spec,
    owner: String,
    takes: &'a [Param],
}

/// Reads a comma list of specs: `luna:l=16,tied=true,softmax`.
///
/// A piece of the form `key=value` goes on with the parameters of the spec before it; any other piece begins a new
/// one. Values therefore hold no comma.
pub fn specs(text: &str) -> Result<Vec<Spec>> {
    let refused = |piece: &str| Error::value("spec", piece, GRAMMAR);
    let mut specs: Vec<Spec> = Vec::new();
    for piece in text.split(',').map(str::trim) {
        let colon = piece.find(':').unwrap_or(piece.len());
        let equals = piece.find('=').unwrap_or(piece.len());
        let param = if equals < colon {
            piece
        } else {
            let name = piece[..colon].trim();
            if name.is_empty() {
                return Err(refused(piece));
            }
            specs.push(Spec { name: name.to_string(), params: Vec::new() });
            if colon == piece.len() {
                continue;
            }
            &piece[colon + 1..]
        };
        let (Some((key, value)), Some(spec)) = (param.split_once('='), specs.last_mut()) else {
            return Err(refused(piece));
        };
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value.is_empty() {
            return Err(refused(piece));
        }
        if spec.typed(key).is_some() {
            let what = format!("parameter '{key}' of '{}'", spec.name);
            return Err(Error::value(what, value, "one value for each parameter"));
        }
        spec.params.push((key.to_string(), value.to_string()));
    }
    Ok(specs)
}

/// What is taken, with defaults, as messages and `luna list` show it: `w=17, d_h=64`, or `nothing`.
pub fn takes(params: &[Param]) -> String {
    let shown: Vec<String> = params
        .iter()
        .map(|param| match param.default {
            Some(default) => format!("{}={default}", param.name),
            None => format!("{}=", param.name),
        })
        .collect();
    if shown.is_empty() { "nothing".to_string() } else { shown.join(", ") }
}

impl Spec {
    /// The value typed for a key, if there is one.
    pub fn typed(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Whether it names the same with the same parameters, in whatever order.
    pub fn is_alike(&self, other: &Self) -> bool {
        self.name == other.name
            && self.params.len() == other.params.len()
            && self.params.iter().all(|one| other.params.contains(one))
    }

    /// The same without a key.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        let mut spec = self.clone();
        spec.params.retain(|(known, _)| known != key);
        spec
    }

    /// Checks the keys against what a thing of this name takes; `kind` is for messages ("synthetic input").
    pub fn params<'a>(&'a self, kind: &str, takes: &'a [Param]) -> Result<Params<'a>> {
        let owner = format!("{kind} '{}'", self.name);
        for (key, _) in &self.params {
            if !takes.iter().any(|param| param.name == key) {
                return Err(Error::UnknownParameter {
                    owner,
                    name: key.clone(),
                    suggestion: suggest(key, takes.iter().map(|param| param.name)),
                    takes: self::takes(takes),
                });
            }
        }
        Ok(Params { spec: self, owner, takes })
    }
}

impl Params<'_> {
    /// The value typed for `name`, else its default.
    ///
    /// # Panics
    /// If the owner does not declare `name` with a default: a mistake in its registry line, not in what was typed.
    pub fn get<T: Item>(&self, name: &str) -> Result<T> {
        let value = self.optional(name)?;
        Ok(value.unwrap_or_else(|| panic!("{} declares no default for '{name}'", self.owner)))
    }

    /// The value typed for `name`, else its default, else `None`.
    pub fn optional<T: Item>(&self, name: &str) -> Result<Option<T>> {
        let default = || self.takes.iter().find(|param| param.name == name)?.default;
        self.spec.typed(name).or_else(default).map(|value| T::read(&self.what(name), value)).transpose()
    }

    /// Whether a value was typed for `name`, and none is taken from the default.
    pub fn is_typed(&self, name: &str) -> bool {
        self.spec.typed(name).is_some()
    }

    /// As [`get`](Self::get), and at least `least`.
    ///
    /// # Panics
    /// As [`get`](Self::get) does.
    pub fn at_least<T: Item + Copy + PartialOrd + fmt::Display>(&self, name: &str, least: T) -> Result<T> {
        let value: T = self.get(name)?;
        if value < least {
            return Err(self.refuse(name, &value, &format!("{least} or more")));
        }
        Ok(value)
    }

    /// As [`get`](Self::get), and from `least` to `most`.
    ///
    /// # Panics
    /// As [`get`](Self::get) does.
    pub fn within<T: Item + Copy + PartialOrd + fmt::Display>(
        &self,
        name: &str,
        least: T,
        most: T,
    ) -> Result<T> {
        let value: T = self.get(name)?;
        if value < least || value > most {
            return Err(self.refuse(name, &value, &format!("{least} to {most}")));
        }
        Ok(value)
    }

    /// The error for a value that the owner cannot work with.
    pub fn refuse(&self, name: &str, value: &impl ToString, accepted: &str) -> Error {
        Error::value(self.what(name), value.to_string(), accepted)
    }

    fn what(&self, name: &str) -> String {
        format!("parameter '{name}' of {}", self.owner)
    }
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut specs = specs(text)?;
        match (specs.pop(), specs.is_empty()) {
            (Some(spec), true) => Ok(spec),
            _ => Err(Error::value("spec", text, GRAMMAR)),
        }
    }
}

impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (i, (key, value)) in self.params.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAKES: &[Param] = &[
        Param { name: "w", default: Some("17"), about: "width" },
        Param { name: "logit_sd", default: None, about: "spread" },
    ];

    fn spec(text: &str) -> Spec {
        text.parse().unwrap()
    }

    #[test]
    fn a_comma_goes_on_or_begins_anew() {
        let parsed = specs("a:x=1,y=2, b ,c:file=C:/x,d").unwrap();
        let shown: Vec<String> = parsed.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a:x=1,y=2", "b", "c:file=C:/x", "d"]);
        assert_eq!(spec("a,x=1"), spec("a:x=1"));
    }

    #[test]
    fn what_is_no_spec_is_refused() {
        for text in ["", ",", "a,", ":x=1", "x=1", "a:", "a:x", "a:x=", "a:=1", "a:x=1,x=2", "a:x=1,:"] {
            assert!(specs(text).is_err(), "{text}");
        }
        assert!("a,b".parse::<Spec>().is_err());
    }

    #[test]
    fn parameters_are_typed_and_defaulted() {
        let given = spec("local:logit_sd=1.5");
        let params = given.params("synthetic input", TAKES).unwrap();
        assert_eq!(params.at_least("w", 1usize).unwrap(), 17);
        assert_eq!(params.optional::<f64>("logit_sd").unwrap(), Some(1.5));
        let bare = spec("local");
        let params = bare.params("synthetic input", TAKES).unwrap();
        assert_eq!(params.optional::<f64>("logit_sd").unwrap(), None);
    }

    #[test]
    fn mistakes_name_their_owner() {
        let unknown = spec("local:logit-sd=1");
        assert_eq!(
            unknown.params("synthetic input", TAKES).unwrap_err().to_string(),
            "synthetic input 'local' takes no parameter 'logit-sd' (did you mean 'logit_sd'?); it takes: w=17, logit_sd="
        );
        let zero = spec("local:w=0");
        let error = zero.params("synthetic input", TAKES).unwrap().at_least("w", 1usize).unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameter 'w' of synthetic input 'local': '0' is not accepted; accepted: 1 or more"
        );
        assert_eq!(takes(&[]), "nothing");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(
            names in prop::collection::vec("[a-z][a-z0-9-]{0,5}", 1..4),
            keys in prop::collection::btree_set("[a-z_]{1,4}", 0..4),
            value in "[a-z0-9./:=-]{1,6}",
        ) {
            let params: Vec<_> = keys.into_iter().map(|key| (key, value.clone())).collect();
            let given: Vec<Spec> =
                names.into_iter().map(|name| Spec { name, params: params.clone() }).collect();
            let text = given.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            prop_assert_eq!(specs(&text).unwrap(), given);
        }

        #[test]
        fn no_text_panics(text in "[a-c:=, \\PC]*") {
            if let Ok(parsed) = specs(&text) {
                prop_assert!(!parsed.is_empty());
            }
        }
    }
}
