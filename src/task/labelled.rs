//! Texts with a class each, byte by byte: Long Range Arena's text task on any file of labels and texts.
//!
//! A line is a label, a tab and a text, perhaps with columns between: `label TAB text`, or `label TAB fold TAB text`, or
//! `label TAB id TAB rating TAB text`. Texts are bytes of any encoding; a byte b is token b + 1, and 0 is the padding, so
//! an embedding has [`TOKENS`] rows.

use std::collections::BTreeMap;
use std::path::Path;

use super::{batch, labels, short};
use crate::file::without_mark;
use crate::{Error, Result};

/// The number of token ids: the padding and the 256 bytes.
pub const TOKENS: usize = 257;

const LAYOUT: &str = "lines of a label, a tab and a text, with or without columns between";

/// The texts of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The names of the classes; numbers in their own order, other names in that of the alphabet.
    pub classes: Vec<String>,
    /// The number of columns before the text, the label's included.
    pub columns: usize,
    /// The texts, in the order of the file.
    pub items: Vec<LabelledText>,
}

/// A text with its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledText {
    /// The index of its class.
    pub class: usize,
    /// Its bytes; at least one.
    pub text: Vec<u8>,
}

impl LabelledText {
    /// Its tokens: every byte plus 1.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.text.iter().map(|byte| u32::from(*byte) + 1)
    }
}

impl Labelled {
    /// Reads a file of labelled texts: see [`Labelled::parse`].
    pub fn read(path: &Path, classes: Option<&[String]>) -> Result<Self> {
        Self::parse(path, &crate::file::bytes(path)?, classes)
    }

    /// Labelled texts from the bytes of the file at `path` (named in errors, not read).
    ///
    /// `classes` are those of a file read before, which the labels must then be of; without them the classes are the
    /// labels that occur, two or more. Every class needs a text.
    ///
    /// A line has as many columns as most lines have; further tabs belong to the text. White space around a label is
    /// ignored. Lines end in LF or CR LF, and every other byte of a text is left as it is.
    pub fn parse(path: &Path, bytes: &[u8], classes: Option<&[String]>) -> Result<Self> {
        let lines = labels::lines(without_mark(path, bytes)?);
        if lines.is_empty() {
            return Err(Error::malformed(path, "nothing in it", LAYOUT));
        }
        let columns = usual_tabs(lines.iter().copied());
        let rows = lines.into_iter().zip(1..).map(|(line, number)| {
            row(line, columns)
                .map_err(|what| Error::malformed(path, format!("line {number}: {what}"), LAYOUT))
        });
        let rows: Vec<(String, &[u8])> = rows.collect::<Result<_>>()?;
        let names = rows.iter().map(|(label, _)| label.as_str());
        let (classes, found) = labels::classes_of(path, "line", names, classes)?;
        let item = |(class, (_, text)): (usize, (_, &[u8]))| LabelledText { class, text: text.to_vec() };
        let items = found.into_iter().zip(rows).map(item).collect();
        let labelled = Self { classes, columns, items };
        match labelled.counts().iter().position(|count| *count == 0) {
            None => Ok(labelled),
            Some(class) => {
                let what = format!("no text of class '{}'", short(&labelled.classes[class]));
                let names = labelled.classes.join(", ");
                Err(Error::malformed(path, what, format!("texts of every class: {names}")))
            }
        }
    }

    /// How many texts each class has.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for item in &self.items {
            counts[item.class] += 1;
        }
        counts
    }

    /// Classes that may be meant as one, in groups: equal as numbers (`1` and `1.0`), or except for case (`pos` and
    /// `Pos`).
    pub fn alike(&self) -> Vec<Vec<&str>> {
        let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for class in &self.classes {
            let number = class.parse::<f64>().ok().filter(|number| number.is_finite());
            // 0 and -0 are equal, and written differently.
            let meant = number.map_or_else(|| class.to_lowercase(), |number| (number + 0.0).to_string());
            groups.entry(meant).or_default().push(class);
        }
        groups.into_values().filter(|group| group.len() > 1).collect()
    }

    /// Splits off `share` of every class (rounded, at least one text and not all), drawn by the seed: the remainder, and
    /// what was split off, each in the order of the file.
    pub fn hold_out(self, share: f64, seed: u64) -> Result<(Self, Self)> {
        if !(share > 0.0 && share < 1.0) {
            return Err(Error::value("share of texts to hold out", share, "above 0 and below 1"));
        }
        let counts = self.counts();
        if let Some(class) = counts.iter().position(|count| *count < 2) {
            let what = format!("texts of class '{}'", short(&self.classes[class]));
            return Err(Error::value(
                what,
                counts[class],
                "2 or more, for the training and the validation set",
            ));
        }
        let (rest, held) = batch::hold_out(self.items, |item| item.class, share, seed);
        let rest = Self { classes: self.classes.clone(), columns: self.columns, items: rest };
        Ok((rest, Self { classes: self.classes, columns: self.columns, items: held }))
    }
}

