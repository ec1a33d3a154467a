//! Masks of the kinds that models use, as data: padding, causal, windows, packed sequences, prefixes.

use std::fmt::Write;
use std::ops::Range;

use crate::attention::{Mask, Visible};

/// Which keys the queries of one matrix see: no padding, and of the rest those within reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Whether each query sees anything.
    pub(super) queries: Vec<bool>,
    /// Whether each key can be seen.
    pub(super) keys: Vec<bool>,
    pub(super) reach: Reach,
}

/// Which keys are within reach of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Full,
    /// Query i reaches keys i - back to i + ahead; without a figure as far as there are keys.
    Band {
        back: Option<isize>,
        ahead: Option<isize>,
    },
    /// Sequences packed beside each other, each of which reaches itself only (if `causal`, only back).
    Blocks {
        blocks: Vec<Block>,
        causal: bool,
    },
    /// Keys up to this one, and those up to the query's own.
    Prefix(usize),
}

/// The queries and the keys of one of several packed sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) queries: Range<usize>,
    pub(super) keys: Range<usize>,
}

pub(super) const CAUSAL: Reach = Reach::Band { back: None, ahead: Some(0) };

impl Reach {
    fn reaches(&self, i: usize, j: usize) -> bool {
        let apart = j as isize - i as isize;
        match self {
            Self::Full => true,
            Self::Band { back, ahead } => {
                back.is_none_or(|back| apart >= -back) && ahead.is_none_or(|ahead| apart <= ahead)
            }
            Self::Blocks { blocks, causal } => {
                // They ascend: the last one that begins at or before the query.
                let at = blocks.partition_point(|block| block.queries.start <= i);
                let block = at.checked_sub(1).map(|at| &blocks[at]);
                block.is_some_and(|block| block.queries.contains(&i) && block.keys.contains(&j))
                    && (!causal || j <= i)
            }
            Self::Prefix(last) => j <= *last.max(&i),
        }
    }

    fn describe(&self) -> String {
        let side = |keys: Option<isize>, word: &str| {
            keys.map_or_else(|| format!("all keys {word}"), |keys| format!("{keys} {word}"))
        };
        match self {
            Self::Full => "full".into(),
            Self::Band { back: None, ahead: Some(0) } => "causal".into(),
            Self::Band { back, ahead: Some(0) } => format!("causal window ({})", side(*back, "back")),
            Self::Band { back, ahead } => {
                format!("window ({}, {})", side(*back, "back"), side(*ahead, "ahead"))
            }
            Self::Blocks { blocks, causal } => {
                const SHOWN: usize = 6;
                let sizes: Vec<String> =
                    blocks.iter().take(SHOWN).map(|block| block.queries.len().to_string()).collect();
                let more = if blocks.len() > SHOWN { ", ..." } else { "" };
                let causal = if *causal { "causal " } else { "" };
                format!("{} {causal}blocks of {}{more}", blocks.len(), sizes.join(", "))
            }
            Self::Prefix(last) => format!("prefix (keys 0 to {last} for all queries, causal after it)"),
        }
    }
}

impl Shape {
    /// Everything is seen.
    pub(super) fn full(n: usize, m: usize) -> Self {
        Self { queries: vec![true; n], keys: vec![true; m], reach: Reach::Full }
    }

    pub(super) fn sees(&self, i: usize, j: usize) -> bool {
        self.queries[i] && self.keys[j] && self.reach.reaches(i, j)
    }

    fn is_padded(&self) -> bool {
        !self.queries.iter().chain(&self.keys).all(|real| *real)
    }

    /// In the form that null models draw under.
    pub(super) fn visible(&self) -> Visible {
        let (n, m) = (self.queries.len(), self.keys.len());
        match &self.reach {
            Reach::Full if !self.is_padded() => Mask::Full.into(),
            reach if *reach == CAUSAL && !self.is_padded() && n == m => Mask::Causal.into(),
            _ => Visible::where_seen(n, m, |i, j| self.sees(i, j)),
        }
    }

    /// In words.
    pub(super) fn describe(&self) -> String {
        let mut text = self.reach.describe();
        for (what, real) in [("keys", &self.keys), ("queries", &self.queries)] {
            let hidden: Vec<usize> = (0..real.len()).filter(|i| !real[*i]).collect();
            let (Some(first), Some(last)) = (hidden.first(), hidden.last()) else { continue };
            let _ = match hidden.len() {
                1 => write!(text, ", without {what} {first}"),
                count if last - first + 1 == count => write!(text, ", without {what} {first} to {last}"),
                count => write!(text, ", without {count} {what} from {first} to {last}"),
            };
        }
        text
    }
}
