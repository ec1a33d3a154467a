//! Parallel texts: two files aligned line by line, as the corpora of WMT and Multi30k are distributed.

use std::path::{Path, PathBuf};

use crate::file::without_mark;
use crate::task::bpe::{END, Vocabulary};
use crate::{Error, Result};

const LAYOUT: &str = "one sentence a line, in UTF-8";

/// Sentences and their translations, in the order of the files: as many of one as of the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parallel {
    /// The sentences to translate.
    pub sources: Vec<String>,
    /// Their translations.
    pub targets: Vec<String>,
}

/// The tokens of a sentence and of its translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentencePair {
    /// What the encoder reads: the tokens of the source and [`END`].
    pub source: Vec<u32>,
    /// The tokens of the target, without special ones.
    pub target: Vec<u32>,
}

impl Parallel {
    /// Reads two files that are aligned line by line: see [`Parallel::parse`].
    pub fn read(source: &Path, target: &Path) -> Result<Self> {
        let [source_bytes, target_bytes] = [source, target].map(crate::file::bytes);
        Self::parse((source, &source_bytes?), (target, &target_bytes?))
    }

    /// Reads the files PATH.FROM and PATH.TO, whose endings are the languages.
    pub fn open(path: &Path, languages: &[String; 2]) -> Result<Self> {
        let [from, to] = languages.each_ref().map(|language| {
            let mut name = path.as_os_str().to_os_string();
            name.push(format!(".{language}"));
            PathBuf::from(name)
        });
        Self::read(&from, &to)
    }

    /// Aligned sentences from the bytes of two files, whose paths are for errors only.
    ///
    /// Both have as many lines, and every line has a text. Lines end in LF or CR LF, the last one perhaps in neither; a
    /// byte order mark is skipped.
    pub fn parse(source: (&Path, &[u8]), target: (&Path, &[u8])) -> Result<Self> {
        let [sources, targets] = [source, target].map(|(path, bytes)| lines(path, bytes));
        let parallel = Self { sources: sources?, targets: targets? };
        let (one, other) = (parallel.sources.len(), parallel.targets.len());
        let (short, long, fewer, more) =
            if one < other { (source.0, target.0, one, other) } else { (target.0, source.0, other, one) };
        if fewer == more {
            return Ok(parallel);
        }
        let what = format!("ends after line {fewer}");
        Err(Error::malformed(short, what, format!("{more} lines, as many as '{}' has", long.display())))
    }

    /// Every sentence of both languages: what a joint vocabulary is learned from.
    pub fn texts(&self) -> impl Iterator<Item = &str> + Send {
        self.sources.iter().chain(&self.targets).map(String::as_str)
    }

    /// The tokens of every pair, in order.
    pub fn encode(&self, vocabulary: &Vocabulary) -> Result<Vec<SentencePair>> {
        let pairs = self.sources.iter().zip(&self.targets);
        pairs.map(|(source, target)| SentencePair::encode(source, target, vocabulary)).collect()
    }

    /// The tokens of the pairs that take at most `n` positions, and how many take more.
    pub fn encode_within(&self, vocabulary: &Vocabulary, n: usize) -> Result<(Vec<SentencePair>, usize)> {
        let mut pairs = self.encode(vocabulary)?;
        let all = pairs.len();
        pairs.retain(|pair| pair.width() <= n);
        let longer = all - pairs.len();
        Ok((pairs, longer))
    }
}

/// The lines of a file, each with a text.
fn lines(path: &Path, bytes: &[u8]) -> Result<Vec<String>> {
    let bytes = without_mark(path, bytes)?;
    if bytes.is_empty() {
        return Err(Error::malformed(path, "nothing in it", LAYOUT));
    }
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let text = |(line, number): (&[u8], usize)| {
        let wrong = |what: String| Error::malformed(path, format!("line {number}: {what}"), LAYOUT);
        let text = std::str::from_utf8(line).map_err(|error| {
            let at = error.valid_up_to();
            wrong(format!("byte {at} (0x{:02x}) is not UTF-8", line[at]))
        })?;
        if text.trim().is_empty() {
            return Err(wrong("no text".into()));
        }
        Ok(text.to_string())
    };
    lines.zip(1..).map(text).collect()
}

impl SentencePair {
    /// The tokens of one sentence and its translation.
    pub fn encode(source: &str, target: &str, vocabulary: &Vocabulary) -> Result<Self> {
        let mut source = vocabulary.encode(source)?;
        source.push(END);
        Ok(Self { source, target: vocabulary.encode(target)? })
    }

    /// How many positions the longer side takes, with its special token.
    pub fn width(&self) -> usize {
        self.source.len().max(self.target.len() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(source: &[u8], target: &[u8]) -> Result<Parallel> {
        Parallel::parse((Path::new("f.en"), source), (Path::new("f.de"), target))
    }

    #[test]
    fn lines_are_aligned() {
        let parallel =
            parsed(b"\xef\xbb\xbfA man.\r\nTwo  men.\n", "Ein Mann.\nZwei Männer.".as_bytes()).unwrap();
        assert_eq!(parallel.sources, ["A man.", "Two  men."]);
        assert_eq!(parallel.targets, ["Ein Mann.", "Zwei Männer."]);
        assert_eq!(
            parallel.texts().collect::<Vec<_>>(),
            ["A man.", "Two  men.", "Ein Mann.", "Zwei Männer."]
        );
        let folder = tempfile::tempdir().unwrap();
        let [en, de] = ["en", "de"].map(|name| folder.path().join(name));
        std::fs::write(&en, "a\nb\n").unwrap();
        let error = Parallel::read(&en, &de).unwrap_err().to_string();
        assert!(error.contains("de': No such file"), "{error}");
        std::fs::write(&de, "c\nd\n").unwrap();
        assert_eq!(Parallel::read(&en, &de).unwrap().targets, ["c", "d"]);
    }

    #[test]
    fn files_that_do_not_fit() {
        let message = |source: &[u8], target: &[u8]| parsed(source, target).unwrap_err().to_string();
        assert_eq!(
            message(b"a\nb\nc\n", b"d\ne\n"),
            "'f.de': ends after line 2; expected 3 lines, as many as 'f.en' has"
        );
        assert_eq!(
            message(b"a\n", b"d\ne\n"),
            "'f.en': ends after line 1; expected 2 lines, as many as 'f.de' has"
        );
        assert_eq!(
            message(b"a\n\nc", b"d\ne\nf"),
            "'f.en': line 2: no text; expected one sentence a line, in UTF-8"
        );
        assert!(message(b"a\nb\n\n", b"d\ne\n").contains("'f.en': line 3: no text"));
        assert!(message(b"a\nb", b"d\n \t\r\n").contains("'f.de': line 2: no text"));
        assert!(message(b"a\nb", b"d\nx\xe4y\n").contains("'f.de': line 2: byte 1 (0xe4) is not UTF-8"));
        assert!(message(b"", b"d\n").contains("'f.en': nothing in it"));
    }

    #[test]
    fn tokens_of_both_languages() {
        let parallel = parsed(b"a man\na man", b"ein mann\nein mann").unwrap();
        let vocabulary = Vocabulary::train(parallel.texts(), 300).unwrap();
        let pairs = parallel.encode(&vocabulary).unwrap();
        assert_eq!((pairs.len(), pairs[0].source.last()), (2, Some(&END)));
        assert_eq!(vocabulary.decode(&pairs[1].source).unwrap(), "a man");
        assert_eq!(vocabulary.decode(&pairs[1].target).unwrap(), "ein mann");
        assert!(!pairs[0].target.contains(&END));
    }
}
