//! What a trained model reads: windows of token ids, and what there is to say of them.

use ndarray::Array3;
use serde_json::Value;

use super::InputArgs;
use super::material::Material;
use super::place::{Place, Unit, place, sampled};
use crate::error::{Error, Result};
use crate::model::ModelInput;
use crate::network::Reader;
use crate::rng::stream;
use crate::task::stride::Stride;

/// Windows where nobody says how many: the fewest whose bootstrap intervals are not too narrow.
pub(super) const WINDOWS: usize = 8;

/// A longer text (bytes) is not tokenized as a whole to find where its windows begin.
const WHOLE: usize = 1 << 25;

/// The share of a text that its windows must reach into; less of it is its beginning.
const BEGINNING: f64 = 0.5;

/// What a model reads in one pass.
pub(super) enum Window {
    Ids(Vec<u32>),
    /// Shape (channels, height, width).
    Image(Array3<f32>),
}

impl Window {
    pub(super) fn input(&self) -> ModelInput<'_> {
        match self {
            Self::Ids(ids) => ModelInput::Tokens(ids),
            Self::Image(pixels) => ModelInput::Pixels(pixels.view()),
        }
    }
}

/// Windows of every length, and what there is to say of them.
pub(super) struct Reading {
    /// By length and window.
    pub(super) windows: Vec<Vec<Window>>,
    /// For the stamp.
    pub(super) facts: Vec<(String, Value)>,
    /// Where the windows are, and a warning if that is the beginning only.
    pub(super) notes: Vec<String>,
    /// What intervals over the windows rest on.
    pub(super) dependence: Option<String>,
}

/// Cuts the windows that the options name, for these lengths (ascending).
pub(super) fn read(args: &InputArgs, reader: &Reader, lengths: &[usize], seed: u64) -> Result<Reading> {
    if args.pixels.is_some() {
        let accepted = "--text FILE or --tokens FILE: the model reads tokens";
        return Err(Error::value("--pixels", "of this model", accepted));
    }
    let mut facts: Vec<(String, Value)> = vec![("skip_tokens".into(), args.skip_tokens.into())];
    let (material, name) = Material::open(args, reader, &mut facts)?;
    let steps = lengths.iter().map(|n| material.step(*n, args, reader.positions));
    let steps = steps.collect::<Result<Vec<usize>>>()?;
    let longest = (lengths.last().copied().unwrap_or(1), steps.last().copied().unwrap_or(1));
    let mut rng = stream(seed, "windows");
    let wanted = args.windows.unwrap_or(WINDOWS);
    let place = match &material {
        Material::Text(text) if args.stride == Stride::Spread && wanted > 1 && text.text().len() > WHOLE => {
            sampled(text, longest.1, wanted, args.skip_tokens, &mut rng)?
        }
        _ => place(&material, args, longest, wanted, &mut rng)?,
    };
    facts.push(("stride".into(), args.stride.to_string().into()));
    facts.push((place.unit.key().into(), place.starts.clone().into()));
    if place.is_exact {
        facts.push((format!("text_{}", place.unit.name()), place.total.into()));
    }
    let windows = |step: &usize| {
        let window = |i| match args.stride {
            // Each where the one before it ends, at every length.
            Stride::Contiguous => {
                Window::Ids(material.framed(&place.ids[place.offset + i * step..][..*step]))
            }
            // At the same tokens at every length: what differs between lengths is then the length.
            Stride::Spread | Stride::Every(_) => Window::Ids(material.framed(&place.from(i)[..*step])),
        };
        (0..place.starts.len()).map(window).collect()
    };
    Ok(Reading {
        windows: steps.iter().map(windows).collect(),
        notes: notes(args, &material, &place, longest, &name),
        dependence: dependence(args, &place, longest.1),
        facts,
    })
}

/// Where the windows are, and a warning if that is the beginning of a longer text.
fn notes(
    args: &InputArgs,
    material: &Material,
    place: &Place,
    (n, step): (usize, usize),
    name: &str,
) -> Vec<String> {
    let count = place.starts.len();
    let last = place.end(count - 1, step);
    let (windows, stride) = match count {
        1 => ("1 window".to_string(), String::new()),
        _ => (format!("{count} windows"), format!(" (stride {})", args.stride)),
    };
    let begins = if let Some(text) = material.bytes() {
        format!("'{}'", first_words(text, place.first_byte))
    } else {
        let ids: Vec<String> = place.from(0).iter().take(step.min(8)).map(ToString::to_string).collect();
        format!("{}{}", ids.join(" "), if step > 8 { " ..." } else { "" })
    };
    let mut notes = vec![format!(
        "read: {windows} of {n} tokens{stride}, {} {} to {} of {}{} of {name}; the first begins {begins}",
        place.unit.name(),
        place.starts[0],
        last.saturating_sub(1),
        if place.is_exact { "" } else { "about " },
        place.total,
    )];
    let reached = last as f64 / place.total.max(1) as f64;
    if args.skip_tokens == 0 && reached < BEGINNING {
        let instead = match (args.stride, count) {
            (_, 1) => {
                format!("--windows {WINDOWS} are spread over all of it, --skip-tokens S begins further in")
            }
            _ => "--stride spread reads all of it".into(),
        };
        notes.insert(
            0,
            format!(
                "only the first {:.1} % of {name} is read, and the beginning of a text is often unlike the rest: {instead}",
                100.0 * reached
            ),
        );
    }
    notes
}

/// What intervals over these windows rest on.
fn dependence(args: &InputArgs, place: &Place, step: usize) -> Option<String> {
    let count = place.starts.len();
    let read = (count * step) as f64 / place.total.saturating_sub(args.skip_tokens).max(1) as f64;
    let beside = args.stride == Stride::Contiguous || (place.unit == Unit::Tokens && read > 0.5);
    match args.stride {
        _ if count < 2 => None,
        Stride::Every(stride) if stride < step => Some(format!(
            "the {count} windows overlap: they are not independent, and intervals over them are too narrow"
        )),
        _ if beside => Some(format!(
            "the {count} windows lie beside each other in one text: they are not independent, and intervals over them are \
             rather too narrow, and about this text only"
        )),
        _ => Some(format!(
            "the {count} windows are of one text: intervals over them are about this text, not about others"
        )),
    }
}

/// The words that begin at this byte, as one short line.
fn first_words(text: &[u8], from: usize) -> String {
    const LONGEST: usize = 40;
    let bytes = &text[from.min(text.len())..];
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(8 * LONGEST)]);
    let mut line = String::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        if line.chars().count() + word.chars().count() >= LONGEST {
            line.push_str(" ...");
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words_are_one_short_clean_line() {
        let line = |text: &str, from| first_words(text.as_bytes(), from);
        assert_eq!(line("a b\n\tc", 2), "b c");
        assert_eq!(line("\u{1b}[31mred\u{7} x", 0), "[31mred x");
        assert_eq!(line("", 5), "");
        let long = line(&"word ".repeat(50), 0);
        assert!(long.ends_with("word ...") && long.len() <= 44, "{long}");
        assert!(line(&"x".repeat(500), 0).len() <= 44);
        assert_eq!(first_words(b"caf\xc3", 0), "caf\u{fffd}");
    }
}
