//! A set of shapes: what the tests learn, and a default that needs no file.

use rand::RngExt;
use rayon::prelude::*;

use crate::rng::stream;

/// What is drawn, in the order of the classes.
pub const SHAPES: [&str; 4] = ["disc", "square", "triangle", "cross"];

/// The least side of an image that holds every shape.
pub(super) const MIN_SIDE: usize = 8;

/// `count` images of `side` x `side` pixels, row by row, with their classes, which follow each other: image i is the same
/// whatever `count` is. A shape has a random place, size, and grey value, on a darker ground; every pixel is noisy.
pub fn generate(side: usize, count: usize, seed: u64) -> Vec<(u32, Vec<u8>)> {
    let image = |i: usize| {
        let class = i % SHAPES.len();
        (class as u32, draw(side, class, seed, i))
    };
    (0..count).into_par_iter().map(image).collect()
}

fn draw(side: usize, class: usize, seed: u64, number: usize) -> Vec<u8> {
    let rng = &mut stream(seed, &format!("shape {number}"));
    let length = side as f64;
    let radius = rng.random_range(0.22..0.38) * length;
    let [x, y] = [0, 1].map(|_| rng.random_range(radius..length - radius));
    let (ground, shape) = (rng.random_range(0.0..96.0), rng.random_range(144.0..240.0));
    let mut pixels = Vec::with_capacity(side * side);
    for row in 0..side {
        for column in 0..side {
            let [right, down] = [column as f64 + 0.5 - x, row as f64 + 0.5 - y].map(|from| from / radius);
            let of = if inside(class, right, down) { shape } else { ground };
            pixels.push((of + rng.random_range(-12.0..12.0_f64)).clamp(0.0, 255.0) as u8);
        }
    }
    pixels
}

/// Whether a place is in the shape, which lies within 1 of its middle. The shapes have about the same area.
fn inside(class: usize, right: f64, down: f64) -> bool {
    match class {
        0 => right.hypot(down) <= 0.8,
        1 => right.abs().max(down.abs()) <= 0.7,
        2 => down.abs() <= 1.0 && 2.0 * right.abs() <= down + 1.0,
        _ => right.abs().min(down.abs()) <= 0.3 && right.abs().max(down.abs()) <= 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_those_of_their_classes_whatever_their_number() {
        let (all, few) = (generate(16, 400, 3), generate(16, 10, 3));
        assert_eq!(all[..10], few);
        assert_ne!(generate(16, 10, 4), few);
        let mut areas = [0.0; 4];
        for (class, pixels) in &all {
            let (low, high) =
                pixels.iter().fold((255_u8, 0_u8), |(low, high), x| (low.min(*x), high.max(*x)));
            let middle = low.midpoint(high);
            areas[*class as usize] += pixels.iter().filter(|x| **x > middle).count() as f64 / 100.0;
        }
        let (least, most) = areas.iter().fold((f64::MAX, 0.0_f64), |(a, b), x| (a.min(*x), b.max(*x)));
        assert!(least > 20.0 && most < 1.35 * least, "{areas:?}");
    }

    #[test]
    fn the_set_sizes_of_classes_are_those_of_four() {
        let count = |class: u32| generate(8, 10, 1).iter().filter(|(of, _)| *of == class).count();
        assert_eq!([0, 1, 2, 3].map(count), [3, 3, 2, 2]);
    }
}
