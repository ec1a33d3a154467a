//! `luna translate`: lines of one language in, lines of another out.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rayon::prelude::*;

use super::{Failure, Global, interrupt};
use crate::error::{Error, Result};
use crate::metric::{bleu, chrf};
use crate::model::translator::{Beam, Translator};
use crate::task::batch::PAD;
use crate::task::bpe::{BEGIN, END, UNKNOWN, Vocabulary};

/// What `luna translate` takes.
#[derive(Args, Clone, Debug)]
pub struct Translate {
    /// Folder of a training with --task translation
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// File to translate, a sentence a line [default: standard input]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Translations that are looked for side by side; 1 takes the likeliest token each time
    #[arg(long, value_name = "K", default_value_t = 5)]
    beam: usize,
    /// Favours longer translations: alpha of Wu et al. 2016, ln p over ((5 + length) / 6)^alpha
    #[arg(long, value_name = "ALPHA", default_value_t = 1.0)]
    length_penalty: f64,
    /// Translations to compare with, a sentence a line: BLEU and chrF go to standard error
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
}

/// Lines that are translated at once.
const LINES: usize = 32;
/// A translation has at most so many tokens beyond twice its source's.
const MORE: usize = 10;

/// A network and its vocabulary.
struct Opened {
    translator: Translator,
    vocabulary: Vocabulary,
}

impl Opened {
    fn open(run: &Path) -> Result<Self> {
        let translator = Translator::open(run)?;
        let best = run.join("best");
        let dir = if run.join("config.json").exists() { run } else { &best };
        let path = dir.join("tokenizer.json");
        let vocabulary = Vocabulary::open(&path)?;
        let size = translator.config().encoder.vocab.unwrap_or(0);
        if vocabulary.size() != size {
            let found = format!("{} tokens", vocabulary.size());
            return Err(Error::malformed(&path, found, format!("{size}, as the network has")));
        }
        Ok(Self { translator, vocabulary })
    }

    /// One line; of an empty one an empty one.
    fn translate(&self, line: &str, beam: &Beam) -> Result<String> {
        if line.trim().is_empty() {
            return Ok(String::new());
        }
        let mut source = self.vocabulary.encode(line)?;
        source.push(END);
        let positions = self.translator.config().encoder.positions;
        // The begin takes one position.
        let room = if positions == 0 { usize::MAX } else { positions.saturating_sub(1).max(1) };
        if source.len() > room.saturating_add(1) {
            let accepted = format!("at most {positions}, the positions of this network, the end included");
            return Err(Error::Tokens {
                what: format!("the line '{}'", short(line)),
                found: source.len(),
                accepted,
            });
        }
        let beam = Beam { most: (2 * source.len() + MORE).min(room), ..*beam };
        let step = |state: &mut _, token| self.translator.step(state, token);
        let start = self.translator.start(&source)?;
        let found = beam.search(start, [BEGIN, END], &[PAD, BEGIN, UNKNOWN], &step)?;
        self.vocabulary.decode(&found.tokens)
    }
}

impl Translate {
    /// Writes a line for every line that it reads, some at a time.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let beam = Beam::new(self.beam, self.length_penalty, 1)?;
        let opened = Opened::open(&self.run)?;
        let references = self.reference.as_ref().map(|path| lines(path)).transpose()?;
        let stop = interrupt::watch();
        let mut input: Box<dyn BufRead> = match &self.input {
            Some(path) => Box::new(BufReader::new(std::fs::File::open(path).map_err(Error::file(path))?)),
            None => Box::new(std::io::stdin().lock()),
        };
        let name = self.input.as_deref().unwrap_or(Path::new("standard input"));
        let mut written: Vec<String> = Vec::new();
        let mut stopped = false;
        loop {
            stopped = stopped || stop.load(std::sync::atomic::Ordering::Relaxed);
            let read = if stopped { Vec::new() } else { take(&mut *input, name)? };
            if read.is_empty() {
                break;
            }
            let translated: Result<Vec<String>> =
                read.par_iter().map(|line| opened.translate(line, &beam)).collect();
            for line in translated? {
                // A newline inside would make two lines of one.
                writeln!(out, "{}", line.replace(['\n', '\r'], " "))?;
                written.push(line);
            }
            out.flush()?;
        }
        if stopped {
            return Err(Error::Interrupted.into());
        }
        if let Some(references) = references {
            if references.len() != written.len() {
                let path = self.reference.as_deref().unwrap_or(Path::new(""));
                let found = format!("{} lines", references.len());
                let accepted = format!("{}, as many as were translated", written.len());
                return Err(Error::malformed(path, found, accepted).into());
            }
            if !global.quiet {
                judge(&written, &references)?;
            }
        }
        Ok(())
    }
}

/// BLEU and chrF, with what one must know to compare them.
fn judge(written: &[String], references: &[String]) -> Result<()> {
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    let bleu = bleu::corpus(written, &[&references])?;
    let chrf = chrf::corpus(written, &[&references])?;
    let [one, two, three, four] = bleu.precisions;
    let _ = writeln!(
        std::io::stderr(),
        "luna: BLEU {:.2} ({one:.1}/{two:.1}/{three:.1}/{four:.1}, brevity penalty {:.3}), chrF {chrf:.2}: \
         {} lines, cased, tokens 13a, as sacreBLEU counts",
        bleu.score,
        bleu.brevity_penalty,
        written.len()
    );
    Ok(())
}

/// The next lines, without their ends; none at the end.
fn take(input: &mut dyn BufRead, name: &Path) -> Result<Vec<String>> {
    let mut all = Vec::new();
    while all.len() < LINES {
        let mut bytes = Vec::new();
        if input.read_until(b'\n', &mut bytes).map_err(Error::file(name))? == 0 {
            break;
        }
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).map_err(|_| {
            Error::malformed(name, "a line that is not UTF-8", "one sentence a line, in UTF-8")
        })?;
        all.push(text.to_string());
    }
    Ok(all)
}

fn lines(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
    Ok(text.lines().map(str::to_string).collect())
}

fn short(line: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown: String = line.chars().take(SHOWN).collect();
    if shown.len() < line.len() {
        shown.push_str("...");
    }
    shown
}
