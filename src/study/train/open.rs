//! How each task comes by its examples.

use std::path::Path;

use super::data::Files;
use super::recipe::Recipe;
use super::source::{Labelling, Source};
use super::translation::{Settings, Translation};
use super::written::Written;
use crate::error::{Error, Result};
use crate::name::Params;
use crate::task::labelled::{self, Labelled};
use crate::task::listops::{self, Example};
use crate::task::recall::{self, Recall};

/// The file that a task cannot do without.
fn needed<'a>(files: &Files<'a>, task: &str) -> Result<&'a Path> {
    let example = "a file, as --data train.tsv";
    files.data.ok_or_else(|| Error::value(format!("--data of task '{task}'"), "nothing", example))
}

fn refuse_test(files: &Files<'_>, task: &str) -> Result<()> {
    match files.test {
        None => Ok(()),
        Some(path) => {
            Err(Error::value(format!("--test of task '{task}'"), path.display(), "none: it makes its own"))
        }
    }
}

pub(super) fn text(_: &Params<'_>, files: &Files<'_>, recipe: &Recipe, seed: u64) -> Result<Source> {
    let of = |texts: &Labelled| -> Vec<Labelling> {
        let cut = |item: &labelled::Item| item.tokens().take(recipe.n).collect();
        texts.items.iter().map(|item| (cut(item), item.class as u32)).collect()
    };
    let all = Labelled::read(needed(files, "text")?, None)?;
    let test = files.test.map(|path| Labelled::read(path, Some(&all.classes))).transpose()?;
    let names = all.classes.clone();
    let alike = all.alike().into_iter().map(|group| group.join("' and '")).collect();
    let (train, validation) = all.hold_out(recipe.validation, seed)?;
    Ok(Source::Labelled {
        train: of(&train),
        validation: of(&validation),
        test: test.as_ref().map(of).unwrap_or_default(),
        vocab: labelled::TOKENS,
        names,
        bytes: true,
        alike,
    })
}

pub(super) fn listops(params: &Params<'_>, files: &Files<'_>, recipe: &Recipe, seed: u64) -> Result<Source> {
    let of = |examples: &[Example]| -> Vec<Labelling> {
        let cut = |example: &Example| example.expression.tokens().take(recipe.n).collect();
        examples.iter().map(|example| (cut(example), u32::from(example.label))).collect()
    };
    let (train, validation, test) = if let Some(path) = files.data {
        let (train, validation) = listops::hold_out(listops::read(path)?, recipe.validation, seed);
        if validation.is_empty() {
            let accepted = "2 or more expressions of a value, to hold one out and keep one";
            return Err(Error::malformed(path, "no value that two expressions have", accepted));
        }
        let test = files.test.map(listops::read).transpose()?.unwrap_or_default();
        (of(&train), of(&validation), of(&test))
    } else {
        refuse_test(files, "listops")?;
        let settings = listops::Settings {
            max_depth: params.at_least("depth", 2)?,
            max_args: params.at_least("args", 2)?,
            min_length: params.at_least("min", 1)?,
            max_length: params.at_least("max", 1)?,
        };
        let (examples, held): (usize, usize) = (params.at_least("examples", 1)?, params.at_least("held", 1)?);
        // One list, no two of them equal, cut in three.
        let all = listops::generate(&settings, examples + 2 * held, seed)?;
        let (train, rest) = all.split_at(examples);
        let (validation, test) = rest.split_at(held);
        (of(train), of(validation), of(test))
    };
    let names = (0..listops::CLASSES).map(|class| class.to_string()).collect();
    Ok(Source::Labelled {
        train,
        validation,
        test,
        vocab: listops::TOKENS,
        names,
        bytes: false,
        alike: Vec::new(),
    })
}

pub(super) fn language(params: &Params<'_>, files: &Files<'_>, recipe: &Recipe, _: u64) -> Result<Source> {
    refuse_test(files, "language")?;
    let by: String = params.get("tokens")?;
    let (text, written) = Written::read(needed(files, "language")?, &by, recipe.n, recipe.validation)?;
    Ok(Source::Language(text, Box::new(written)))
}

pub(super) fn recall(params: &Params<'_>, files: &Files<'_>, recipe: &Recipe, seed: u64) -> Result<Source> {
    if let Some(path) = files.data {
        return Err(Error::value("--data of task 'recall'", path.display(), "none: it is generated"));
    }
    refuse_test(files, "recall")?;
    let settings = recall::Settings {
        pairs: params.at_least("pairs", 1)?,
        n: recipe.n,
        vocabulary: params.at_least("vocab", 3)?,
    };
    Ok(Source::Recall { recall: Recall::new(settings, seed)?, held: params.at_least("held", 1)? })
}

pub(super) fn translation(
    params: &Params<'_>,
    files: &Files<'_>,
    recipe: &Recipe,
    seed: u64,
) -> Result<Source> {
    let (from, to): (String, String) = (params.get("from")?, params.get("to")?);
    let settings = Settings {
        languages: [&from, &to],
        vocabulary: params.at_least("vocab", 1)?,
        validation: recipe.validation,
        n: recipe.n,
        tokens: recipe.batch * recipe.n,
        seed,
    };
    let path = needed(files, "translation")?;
    Ok(Source::Translation(Box::new(Translation::read(path, files.test, &settings)?)))
}
