//! What claims are measured with: the input that the user named, and the other studies.

use std::cell::RefCell;
use std::collections::BTreeMap;

use clap::Args;

use super::config::Config;
use crate::error::{Error, Result, one_line};
use crate::report::Report;
use crate::study::scale_sweep::{self, ScaleSweepConfig};
use crate::study::{Context, Outcome, approx_error, svd_spectrum};
use crate::sweep::RunFolder;

/// What claims are measured with.
pub(super) struct Setting<'a> {
    pub(super) config: &'a Config,
    pub(super) context: Context<'a>,
    /// The longest length of the input.
    pub(super) n: usize,
    /// Results that were measured already, by their command.
    known: RefCell<BTreeMap<String, Report>>,
    #[cfg(test)]
    planted: Option<Report>,
}

impl<'a> Setting<'a> {
    pub(super) fn new(config: &'a Config, n: usize, context: Context<'a>) -> Self {
        Self {
            config,
            context,
            n,
            known: RefCell::default(),
            #[cfg(test)]
            planted: None,
        }
    }

    /// A quarter, a half and all of the length.
    pub(super) fn lengths(&self) -> Result<[usize; 3]> {
        if self.n < MIN_LENGTH {
            let accepted = format!(
                "{MIN_LENGTH} or more: claims about growth are judged at a quarter, a half and all of it"
            );
            return Err(Error::value("--seq-len", self.n, accepted));
        }
        Ok([self.n / 4, self.n / 2, self.n])
    }

    /// `luna svd-spectrum` on the input.
    pub(super) fn spectra(&self, words: &str, lengths: &[usize]) -> Result<(String, Report)> {
        self.measured("svd-spectrum", self.on_input(words, lengths), |words, folder| {
            let parsed: svd_spectrum::Config = parse(words)?;
            let config = svd_spectrum::Config { folder, ..parsed };
            svd_spectrum::run(&config, self.context)
        })
    }

    /// `luna approx-error` on the input.
    pub(super) fn errors(&self, words: &str, lengths: &[usize]) -> Result<(String, Report)> {
        self.measured("approx-error", self.on_input(words, lengths), |words, folder| {
            let parsed: approx_error::Config = parse(words)?;
            let config = approx_error::Config { folder, ..parsed };
            approx_error::run(&config, self.context)
        })
    }

    /// `luna scale-sweep`.
    pub(super) fn costs(&self, words: &str) -> Result<(String, Report)> {
        let words = words.split_whitespace().map(String::from).collect();
        self.measured("scale-sweep", words, |words, folder| {
            let parsed: ScaleSweepConfig = parse(words)?;
            let config = ScaleSweepConfig { folder, spawn: self.config.spawn, ..parsed };
            scale_sweep::run(&config, self.context)
        })
    }

    /// Words, those of the lengths and those of the input.
    fn on_input(&self, words: &str, lengths: &[usize]) -> Vec<String> {
        let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
        let words = words.split_whitespace().map(String::from);
        words.chain(["--seq-len".into(), lengths.join(",")]).chain(self.config.input.words()).collect()
    }

    /// Takes a result in the place of what every command would find.
    #[cfg(test)]
    pub(super) fn plant(&mut self, report: Report) {
        self.planted = Some(report);
    }

    /// Measures, or takes what the same command found before.
    fn measured(
        &self,
        study: &str,
        words: Vec<String>,
        run: impl FnOnce(&[String], RunFolder) -> Result<Outcome>,
    ) -> Result<(String, Report)> {
        let quoted = |word: &String| {
            if word.contains(char::is_whitespace) { format!("'{word}'") } else { word.clone() }
        };
        let command =
            [study.to_string()].into_iter().chain(words.iter().map(quoted)).collect::<Vec<_>>().join(" ");
        #[cfg(test)]
        if let Some(report) = &self.planted {
            return Ok((command, report.clone()));
        }
        if let Some(report) = self.known.borrow().get(&command) {
            return Ok((command, report.clone()));
        }
        let Outcome { report, complete } = run(&words, self.folder(&command))?;
        // A part of the windows would be another sample.
        if !complete {
            return Err(Error::Interrupted);
        }
        self.known.borrow_mut().insert(command.clone(), report.clone());
        Ok((command, report))
    }

    /// Where a command's cells are recorded: in a folder of its own of --out, named after it.
    fn folder(&self, command: &str) -> RunFolder {
        let of = &self.config.folder;
        let words = command.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let name: String = words.collect::<Vec<_>>().join("-").chars().take(100).collect();
        RunFolder { path: of.path.as_ref().map(|path| path.join("cells").join(name)), ..of.clone() }
    }
}

/// The shortest input for claims about growth.
const MIN_LENGTH: usize = 32;

/// The configuration of a study from the words of its command line.
fn parse<C: Args>(words: &[String]) -> Result<C> {
    let command = C::augment_args(clap::Command::new("luna").no_binary_name(true));
    let refused = |error: clap::Error| Error::Refused(one_line(&error));
    let matches = command.try_get_matches_from(words).map_err(refused)?;
    C::from_arg_matches(&matches).map_err(refused)
}
