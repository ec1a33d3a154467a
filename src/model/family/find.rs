//! Families by name.

use super::{ALL, Family};
use crate::{Result, name};

impl Family {
    /// The family of a `model_type`; the error for an unknown one lists all.
    pub fn find(model_type: &str) -> Result<&'static Self> {
        name::find("model_type", model_type, ALL, |family| family.name).copied()
    }
}