/// The number of tabs that most lines have; of a tie the smaller, and at least one.
fn usual_tabs<'a>(lines: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut counts = BTreeMap::new();
    for line in lines {
        let tabs = line.split(|byte| *byte == b'\t').count() - 1;
        *counts.entry(tabs).or_insert(0_usize) += 1;
    }
    let largest = counts.values().max().copied();
    let usual = counts.into_iter().find(|(_, lines)| Some(*lines) == largest);
    usual.map_or(1, |(tabs, _)| tabs.max(1))
}

/// Label and text of a line that has this many columns before the text; or what is wrong with it.
fn row(line: &[u8], columns: usize) -> Result<(String, &[u8]), String> {
    let fields: Vec<&[u8]> = line.splitn(columns + 1, |byte| *byte == b'\t').collect();
    if fields.len() <= columns {
        return Err(match fields.len() - 1 {
            0 => "no tab".to_string(),
            1 => format!("1 tab, where most lines have {columns}"),
            tabs => format!("{tabs} tabs, where most lines have {columns}"),
        });
    }
    let label = String::from_utf8_lossy(fields[0]);
    if label.trim().is_empty() {
        return Err("no label before the first tab".to_string());
    }
    if fields[columns].is_empty() {
        return Err("no text after the last tab".to_string());
    }
    Ok((label.trim().to_string(), fields[columns]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: impl AsRef<[u8]>) -> Result<Labelled> {
        Labelled::parse(Path::new("f.tsv"), text.as_ref(), None)
    }

    fn texts(labelled: &Labelled) -> Vec<(usize, &[u8])> {
        labelled.items.iter().map(|item| (item.class, &item.text[..])).collect()
    }

    #[test]
    fn three_layouts_and_further_tabs() {
        let two = parse("1\tgood\n0\tbad\tand worse\n0\tbad").unwrap();
        let three = parse("1\t7\tgood\r\n0\t0\tbad\tand worse\r\n0\t9\tbad\r\n").unwrap();
        let four = parse("\u{feff}1\tx\t9\tgood\n0\ty\t1\tbad\tand worse\n0\tz\t2\tbad\n").unwrap();
        assert_eq!([two.columns, three.columns, four.columns], [1, 2, 3]);
        for labelled in [two, three, four] {
            assert_eq!(labelled.classes, ["0", "1"]);
            assert_eq!(texts(&labelled), [(1, &b"good"[..]), (0, b"bad\tand worse"), (0, b"bad")]);
            assert_eq!(labelled.counts(), [2, 1]);
        }
    }

    #[test]
    fn labels_that_look_alike_are_named() {
        let labelled = parse("1\ta\n1 \tb\n 1\tc\n1.0\td\nPos\te\npos\tf\n2\tg").unwrap();
        assert_eq!(labelled.classes, ["1", "1.0", "2", "Pos", "pos"], "white space makes no class");
        assert_eq!(labelled.counts(), [3, 1, 1, 1, 1]);
        assert_eq!(labelled.alike(), [["1", "1.0"], ["Pos", "pos"]]);
        assert!(parse("0\ta\n1\tb\nnan\tc").unwrap().alike().is_empty());
        assert!(parse("0\ta\n \tb").unwrap_err().to_string().contains("line 2: no label"));
    }

    #[test]
    fn texts_are_bytes() {
        let labelled = parse(b"b\t\xff\x00\xc3\n\ta\r\n".as_slice()).unwrap_err();
        assert!(labelled.to_string().contains("line 2: no label before the first tab"));
        let labelled = parse(b"b\t\xff\x00\r\xc3\na\t\x85 \n").unwrap();
        assert_eq!(texts(&labelled), [(1, &b"\xff\x00\r\xc3"[..]), (0, b"\x85 ")]);
        assert_eq!(labelled.items[0].tokens().collect::<Vec<_>>(), [256, 1, 14, 196]);
    }

    #[test]
    fn classes_are_in_order_and_can_be_given() {
        let names = |text: &str| parse(text).unwrap().classes;
        assert_eq!(names("10\ta\n9\tb\n-1\tc"), ["-1", "9", "10"]);
        assert_eq!(names("pos\ta\nneg\tb\npos\tc"), ["neg", "pos"]);
        let given = ["pos".to_string(), "neg".to_string()];
        let held_out = |text: &str| Labelled::parse(Path::new("t.tsv"), text.as_bytes(), Some(&given));
        let labelled = held_out("neg\ta\npos\tb").unwrap();
        assert_eq!(labelled.items.iter().map(|item| item.class).collect::<Vec<_>>(), [1, 0]);
        for (text, part) in [
            (
                "neg\ta\npso\tb",
                "line 2: unknown label 'pso' (did you mean 'pos'?); expected the labels pos, neg",
            ),
            ("neg\ta\nneg\tb", "'t.tsv': no text of class 'pos'; expected texts of every class: pos, neg"),
        ] {
            let message = held_out(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn bad_files_are_refused_in_one_line() {
        for (text, part) in [
            ("", "'f.tsv': nothing in it; expected lines of a label, a tab and a text"),
            ("\n", "nothing in it"),
            ("1\ta\n0 b\n", "line 2: no tab"),
            ("1\ta\n\n0\tb\n", "line 2: no tab"),
            ("no tab\nat all", "line 1: no tab"),
            ("1\tx\ta\n0\tb\n1\ty\tc", "line 2: 1 tab, where most lines have 2"),
            ("1\tx\t9\ta\n0\ty\t8\tb\n1\t7\tc", "line 3: 2 tabs, where most lines have 3"),
            ("\ta\n1\tb\n", "line 1: no label before the first tab"),
            ("1\ta\n0\t\n", "line 2: no text after the last tab"),
            ("1\ta\n1\tb\n", "every label is '1'; expected examples of two classes or more"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text:?}: {message}");
            assert_eq!(message.lines().count(), 1);
        }
        let missing = Labelled::read(Path::new("none.tsv"), None).unwrap_err().to_string();
        assert!(missing.contains("'none.tsv': "), "{missing}");
    }

    #[test]
    fn a_share_of_every_class_is_held_out() {
        let lines: Vec<String> = (0..100).map(|i| format!("{}\ttext {i}", u8::from(i % 5 == 0))).collect();
        let all = parse(lines.join("\n")).unwrap();
        let (rest, held) = all.clone().hold_out(0.25, 3).unwrap();
        assert_eq!((rest.counts(), held.counts()), (vec![60, 15], vec![20, 5]));
        assert_eq!(
            (&rest, &held),
            (&all.clone().hold_out(0.25, 3).unwrap().0, &all.clone().hold_out(0.25, 3).unwrap().1)
        );
        assert_ne!(held, all.clone().hold_out(0.25, 4).unwrap().1);
        let mut both: Vec<_> = rest.items.iter().chain(&held.items).map(|item| item.text.clone()).collect();
        both.sort_unstable();
        let mut whole: Vec<_> = all.items.iter().map(|item| item.text.clone()).collect();
        whole.sort_unstable();
        assert_eq!(both, whole);
        assert_eq!(all.clone().hold_out(0.001, 0).unwrap().1.counts(), [1, 1]);
        assert_eq!(all.clone().hold_out(0.999, 0).unwrap().0.counts(), [1, 1]);
        for share in [0.0, 1.0, f64::NAN] {
            assert!(all.clone().hold_out(share, 0).unwrap_err().to_string().contains("above 0 and below 1"));
        }
        let single = parse("0\ta\n1\tb\n1\tc").unwrap().hold_out(0.5, 0).unwrap_err().to_string();
        assert!(single.contains("texts of class '0': '1' is not accepted; accepted: 2 or more"), "{single}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(prop::sample::select(&b"01\t\t\n\r\xff\x00a"[..]), 0..60),
        ) {
            if let Ok(labelled) = parse(&bytes) {
                prop_assert!(labelled.counts().iter().all(|count| *count > 0));
                prop_assert!(labelled.items.iter().all(|item| !item.text.is_empty()));
            }
        }

        #[test]
        fn texts_come_back_as_they_are(
            texts in prop::collection::vec(prop::collection::vec(prop::num::u8::ANY, 1..20), 2..9),
        ) {
            let clean = |text: &Vec<u8>| {
                text.iter().map(|byte| if b"\n\r\t".contains(byte) { b'.' } else { *byte }).collect()
            };
            let texts: Vec<Vec<u8>> = texts.iter().map(clean).collect();
            let line = |(i, text): (usize, &Vec<u8>)| [format!("{}\t", i % 2).as_bytes(), text, b"\n"].concat();
            let file: Vec<u8> = texts.iter().enumerate().flat_map(line).collect();
            let labelled = parse(file).unwrap();
            let found: Vec<_> = labelled.items.into_iter().map(|item| item.text).collect();
            prop_assert_eq!(found, texts);
        }
    }
}
