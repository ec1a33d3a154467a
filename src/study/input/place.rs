//! Where the windows of a text begin, and the tokens that stand there.

use super::InputArgs;
use super::material::Material;
use crate::error::{Error, Result};
use crate::rng::Rng;
use crate::task::stride::Stride;
use crate::task::window::TextWindows;

/// Bytes of text after a sampled start for each token of a window: more than a usual token has.
const BYTES_A_TOKEN: usize = 16;

/// What the starts of windows are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Tokens of the text.
    Tokens,
    /// Bytes: the text is too long to count its tokens.
    Bytes,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Bytes => "bytes",
        }
    }

    /// The name of the starts in the stamp.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Tokens => "window_starts",
            Self::Bytes => "window_start_bytes",
        }
    }
}

/// Windows in their text, of the longest length that is asked for.
pub(super) struct Place {
    /// Where each begins.
    pub(super) starts: Vec<usize>,
    /// What that is counted in.
    pub(super) unit: Unit,
    /// How long the text is, in the same unit.
    pub(super) total: usize,
    /// Whether that was counted and not estimated.
    pub(super) is_exact: bool,
    /// Tokens of the text (in part), without special ones.
    pub(super) ids: Vec<u32>,
    /// The first token that is not skipped, of `ids`.
    pub(super) offset: usize,
    /// Where each window begins in `ids`.
    at: Vec<usize>,
    /// The byte of the text at which the first window begins.
    pub(super) first_byte: usize,
    /// Where each window ends, where that does not follow from its start.
    ends: Vec<usize>,
}

impl Place {
    /// The tokens from the beginning of a window on.
    pub(super) fn from(&self, window: usize) -> &[u32] {
        &self.ids[self.at[window]..]
    }

    /// Where a window of so many tokens ends, in the unit of the starts.
    pub(super) fn end(&self, window: usize, step: usize) -> usize {
        self.ends.get(window).copied().unwrap_or(self.starts[window] + step)
    }
}

/// Chooses windows among tokens that are counted.
pub(super) fn place(
    material: &Material,
    args: &InputArgs,
    (n, step): (usize, usize),
    wanted: usize,
    rng: &mut Rng,
) -> Result<Place> {
    let (stride, skip) = (args.stride, args.skip_tokens);
    let spreads = stride == Stride::Spread && wanted > 1;
    let found;
    let (ids, begins, total, is_exact): (&[u32], &[usize], usize, bool) = match material {
        Material::Ids { ids, .. } => (ids, &[], ids.len(), true),
        Material::Text(text) => {
            let bytes = text.text().len();
            let reach = stride.reach(step, wanted).and_then(|reach| reach.checked_add(skip));
            let covered;
            (found, covered) = match reach {
                _ if spreads => (text.whole()?, bytes),
                Some(needed) => text.beginning(needed)?,
                None => return Err(Error::value("windows", wanted, "fewer, or shorter ones")),
            };
            let total = found.ids.len() as f64 * bytes as f64 / covered.max(1) as f64;
            (&found.ids, &found.starts, total.round() as usize, covered == bytes)
        }
    };
    let have = ids.len().saturating_sub(skip);
    let fit = stride.fitting(have, step);
    // A default number of windows refuses no short text.
    let count = if args.windows.is_some() { wanted } else { wanted.min(fit.max(1)) };
    let starts = match material {
        // A list that is a whole number of windows is split into those windows.
        Material::Ids { text: None, .. } if spreads && have.is_multiple_of(step) => {
            let whole = Stride::Spread.starts(have / step, 1, count, rng);
            whole.map(|starts| starts.into_iter().map(|start| start * step).collect())
        }
        _ => stride.starts(have, step, count, rng),
    };
    let Some(mut starts) = starts else {
        return Err(match material {
            Material::Text(text) => text.too_short(ids.len(), (n, step), count, skip, fit),
            Material::Ids { text, .. } => {
                too_few(have, n, count, skip, fit, text.is_some() && args.text.is_none())
            }
        });
    };
    if let (true, Some(text)) = (spreads && count > 1, material.bytes()) {
        let byte = |token: usize| begins.get(token).copied().unwrap_or(token);
        for (i, start) in starts.iter_mut().enumerate() {
            let last = (have as u128 * (i as u128 + 1) / count as u128) as usize - step;
            let word = (*start..=last).find(|at| begins_word(text, byte(skip + at)));
            *start = word.unwrap_or(*start);
        }
    }
    let at: Vec<usize> = starts.iter().map(|start| skip + start).collect();
    Ok(Place {
        starts: at.clone(),
        unit: Unit::Tokens,
        total,
        is_exact,
        ids: ids.to_vec(),
        offset: skip,
        first_byte: begins.get(at[0]).copied().unwrap_or(at[0]),
        at,
        ends: Vec::new(),
    })
}

