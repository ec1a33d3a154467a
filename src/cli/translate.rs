//! `luna translate`: lines of one language in, lines of another out.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use clap::Args;
use rayon::prelude::*;

use super::scores::{self, Judging};
use super::{Failure, Global, interrupt};
use crate::error::{Error, Result};
use crate::file::without_mark;
use crate::model::settled;
use crate::network::translator::{Beam, Translator};
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
    /// Translations to compare with, a line for every line: BLEU and chrF go to standard error
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Somebody else's translations of the same lines: by how much these score higher
    #[arg(long, value_name = "FILE", requires = "reference")]
    against: Option<PathBuf>,
}

/// Lines that are translated at once, at most.
const LINES: usize = 32;
/// Lines that are read ahead.
const AHEAD: usize = 4 * LINES;
/// How often somebody who waits for a line looks whether to stop.
const PAUSE: Duration = Duration::from_millis(100);
/// A translation has at most so many tokens beyond twice its source's.
const MORE: usize = 10;
const LAYOUT: &str = "one sentence a line, in UTF-8";

/// A network and its vocabulary.
struct Opened {
    translator: Translator,
    vocabulary: Vocabulary,
}

impl Opened {
    fn open(run: &Path) -> Result<Self> {
        let translator = Translator::open(run)?;
        let path = settled(run).join("tokenizer.json");
        let vocabulary = Vocabulary::open(&path)?;
        let size = translator.config().encoder.vocab.unwrap_or(0);
        if vocabulary.size() != size {
            let found = format!("{} tokens", vocabulary.size());
            return Err(Error::malformed(&path, found, format!("{size}, as the network has")));
        }
        Ok(Self { translator, vocabulary })
    }

    /// One line, which `what` names; of a blank one an empty one.
    fn translate(&self, line: &str, what: &dyn Fn() -> String, beam: &Beam<'_>) -> Result<String> {
        if line.trim().is_empty() {
            return Ok(String::new());
        }
        let mut source = self.vocabulary.encode(line)?;
        source.push(END);
        let positions = self.translator.config().encoder.positions;
        let room = if positions == 0 { usize::MAX } else { positions };
        if source.len() > room {
            let accepted = format!("at most {positions}, the positions of this network, the end included");
            return Err(Error::Tokens { what: what(), found: source.len(), accepted });
        }
        // The token in front of it takes a position too, and the end none.
        let beam = Beam { max_length: (2 * source.len() + MORE + 1).min(room), ..*beam };
        let found = beam.search(&self.translator, self.translator.start(&source)?)?;
        let text = self.vocabulary.decode(found.first().map_or(&[], |best| &best.tokens))?;
        // A newline inside would make two lines of one.
        Ok(text.replace(['\n', '\r'], " "))
    }
}

impl Translate {
    /// Writes a line for every line that it reads, as they come: those that are there at once are worked on at once.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let never = &[PAD, BEGIN, UNKNOWN];
        let (width, length_penalty) = (self.beam, self.length_penalty);
        let beam = Beam { width, length_penalty, max_length: 1, best: 1, begin: BEGIN, end: END, never };
        beam.check()?;
        let opened = Opened::open(&self.run)?;
        let [references, against] =
            [&self.reference, &self.against].map(|path| path.as_deref().map(Judging::read).transpose());
        let (references, against) = (references?, against?);
        let stop = interrupt::watch();
        let name = self.input.as_deref().unwrap_or(Path::new("standard input"));
        let read: Receiver<Result<String>> = match &self.input {
            Some(path) => feed(std::fs::File::open(path).map_err(Error::file(path))?, name),
            None => feed(std::io::stdin(), name),
        };
        let mut done: Vec<(String, String)> = Vec::new();
        loop {
            let sources = take(&read, stop)?;
            if sources.is_empty() {
                break;
            }
            let first = done.len();
            let one = |(at, line): (usize, Result<String>)| {
                let source = line?;
                if stop.load(Ordering::Relaxed) {
                    return Err(Error::Interrupted);
                }
                let what = || format!("line {} of '{}'", first + at + 1, name.display());
                let line = opened.translate(&source, &what, &beam)?;
                Ok((source, line))
            };
            let translated: Vec<Result<(String, String)>> =
                sources.into_par_iter().enumerate().map(one).collect();
            // What stands in front of a line that cannot be translated is written all the same.
            for line in translated {
                let (source, line) = line?;
                writeln!(out, "{line}")?;
                done.push((source, line));
            }
            out.flush()?;
        }
        if let Some(references) = references {
            let told = scores::judge(&done, &references, against.as_ref(), global.seed)?;
            // Who reads no scores must not lose the translations: a closed stderr is no error.
            let _ = write!(std::io::stderr(), "{told}");
        }
        Ok(())
    }
}

/// Reads lines on a thread of their own, so that who waits for one can be interrupted.
fn feed(input: impl Read + Send + 'static, name: &Path) -> Receiver<Result<String>> {
    let (send, receive) = sync_channel(AHEAD);
    let (mut input, name) = (BufReader::new(input), name.to_path_buf());
    std::thread::spawn(move || {
        for number in 1.. {
            let Some(line) = line(&mut input, &name, number).transpose() else { break };
            let over = line.is_err();
            if send.send(line).is_err() || over {
                break;
            }
        }
    });
    receive
}

/// The next line, without its end.
fn line(input: &mut impl BufRead, name: &Path, number: usize) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    if input.read_until(b'\n', &mut bytes).map_err(Error::file(name))? == 0 {
        return Ok(None);
    }
    // A mark is one in front of the text only; further on the same bytes are a character.
    let line = if number == 1 { without_mark(name, &bytes)? } else { &bytes };
    if line.is_empty() {
        return Ok(None);
    }
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) => Ok(Some(text.to_string())),
        Err(_) => Err(Error::malformed(name, format!("line {number} is not UTF-8"), LAYOUT)),
    }
}

/// Waits for a line, and takes those that are there with it; none at the end.
fn take(read: &Receiver<Result<String>>, stop: &AtomicBool) -> Result<Vec<Result<String>>> {
    let mut all = Vec::new();
    while all.is_empty() {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        match read.recv_timeout(PAUSE) {
            Ok(line) => all.push(line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(all),
        }
    }
    while all.len() < LINES {
        let Ok(line) = read.try_recv() else { break };
        all.push(line);
    }
    Ok(all)
}
