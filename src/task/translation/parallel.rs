//! Translation: two files aligned line by line, and batches of pairs of about the same length.
//!
//! Line i of one file is the translation of line i of the other, as the corpora of WMT and Multi30k are kept. A batch
//! holds as many pairs as fit into a number of tokens, so that short and long sentences cost a step about the same.

use std::path::Path;

use crate::file::without_mark;
use crate::task::batch::shuffle;
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
pub struct Pair {
    /// What the encoder reads: the tokens of the source and [`END`].
    pub source: Vec<u32>,
    /// The tokens of the target, without special ones.
    pub target: Vec<u32>,
}

/// Which pairs stand in which batch: pairs of about the same length, decided by the seed and the step alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    widths: Vec<usize>,
    sizes: Vec<usize>,
    seed: u64,
}

impl Parallel {
    /// Reads two files that are aligned line by line: see [`Parallel::parse`].
    pub fn read(source: &Path, target: &Path) -> Result<Self> {
        let [source_bytes, target_bytes] = [source, target].map(crate::file::bytes);
        Self::parse((source, &source_bytes?), (target, &target_bytes?))
    }

    /// Aligned sentences from the bytes of two files, whose paths stand in errors and are not read.
    ///
    /// Both have as many lines, and every line has a text. Lines end in LF or CR LF, the last one perhaps in neither; a
    /// byte order mark is passed over.
    pub fn parse(source: (&Path, &[u8]), target: (&Path, &[u8])) -> Result<Self> {
        let [sources, targets] = [source, target].map(|(path, bytes)| lines(path, bytes));
        let parallel = Self { sources: sources?, targets: targets? };
        let (one, other) = (parallel.sources.len(), parallel.targets.len());
        let (short, long, fewer, more) =
            if one < other { (source.0, target.0, one, other) } else { (target.0, source.0, other, one) };
        if fewer == more {
            return Ok(parallel);
        }
        let what = format!("ends behind line {fewer}");
        Err(Error::malformed(short, what, format!("{more} lines, as many as '{}' has", long.display())))
    }

    /// Every sentence of both languages: what a joint vocabulary is learnt from.
    pub fn texts(&self) -> impl Iterator<Item = &str> + Send {
        self.sources.iter().chain(&self.targets).map(String::as_str)
    }

