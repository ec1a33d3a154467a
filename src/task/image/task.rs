//! The task image: classes of images, pixel by pixel.

use std::path::Path;

use super::generate::{MIN_SIDE, SHAPES, generate};
use super::read::read;
use crate::name::Param;
use crate::task::classified::{About, Classified, Sets, evaluation_set, split};
use crate::task::kind::{EvaluationSet, NetworkKind, Setup, Task, TaskKind, TrainedNetwork};
use crate::task::pixels::{PIXELS, TOKENS, examples, generated, side};
use crate::task::recipe::RecipePreset;
use crate::{Error, Result};

/// Its declaration.
pub const KIND: TaskKind = TaskKind {
    name: "image",
    about: "classes of images, pixel by pixel: generated shapes, or --data NAME.npy (bytes of shape images, height, width; \
            labels in NAME_labels.npy) or a folder with a folder of .png files for each class",
    takes: &[
        Param {
            name: "examples",
            default: Some("4000"),
            about: "size of the training set, of generated shapes",
        },
        Param {
            name: "held",
            default: Some("1000"),
            about: "size of the validation set, and of the test set, of generated shapes",
        },
        Param {
            name: "size",
            default: None,
            about: "height and width of generated shapes [the root of --seq-len]",
        },
    ],
    presets: &[
        RecipePreset {
            name: "small-image",
            about: "images of 16 x 16 pixels, 2 layers of width 64: minutes on a core",
            change: |recipe| {
                (recipe.n, recipe.d, recipe.ffn, recipe.layers) = (256, 64, 128, 2);
                (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (32, 1200, 2e-3, 100);
            },
        },
        RecipePreset {
            name: "lra-image",
            about: "images of 32 x 32 pixels as the Luna authors ran it: 1 layer of 64, n 1024, 35,000 steps (no attention dropout)",
            change: |recipe| {
                (recipe.n, recipe.d, recipe.heads, recipe.ffn, recipe.layers) = (1024, 64, 8, 128, 1);
                (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (256, 35_000, 5e-3, 4000);
                (recipe.dropout, recipe.weight_decay, recipe.beta_2) = (0.3, 0.0, 0.98);
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

fn open(setup: &Setup<'_>) -> Result<Box<dyn Task>> {
    let n = setup.recipe.n;
    let (sets, classes, size) = if let Some(path) = setup.data {
        refuse_generated(setup)?;
        let all = read(path, None)?;
        fits(path, all.size, n)?;
        let test =
            setup.test.map(|path| read(path, Some(&all.classes)).map(|test| (path, test))).transpose()?;
        if let Some((path, test)) = &test {
            test.of_size(path, all.size, "the images of --data")?;
        }
        let refusal = ("no class of two images", "2 or more images of a class");
        let (train, validation) = split(path, examples(&all.images), setup, refusal)?;
        let test = test.map(|(_, test)| examples(&test.images)).unwrap_or_default();
        (Sets { train, validation, test }, all.classes, all.size)
    } else {
        setup.refuse_test()?;
        let side = side(setup, MIN_SIDE)?;
        let sets = generated(setup, |count| Ok(generate(side, count, setup.seed)))?;
        (sets, SHAPES.map(String::from).to_vec(), [side; 2])
    };
    let about = About { classes, vocab: TOKENS, ids: PIXELS, size: Some(size), notes: Vec::new() };
    Ok(Box::new(Classified::new(sets, about, setup)))
}

/// Refuses parameters of generated images beside `--data`.
fn refuse_generated(setup: &Setup<'_>) -> Result<()> {
    let typed = KIND.takes.iter().find(|param| setup.params.is_typed(param.name));
    typed.map_or(Ok(()), |param| {
        let accepted = "only without --data: it is of generated shapes";
        Err(Error::value("parameter of task 'image'", param.name, accepted))
    })
}

/// Refuses images that a sequence does not hold: unlike a text, an image is not read from its beginning.
fn fits(path: &Path, [height, width]: [usize; 2], n: usize) -> Result<()> {
    let pixels = height * width;
    if pixels <= n {
        return Ok(());
    }
    let what = format!("images of {height} x {width} pixels");
    Err(Error::malformed(
        path,
        what,
        format!("{n} pixels or less, the sequence length; --seq-len {pixels} reads these"),
    ))
}

fn evaluate(path: &Path, network: &TrainedNetwork<'_>) -> Result<EvaluationSet> {
    let found = read(path, Some(&network.words("class_names")))?;
    // Networks of earlier versions do not say what size their images had.
    let trained: Vec<usize> = network.words("image_size").iter().flat_map(|side| side.parse()).collect();
    match <[usize; 2]>::try_from(trained) {
        Ok(size) => found.of_size(path, size, "those that the network learned from")?,
        Err(_) => fits(path, found.size, network.max_tokens())?,
    }
    Ok(evaluation_set(&examples(&found.images), network))
}
