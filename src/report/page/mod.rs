//! A result as one page of HTML that needs nothing beside it: text, tables and figures that can be read without a script,
//! a script that lets a reader point, sort and filter, and the data themselves, which [`crate::study::runs::Run`] reads back.

mod data;
mod html;
mod markdown;

pub use data::{Kept, data_of, is_page, is_whole, kept};
pub use html::to_html;
pub use markdown::to_markdown;

use std::path::PathBuf;

use super::Table;

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// Below the title: what was asked.
    pub question: String,
    /// What follows, from the most important on.
    pub sections: Vec<Section>,
    /// What the script reads and what luna reads back, by identifier: JSON.
    pub data: Vec<(String, String)>,
}

/// A part of a page with a heading.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// What stands below it.
    pub parts: Vec<Part>,
}

/// What a section holds.
#[derive(Clone, Debug)]
pub enum Part {
    /// A heading below that of the section.
    Heading(String),
    /// Sentences, each of its own: what came out.
    Findings(Vec<String>),
    /// A list of sentences.
    Notes(Vec<String>),
    /// What is so, by name.
    Facts(Vec<(String, String)>),
    /// A command to copy.
    Command(String),
    /// A table; one of many rows is scrolled.
    Table(Table),
    /// A figure.
    Figure {
        /// As [`to_svg`](super::to_svg) draws it.
        svg: String,
        /// Its name, without the ending of the file.
        name: String,
        /// Where its file is.
        path: PathBuf,
        /// The number of the run: the script finds its data as `run-0`, those behind a heat map as `heads-0`.
        run: usize,
    },
    /// What the script draws the curves of a single head into.
    Template {
        /// A figure with as many lines as a head has curves.
        svg: String,
        /// The number of the run.
        run: usize,
    },
    /// All rows of a run, by the number of its data; the script shows them.
    Rows(usize),
    /// What most readers skip: under a line that opens it.
    Folded(String, Vec<Part>),
}
