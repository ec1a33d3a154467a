//! The generator beside a checker that knows the picture only.

use super::generate::generate;
use super::settings::PathfinderSettings;

/// Bright pixels of an image, as column and row.
fn bright(pixels: &[u8], side: usize) -> Vec<(i32, i32)> {
    let place = |at: usize| ((at % side) as i32, (at / side) as i32);
    pixels.iter().enumerate().filter(|(_, x)| **x > 127).map(|(at, _)| place(at)).collect()
}

/// The middles of dots: a dash is too thin to be bright in all of 3 x 3 pixels.
fn dots(bright: &[(i32, i32)]) -> Vec<(i32, i32)> {
    let is_dot = |(x, y): &&(i32, i32)| {
        (-1..=1).all(|right| (-1..=1).all(|down| bright.contains(&(x + right, y + down))))
    };
    bright.iter().filter(is_dot).copied().collect()
}

/// Whether the dots are connected, by flooding from one of them: over at most one dark pixel at a time.
fn connected(bright: &[(i32, i32)], from: (i32, i32), to: (i32, i32)) -> bool {
    let mut reached = vec![from];
    let mut at = 0;
    while let Some(&(x, y)) = reached.get(at) {
        at += 1;
        for &(i, j) in bright {
            if (x - i).pow(2) + (y - j).pow(2) <= 5 && !reached.contains(&(i, j)) {
                reached.push((i, j));
            }
        }
    }
    reached.contains(&to)
}

/// A number of the bright pixels of an image.
type Number<'a> = &'a dyn Fn(&[(i32, i32)]) -> f64;

/// The share of right answers of the best threshold on a number, either way around.
fn best_threshold(mut numbers: Vec<(f64, u32)>) -> f64 {
    numbers.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total = numbers.iter().filter(|(_, class)| *class == 1).count() as f64;
    let n = numbers.len() as f64;
    let (mut below, mut ones_below, mut best) = (0.0, 0.0, 0.5_f64);
    for (i, (x, class)) in numbers.iter().enumerate() {
        below += 1.0;
        ones_below += f64::from(*class);
        if numbers.get(i + 1).is_none_or(|next| next.0 > *x) {
            let right = (below - ones_below + total - ones_below) / n;
            best = best.max(right).max(1.0 - right);
        }
    }
    best
}

#[test]
fn a_checker_of_pictures_agrees_with_every_label() {
    for (side, count) in [(32, 10), (20, 30), (16, 100), (12, 100)] {
        let images = generate(PathfinderSettings::of_side(side), count, 5).unwrap();
        assert_eq!(images.iter().filter(|(class, _)| *class == 1).count() * 2, count);
        for (i, (class, pixels)) in images.iter().enumerate() {
            let bright = bright(pixels, side);
            let dots = dots(&bright);
            assert_eq!(dots.len(), 2, "image {i} of side {side}: {dots:?}");
            assert_eq!(connected(&bright, dots[0], dots[1]), *class == 1, "image {i} of side {side}");
        }
    }
}

#[test]
fn no_simple_number_tells_the_classes_apart() {
    let side = 16;
    let images = generate(PathfinderSettings::of_side(side), 2000, 6).unwrap();
    let of = |number: Number<'_>| {
        best_threshold(images.iter().map(|(class, pixels)| (number(&bright(pixels, side)), *class)).collect())
    };
    let middle = (side as f64 - 1.0) / 2.0;
    let numbers: [(&str, Number<'_>); 5] = [
        ("bright pixels", &|bright| bright.len() as f64),
        ("distance of the dots", &|bright| {
            let dots = dots(bright);
            f64::from((dots[0].0 - dots[1].0).pow(2) + (dots[0].1 - dots[1].1).pow(2))
        }),
        ("place of a dot", &|bright| (f64::from(dots(bright)[0].0) - middle).abs()),
        ("pixels in the middle", &|bright| {
            let near = |x: i32| (f64::from(x) - middle).abs() < 3.0;
            bright.iter().filter(|(x, y)| near(*x) && near(*y)).count() as f64
        }),
        ("pixels at the border", &|bright| {
            let edge = |x: i32| x <= 2 || x >= side as i32 - 3;
            bright.iter().filter(|(x, y)| edge(*x) || edge(*y)).count() as f64
        }),
    ];
    for (name, number) in numbers {
        let share = of(number);
        assert!(share < 0.57, "{name}: {share}");
    }
}

#[test]
fn images_follow_from_the_seed_and_their_number() {
    let settings = PathfinderSettings::of_side(16);
    let all = generate(settings, 20, 1).unwrap();
    assert_eq!(generate(settings, 5, 1).unwrap(), all[..5]);
    assert_ne!(generate(settings, 5, 2).unwrap(), all[..5]);
    let mut different = all.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), 20);
    let too_long = PathfinderSettings { contour: 60, ..settings };
    let message = generate(too_long, 2, 1).unwrap_err().to_string();
    assert!(message.contains("60 dashes") && message.contains("16 x 16"), "{message}");
}