/// Chooses windows by the bytes of a text too long to be tokenized for that: each begins at a word, at a random place of
/// its part.
pub(super) fn sampled(
    text: &TextWindows,
    step: usize,
    count: usize,
    skip: usize,
    rng: &mut Rng,
) -> Result<Place> {
    let bytes = text.text().len();
    let from = match skip {
        0 => 0,
        _ => text.beginning(skip)?.0.starts.get(skip).copied().unwrap_or(bytes),
    };
    let room = (step + 1) * BYTES_A_TOKEN;
    let Some(starts) = Stride::Spread.starts(bytes - from, room, count, rng) else {
        let accepted =
            format!("fewer or shorter ones: {count} of {step} tokens do not fit into {bytes} bytes");
        return Err(Error::value("--windows", count, accepted));
    };
    let mut place = Place {
        starts: Vec::new(),
        unit: Unit::Bytes,
        total: bytes,
        is_exact: true,
        ids: Vec::new(),
        offset: 0,
        at: Vec::new(),
        first_byte: 0,
        ends: Vec::new(),
    };
    for start in starts {
        let raw = text.text().as_bytes();
        let is_start = |at: &usize| text.text().is_char_boundary(*at);
        let last = from + start + room / 2;
        let word = (from + start..last).find(|at| is_start(at) && begins_word(raw, *at));
        let start = word.or_else(|| (from + start..bytes).find(is_start)).unwrap_or(from);
        let (found, _) = text.tokens_from(start, step)?;
        let Some(ids) = found.ids.get(..step) else {
            return Err(Error::value("--windows", count, "fewer, so that each has text enough"));
        };
        place.at.push(place.ids.len());
        place.ids.extend_from_slice(ids);
        place.starts.push(start);
        place.ends.push(start + found.starts.get(step).copied().unwrap_or(0));
    }
    place.first_byte = place.starts[0];
    Ok(place)
}

/// Whether a word begins at this byte, or after it if it is white space (which many tokens begin with).
fn begins_word(text: &[u8], at: usize) -> bool {
    let is_space = |at: usize| text.get(at).is_none_or(u8::is_ascii_whitespace);
    at == 0 || if is_space(at) { !is_space(at + 1) } else { is_space(at - 1) }
}

/// The error of a list of `have` ids that `count` windows of n do not fit in.
fn too_few(have: usize, n: usize, count: usize, skip: usize, fit: usize, is_own: bool) -> Error {
    Error::Tokens {
        what: format!("{count} windows of {n} tokens from token {skip}"),
        found: have,
        accepted: format!(
            "{fit} windows of this length would fit{}",
            if is_own { "; --text FILE may be longer" } else { "" }
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::rng::stream;
    use crate::task::bpe::Vocabulary;

    #[test]
    fn words_begin_after_white_space_or_with_one_in_front() {
        let text = b"ab  cd\ne";
        let begins: Vec<usize> = (0..text.len()).filter(|at| begins_word(text, *at)).collect();
        assert_eq!(begins, [0, 3, 4, 6, 7]);
    }

    /// Windows of a text that is too long to be tokenized as a whole.
    #[test]
    fn sampled_windows_hold_the_text_at_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (json, txt) = (folder.path().join("tokenizer.json"), folder.path().join("text"));
        let mut text = String::new();
        (0..5000).for_each(|i| writeln!(text, "the cat {i} and the \u{e4} dog").unwrap());
        std::fs::write(&txt, &text).unwrap();
        Vocabulary::train(std::iter::once(text.as_str()), 300).unwrap().save(&json).unwrap();
        let windows = TextWindows::open(&json, &txt, 512).unwrap();
        let sampled = |skip, seed| sampled(&windows, 100, 8, skip, &mut stream(seed, "t")).unwrap();
        let place = sampled(0, 1);
        assert_eq!((place.unit, place.total, place.starts.len()), (Unit::Bytes, text.len(), 8));
        for i in 0..8 {
            let (from, to) = (text.len() * i / 8, text.len() * (i + 1) / 8);
            let start = place.starts[i];
            assert!((from..to).contains(&start) && begins_word(text.as_bytes(), start), "{:?}", place.starts);
            let expected = windows.tokens_from(start, 100).unwrap().0;
            assert_eq!(place.from(i)[..100], expected.ids[..100]);
            assert_eq!(place.end(i, 100), start + expected.starts[100]);
        }
        assert_ne!(place.starts, sampled(0, 2).starts);
        assert!(sampled(30_000, 1).starts[0] > 30_000, "a token has a byte at least");
        assert!(super::sampled(&windows, 10_000, 8, 0, &mut stream(1, "t")).is_err());
    }
}
