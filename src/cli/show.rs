//! `luna show`: a finished run printed again, without measuring.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::study::{self, OutputArgs};
use crate::report::Format;
use crate::study::runs::{Run, View};

/// What `luna show` takes.
#[derive(Args, Clone, Debug)]
pub struct Show {
    /// Folder of a finished run (of its --out), or a file in the format json
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// How to write the result: table, json, csv or markdown
    #[arg(long, value_name = "NAME", default_value = "table", value_parser = study::format)]
    format: &'static Format,
    /// What is printed of it.
    #[command(flatten)]
    view: View,
}

impl Show {
    /// Prints the run.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        study::refuse_binary(self.format)?;
        let Run { mut report, columns, .. } = Run::open(&self.run)?;
        let output = OutputArgs { format: self.format, out: None, plot: false, view: self.view.clone() };
        study::print(&mut report, &output, &columns, out)
    }
}
