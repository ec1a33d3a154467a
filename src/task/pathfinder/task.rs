//! The task pathfinder.

use super::generate::{CLASSES, generate};
use super::settings::PathfinderSettings;
use crate::Result;
use crate::name::Param;
use crate::task::classified::{About, Classified};
use crate::task::kind::{NetworkKind, Setup, Task, TaskKind};
use crate::task::pixels::{PIXELS, TOKENS, generated, side};
use crate::task::recipe::RecipePreset;

/// Its declaration.
pub const KIND: TaskKind = TaskKind {
    name: "pathfinder",
    about: "whether a dashed curve connects two dots (Linsley et al. 2018), pixel by pixel, generated",
    takes: &[
        Param { name: "examples", default: Some("20000"), about: "size of the training set" },
        Param {
            name: "held",
            default: Some("1000"),
            about: "size of the validation set, and of the test set",
        },
        Param { name: "size", default: None, about: "height and width of an image [the root of --seq-len]" },
        Param { name: "contour", default: None, about: "dashes of the two long curves [14 at size 32]" },
        Param { name: "distractors", default: None, about: "curves that distract [5 at size 32]" },
        Param { name: "distractor", default: None, about: "dashes of each of them [4 at size 32]" },
    ],
    presets: &[
        RecipePreset {
            name: "small-pathfinder",
            about: "images of 16 x 16 pixels, 2 layers of width 64: minutes on a core",
            change: |recipe| {
                (recipe.n, recipe.d, recipe.ffn, recipe.layers) = (256, 64, 128, 2);
                (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (64, 3000, 2e-3, 200);
            },
        },
        RecipePreset {
            name: "lra-pathfinder",
            about: "images of 32 x 32 pixels as the Luna authors ran it: 1 layer of 128, n 1024, 62,500 steps (no attention dropout)",
            change: |recipe| {
                (recipe.n, recipe.d, recipe.ffn, recipe.layers) = (1024, 128, 128, 1);
                (recipe.batch, recipe.steps, recipe.rate, recipe.warm_up) = (512, 62_500, 1e-3, 4000);
                (recipe.dropout, recipe.weight_decay, recipe.beta_2) = (0.2, 0.0, 0.98);
                (recipe.clip, recipe.schedule) = (0.0, "inverse-sqrt".into());
                recipe.eval_every = 500;
            },
        },
    ],
    network: NetworkKind::Encoder,
    splits: false,
    open,
    evaluate: None,
};

/// The least side of an image with two curves and a distractor.
const MIN_SIDE: usize = 12;

fn open(setup: &Setup<'_>) -> Result<Box<dyn Task>> {
    setup.refuse_data()?;
    setup.refuse_test()?;
    let of_side = PathfinderSettings::of_side(side(setup, MIN_SIDE)?);
    let or = |name: &str, least: usize, otherwise: usize| match setup.params.optional(name)? {
        Some(value) if value < least => Err(setup.params.refuse(name, &value, &format!("{least} or more"))),
        value => Ok(value.unwrap_or(otherwise)),
    };
    let settings = PathfinderSettings {
        contour: or("contour", 2, of_side.contour)?,
        distractors: or("distractors", 0, of_side.distractors)?,
        distractor: or("distractor", 1, of_side.distractor)?,
        ..of_side
    };
    let sets = generated(setup, |count| generate(settings, count, setup.seed))?;
    let classes = CLASSES.map(String::from).to_vec();
    let notes = vec![
        "images follow the description of Linsley et al. (2018); they are not Long Range Arena's files, which --task image reads \
         as arrays"
            .into(),
    ];
    let about = About { classes, vocab: TOKENS, ids: PIXELS, size: None, notes };
    Ok(Box::new(Classified::new(sets, about, setup)))
}