    /// The tokens of every pair, in order.
    pub fn encode(&self, vocabulary: &Vocabulary) -> Result<Vec<Pair>> {
        let pairs = self.sources.iter().zip(&self.targets);
        pairs.map(|(source, target)| Pair::encode(source, target, vocabulary)).collect()
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

impl Pair {
    /// The tokens of one sentence and its translation.
    pub fn encode(source: &str, target: &str, vocabulary: &Vocabulary) -> Result<Self> {
        let mut source = vocabulary.encode(source)?;
        source.push(END);
        Ok(Self { source, target: vocabulary.encode(target)? })
    }

    /// How many places the longer side takes, with the special token of either.
    pub fn width(&self) -> usize {
        self.source.len().max(self.target.len() + 1)
    }
}

impl Buckets {
    /// Batches of these pairs whose wider side has at most `tokens` places, padding included.
    pub fn new(pairs: &[Pair], tokens: usize, seed: u64) -> Result<Self> {
        let widths: Vec<usize> = pairs.iter().map(Pair::width).collect();
        if widths.is_empty() {
            return Err(Error::value("pairs to translate", 0, "1 or more"));
        }
        if let Some((width, number)) = widths.iter().zip(1_usize..).find(|(width, _)| **width > tokens) {
            let accepted = format!("at most {tokens}, the tokens of a batch");
            return Err(Error::Tokens { what: format!("pair {number}"), found: *width, accepted });
        }
        let mut sorted = widths.clone();
        sorted.sort_unstable();
        // From short to long: the last pair of a batch is its widest.
        let mut sizes = vec![0];
        for width in sorted {
            let last = sizes.len() - 1;
            if (sizes[last] + 1) * width > tokens {
                sizes.push(1);
            } else {
                sizes[last] += 1;
            }
        }
        Ok(Self { widths, sizes, seed })
    }

    /// How many batches an epoch has: the same in each.
    pub fn per_epoch(&self) -> usize {
        self.sizes.len()
    }

    /// The indices of the pairs in the batch of this step, from 0.
    pub fn batch(&self, step: usize) -> Vec<usize> {
        let per_epoch = self.per_epoch();
        self.epoch(step / per_epoch).swap_remove(step % per_epoch)
    }

    /// The batches of an epoch, from 0: every pair once, and the batches in any order.
    ///
    /// Which pairs of one width stand together is drawn anew in each epoch.
    pub fn epoch(&self, number: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.widths.len()).collect();
        shuffle(&mut order, self.seed, &format!("pairs of epoch {number}"));
        let mut batches = self.cut(order);
        shuffle(&mut batches, self.seed, &format!("batches of epoch {number}"));
        batches
    }

    /// Every pair once, from short to long, without chance: to be judged on.
    pub fn sorted(&self) -> Vec<Vec<usize>> {
        self.cut((0..self.widths.len()).collect())
    }

    /// Batches of the pairs in this order, brought into that of their widths.
    fn cut(&self, mut order: Vec<usize>) -> Vec<Vec<usize>> {
        order.sort_by_key(|pair| self.widths[*pair]);
        let mut rest = order.into_iter();
        self.sizes.iter().map(|size| rest.by_ref().take(*size).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(source: &[u8], target: &[u8]) -> Result<Parallel> {
        Parallel::parse((Path::new("f.en"), source), (Path::new("f.de"), target))
    }

    /// Pairs of these lengths, of any tokens.
    fn pairs(lengths: &[(usize, usize)]) -> Vec<Pair> {
        let pair = |(source, target): &(usize, usize)| Pair {
            source: (0..*source as u32).map(|i| 10 + i).chain([END]).collect(),
            target: (0..*target as u32).map(|i| 20 + i).collect(),
        };
        lengths.iter().map(pair).collect()
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
            "'f.de': ends behind line 2; expected 3 lines, as many as 'f.en' has"
        );
        assert_eq!(
            message(b"a\n", b"d\ne\n"),
            "'f.en': ends behind line 1; expected 2 lines, as many as 'f.de' has"
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

    #[test]
    fn the_order_is_pinned() {
        let lengths: Vec<(usize, usize)> = (0..10).map(|i| (i % 3 + 1, i % 4)).collect();
        let buckets = Buckets::new(&pairs(&lengths), 9, 0).unwrap();
        assert_eq!(buckets.sorted(), [vec![0, 9, 1], vec![4, 6], vec![2, 3], vec![5, 7], vec![8]]);
        let order: Vec<Vec<usize>> = (0..5).map(|step| buckets.batch(step)).collect();
        assert_eq!(order, buckets.epoch(0));
        let pinned = [vec![5, 3], vec![8], vec![2, 7], vec![1, 6], vec![0, 9, 4]];
        assert_eq!(order, pinned, "the order changed: every published run would change");
        assert_ne!(buckets.epoch(1), buckets.epoch(0));
        assert_eq!(buckets.batch(5 * 7 + 2), buckets.epoch(7)[2]);
    }

    #[test]
    fn pairs_that_do_not_fit() {
        let message = |lengths: &[(usize, usize)], tokens| {
            Buckets::new(&pairs(lengths), tokens, 0).unwrap_err().to_string()
        };
        assert_eq!(message(&[(3, 3), (2, 5)], 5), "pair 2: 6 tokens; at most 5, the tokens of a batch");
        assert!(message(&[(5, 3)], 5).contains("pair 1: 6 tokens"));
        assert!(message(&[], 5).contains("pairs to translate: '0'"));
        assert_eq!(Buckets::new(&pairs(&[(4, 4)]), 5, 0).unwrap().per_epoch(), 1);
    }

    proptest! {
        #[test]
        fn an_epoch_holds_every_pair_once_in_batches_that_fit(
            lengths in prop::collection::vec((0_usize..20, 0_usize..20), 1..60),
            (more, seed, epoch) in (0_usize..80, 0_u64..9, 0_usize..5),
        ) {
            let pairs = pairs(&lengths);
            let tokens = 20 + more;
            let buckets = Buckets::new(&pairs, tokens, seed).unwrap();
            for batches in [buckets.epoch(epoch), buckets.sorted()] {
                prop_assert_eq!(batches.len(), buckets.per_epoch());
                let mut all = batches.concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..pairs.len()).collect::<Vec<_>>());
                for batch in batches {
                    let widest = batch.iter().map(|pair| pairs[*pair].width()).max().unwrap_or(0);
                    prop_assert!(widest > 0 && batch.len() * widest <= tokens);
                }
            }
            prop_assert_eq!(buckets.epoch(epoch), Buckets::new(&pairs, tokens, seed).unwrap().epoch(epoch));
        }
    }
}
