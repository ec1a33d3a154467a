//! The task retrieval: whether two documents belong together, byte by byte, each encoded alone by the same network.
//!
//! Long Range Arena's document retrieval (Tay et al. 2021), whose pairs are papers of the ACL Anthology Network: label 1
//! where one cites the other. A file has a line for each pair: a label and two texts, `label TAB text TAB text`, or Long
//! Range Arena's `label TAB id TAB id TAB text TAB text`. The number of tabs of its first line, 2 or 4, decides which of
//! the two the whole file is in; other lines must have as many. Texts are bytes of any encoding, without tabs.

use std::path::Path;

use super::classified::{About, Classified, Example, Sets, evaluation_set, split};
use super::kind::{BYTES_FROM_ONE, EvaluationSet, NetworkKind, Setup, Task, TaskKind, TrainedNetwork};
use super::labelled::TOKENS;
use super::labels;
use super::recipe::RecipePreset;
use crate::{Error, Result, file};

/// Its declaration.
pub(super) const KIND: TaskKind = TaskKind {
    name: "retrieval",
    about: "whether two texts belong together, byte by byte: --data FILE of label TAB text TAB text, or of Long Range Arena \
            (label TAB id TAB id TAB text TAB text)",
    takes: &[],
    presets: &[
        RecipePreset {
            name: "small-retrieval",
            about: "pairs of texts of 1024 bytes each, 2 layers of width 128",
            change: |_| {},
        },
        RecipePreset {
            name: "lra-retrieval",
            about: "document retrieval as the Luna authors ran it: 4 layers of 128, n 4000, 20,000 steps (no attention dropout)",
            change: |recipe| {
                (recipe.n, recipe.d, recipe.ffn, recipe.layers) = (4000, 128, 512, 4);
                (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (32, 20_000, 5e-4, 8000);
                (recipe.dropout, recipe.weight_decay, recipe.beta_2) = (0.1, 1e-4, 0.98);
                (recipe.clip, recipe.schedule) = (0.0, "inverse-sqrt".into());
                recipe.eval_every = 500;
            },
        },
    ],
    network: NetworkKind::Encoder,
    splits: true,
    open,
    evaluate: Some(evaluate),
};

const LAYOUT: &str =
    "lines of a label and two texts, label TAB text TAB text, or label TAB id TAB id TAB text TAB text";

/// The pairs of a file, and the names of their classes.
struct LabelledPairs<'a> {
    classes: Vec<String>,
    pairs: Vec<(u32, [&'a [u8]; 2])>,
}

impl<'a> LabelledPairs<'a> {
    /// Pairs from the bytes of the file at `path` (named in errors, not read); `classes` as for
    /// [`labelled::Labelled::parse`](super::labelled::Labelled::parse).
    fn parse(path: &Path, bytes: &'a [u8], classes: Option<&[String]>) -> Result<Self> {
        let lines = labels::lines(bytes);
        let tabs = lines.first().map_or(0, |line| tabs(line));
        let wrong =
            |number: usize, what: String| Error::malformed(path, format!("line {number}: {what}"), LAYOUT);
        if tabs != 2 && tabs != 4 {
            return Err(wrong(1, format!("{tabs} tabs")));
        }
        let mut rows = Vec::with_capacity(lines.len());
        for (line, number) in lines.into_iter().zip(1..) {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b'\t').collect();
            if fields.len() != tabs + 1 {
                return Err(wrong(
                    number,
                    format!("{} tabs, where the first line has {tabs}", fields.len() - 1),
                ));
            }
            let label = String::from_utf8_lossy(fields[0]).trim().to_string();
            let texts = [fields[tabs - 1], fields[tabs]];
            if label.is_empty() || texts.iter().any(|text| text.is_empty()) {
                return Err(wrong(number, "an empty label or text".into()));
            }
            rows.push((label, texts));
        }
        let names = rows.iter().map(|(label, _)| label.as_str());
        let (classes, found) = labels::classes_of(path, "line", names, classes)?;
        let pairs = found.into_iter().zip(rows).map(|(class, (_, texts))| (class as u32, texts)).collect();
        Ok(Self { classes, pairs })
    }

    /// The first `n` bytes of every text: a byte b is token b + 1.
    fn examples(&self, n: usize) -> Vec<Example<2>> {
        let tokens = |text: &[u8]| text.iter().take(n).map(|byte| u32::from(*byte) + 1).collect();
        let example =
            |(class, texts): &(u32, [&[u8]; 2])| Example { sequences: texts.map(tokens), class: *class };
        self.pairs.iter().map(example).collect()
    }
}

fn tabs(line: &[u8]) -> usize {
    line.split(|byte| *byte == b'\t').count() - 1
}

fn open(setup: &Setup<'_>) -> Result<Box<dyn Task>> {
    let (path, n) = (setup.data()?, setup.recipe.n);
    let bytes = file::bytes(path)?;
    let all = LabelledPairs::parse(path, &bytes, None)?;
    let refusal = ("no label that two pairs have", "2 or more pairs of a label");
    let (train, validation) = split(path, all.examples(n), setup, refusal)?;
    let test = match setup.test {
        Some(path) => LabelledPairs::parse(path, &file::bytes(path)?, Some(&all.classes))?.examples(n),
        None => Vec::new(),
    };
    let about =
        About { classes: all.classes, vocab: TOKENS, ids: BYTES_FROM_ONE, size: None, notes: Vec::new() };
    Ok(Box::new(Classified::new(Sets { train, validation, test }, about, setup)))
}

fn evaluate(path: &Path, network: &TrainedNetwork<'_>) -> Result<EvaluationSet> {
    let bytes = file::bytes(path)?;
    let pairs = LabelledPairs::parse(path, &bytes, Some(&network.words("class_names")))?;
    Ok(evaluation_set(&pairs.examples(network.max_tokens()), network))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(Vec<String>, Vec<Example<2>>)> {
        let pairs = LabelledPairs::parse(Path::new("f.tsv"), text.as_bytes(), None)?;
        let examples = pairs.examples(2);
        Ok((pairs.classes, examples))
    }

    #[test]
    fn both_layouts_hold_the_same() {
        let (classes, examples) = parse("1\tab\tc\r\n0\td\tefg\r\n").unwrap();
        assert_eq!(classes, ["0", "1"]);
        assert_eq!(examples[0], Example { sequences: [vec![98, 99], vec![100]], class: 1 });
        assert_eq!(examples[1], Example { sequences: [vec![101], vec![102, 103]], class: 0 });
        assert_eq!(parse("1\tW00\tP99\tab\tc\n0\tx\ty\td\tefg").unwrap(), (classes, examples));
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, part) in [
            ("", "line 1: 0 tabs; expected lines of a label and two texts"),
            ("1\ta\n", "line 1: 1 tabs"),
            ("1\ta\tb\n0\ta\n", "line 2: 1 tabs, where the first line has 2"),
            ("1\ta\tb\n0\ta\tb\tc\td\n", "line 2: 4 tabs, where the first line has 2"),
            ("1\ta\tb\n0\ta\t\n", "line 2: an empty label or text"),
            ("1\ta\tb\n1\tc\td\n", "every label is '1'"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(part) && !message.contains('\n'), "{text:?}: {message}");
        }
        let known = ["no".to_string(), "yes".to_string()];
        let other = LabelledPairs::parse(Path::new("t.tsv"), b"yes\ta\tb\nyse\ta\tb", Some(&known));
        let message = other.err().unwrap().to_string();
        assert!(message.contains("line 2: unknown label 'yse' (did you mean 'yes'?)"), "{message}");
    }
}
