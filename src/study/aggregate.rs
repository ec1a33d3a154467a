//! What the rows of a study of heads are.

use clap::ValueEnum;

/// What the rows of the result are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Aggregate {
    /// Tables show means with intervals, JSON and CSV hold every head and window
    #[default]
    Auto,
    /// Means with intervals, everywhere
    #[value(alias = "true")]
    Yes,
    /// Every head and window, everywhere
    #[value(alias = "false")]
    No,
}

impl Aggregate {
    /// What it is where columns are chosen: as a table is shown, if it is one.
    #[must_use]
    pub fn of_columns(self, is_table: bool) -> Self {
        match (self, is_table) {
            (Self::Auto, true) => Self::Yes,
            (Self::Auto, false) => Self::No,
            (chosen, _) => chosen,
        }
    }
}
