//! Positions of windows in a text.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::rng::{Rng, below};

/// How windows are distributed over a text.
///
/// Spread is the default. The beginning of a text is often unlike the rest (a title page, a table of contents), and adjacent
/// windows share their topic, so that intervals over them are too narrow. Spread windows are a stratified sample: one random
/// start in each of equal parts. Like an even stride it covers the whole text and never reads a token twice; unlike an even
/// stride it cannot be in phase with a periodic text (records, pages, speeches of one length), and another seed reads other
/// windows, so a finding can be repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stride {
    /// Over the whole text: it is split into as many equal parts as there are windows, and one begins at a random position
    /// of each.
    #[default]
    Spread,
    /// Each where the previous one ends, from the first token on.
    Contiguous,
    /// So many tokens after the beginning of the previous one, the first at the first token.
    Every(usize),
}

impl Stride {
    /// The first tokens of `count` windows of `step` tokens each in a text of `have` tokens; `None` if they do not fit.
    ///
    /// A single window cannot be spread: it begins at the first token.
    pub fn starts(self, have: usize, step: usize, count: usize, rng: &mut Rng) -> Option<Vec<usize>> {
        if self.fitting(have, step) < count {
            return None;
        }
        Some(match self {
            Self::Spread if count > 1 => {
                // Multiplied in u128: a part's end is below `have`.
                let part = |i: usize| (have as u128 * i as u128 / count as u128) as usize;
                (0..count).map(|i| part(i) + below(rng, part(i + 1) - part(i) - step + 1)).collect()
            }
            Self::Spread | Self::Contiguous => (0..count).map(|i| i * step).collect(),
            Self::Every(stride) => (0..count).map(|i| i * stride).collect(),
        })
    }

    /// How many windows of `step` tokens fit into `have`.
    pub fn fitting(self, have: usize, step: usize) -> usize {
        match self {
            _ if step == 0 || have < step => 0,
            Self::Spread | Self::Contiguous => have / step,
            Self::Every(stride) => (have - step) / stride.max(1) + 1,
        }
    }

    /// How many tokens from the first on `count` windows of `step` tokens cover, for strides that do not depend on the length
    /// of the text; `None` if the number overflows.
    pub fn reach(self, step: usize, count: usize) -> Option<usize> {
        let stride = if let Self::Every(stride) = self { stride } else { step };
        count.saturating_sub(1).checked_mul(stride)?.checked_add(step)
    }
}

impl fmt::Display for Stride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spread => f.write_str("spread"),
            Self::Contiguous => f.write_str("contiguous"),
            Self::Every(stride) => write!(f, "{stride}"),
        }
    }
}

impl FromStr for Stride {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "spread" => Ok(Self::Spread),
            "contiguous" => Ok(Self::Contiguous),
            _ => match text.parse() {
                Ok(0) | Err(_) => {
                    Err(Error::value("stride", text, "spread, contiguous, or a number of tokens from 1 on"))
                }
                Ok(stride) => Ok(Self::Every(stride)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn spread_windows_lie_apart_in_equal_parts() {
        for (have, step, count) in [(1000, 10, 8), (81, 10, 8), (80, 10, 8), (1_000_003, 512, 2), (16, 1, 5)]
        {
            let starts = |seed| Stride::Spread.starts(have, step, count, &mut stream(seed, "t")).unwrap();
            let mut firsts = std::collections::BTreeSet::new();
            for seed in 0..200 {
                let found = starts(seed);
                assert_eq!(found.len(), count);
                for (i, start) in found.iter().enumerate() {
                    let (from, to) = (have * i / count, have * (i + 1) / count);
                    assert!((from..=to - step).contains(start), "{have} {step} {count}: {found:?}");
                }
                firsts.insert(found[0]);
            }
            let places = have / count - step + 1;
            assert!(firsts.len() > places.min(100) / 2, "{have} {step} {count}: starts hardly differ");
            assert_eq!(starts(3), starts(3));
        }
        // As many windows as fit leave no choice.
        assert_eq!(Stride::Spread.starts(40, 10, 4, &mut stream(1, "t")).unwrap(), [0, 10, 20, 30]);
        assert_eq!(Stride::Spread.starts(39, 10, 4, &mut stream(1, "t")), None);
        assert_eq!(Stride::Spread.starts(1000, 10, 1, &mut stream(1, "t")).unwrap(), [0]);
        assert_eq!(Stride::Spread.starts(usize::MAX, 10, 2, &mut stream(1, "t")).unwrap().len(), 2);
    }

    #[test]
    fn other_strides_count_from_the_first_token() {
        let starts = |stride: &str, have, step, count| {
            stride.parse::<Stride>().unwrap().starts(have, step, count, &mut stream(1, "t"))
        };
        assert_eq!(starts("contiguous", 100, 10, 3).unwrap(), [0, 10, 20]);
        assert_eq!(starts("25", 100, 10, 4).unwrap(), [0, 25, 50, 75]);
        assert_eq!(starts("5", 20, 10, 3).unwrap(), [0, 5, 10]);
        assert_eq!(starts("5", 19, 10, 3), None);
        assert_eq!(starts("31", 100, 10, 4), None);
        for (stride, step, count) in [(Stride::Contiguous, 10, 3), (Stride::Every(25), 10, 3)] {
            let reach = stride.reach(step, count).unwrap();
            assert_eq!((stride.fitting(reach, step), stride.fitting(reach - 1, step)), (count, count - 1));
        }
        assert_eq!(Stride::Contiguous.reach(10, usize::MAX), None);
    }

    #[test]
    fn names_are_read_and_written() {
        for text in ["spread", "contiguous", "300"] {
            assert_eq!(text.parse::<Stride>().unwrap().to_string(), text);
        }
        for text in ["0", "-1", "even", ""] {
            let error = text.parse::<Stride>().unwrap_err().to_string();
            assert!(error.contains("spread, contiguous, or a number of tokens"), "{error}");
        }
    }
}
