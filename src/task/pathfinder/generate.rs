//! Images of the task, drawn from a seed.

use rayon::prelude::*;

use super::scene::{Scene, dot};
use super::settings::PathfinderSettings;
use crate::rng::stream;
use crate::{Error, Result};

/// Names of the classes.
pub const CLASSES: [&str; 2] = ["apart", "connected"];

/// Scenes that are drawn before an image is given up.
const SCENES: usize = 2000;
/// `count` images, row by row, 255 where a dash or a dot is and 0 elsewhere, with their classes, which take turns: image i is
/// the same whatever `count` is.
///
/// A scene is accepted if it allows both answers with dots about as far from each other, and then has either: what is drawn
/// beside the dots, and how many pixels are bright, says nothing of the class. Refuses curves that do not fit.
pub fn generate(settings: PathfinderSettings, count: usize, seed: u64) -> Result<Vec<(u32, Vec<u8>)>> {
    (0..count).into_par_iter().map(|i| image(&settings, (i % 2) as u32, seed, i)).collect()
}

fn image(settings: &PathfinderSettings, class: u32, seed: u64, number: usize) -> Result<(u32, Vec<u8>)> {
    let rng = &mut stream(seed, &format!("pathfinder {number}"));
    let drawn = (0..SCENES).find_map(|_| Scene::draw(settings, rng));
    let Some((scene, dots)) = drawn else {
        let PathfinderSettings { side, contour, distractors, distractor } = settings;
        let found = format!("two curves of {contour} dashes and {distractors} of {distractor}");
        let accepted = format!("fewer or shorter ones, which fit into {side} x {side} pixels");
        return Err(Error::value("curves of task 'pathfinder'", found, accepted));
    };
    let mut pixels = vec![0; settings.side * settings.side];
    let dots = dots[class as usize].into_iter().flat_map(dot);
    for [x, y] in scene.bright.into_iter().chain(dots) {
        pixels[y as usize * settings.side + x as usize] = 255;
    }
    Ok((class, pixels))
}
