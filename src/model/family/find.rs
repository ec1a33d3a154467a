//! Families by name.

use super::{ALL, Family};
use crate::{Error, Result, name};

impl Family {
    /// The family of a `model_type`; an unknown one answers with the list.
    pub fn find(model_type: &str) -> Result<&'static Self> {
        let known = || ALL.iter().map(|family| family.name);
        ALL.iter().find(|family| family.name == model_type).copied().ok_or_else(|| Error::UnknownName {
            kind: "model_type",
            name: model_type.to_string(),
            suggestion: name::suggest(model_type, known()),
            known: known().map(String::from).collect(),
        })
    }
}
