//! Dashed curves that keep their distance from each other, and the dots at their ends.

use rand::RngExt;

use super::settings::PathfinderSettings;
use crate::rng::Rng;

/// Column and row of a pixel.
pub(super) type Pixel = [i32; 2];

/// Length of a dash and of the gap after it, in pixels: Long Range Arena's dashes have 2 pixels at 32 x 32.
const DASH: f64 = 1.0;
const GAP: f64 = 2.0;
/// How far one dash may turn from the one before it, in radians.
const TURN: f64 = 0.6;
/// Squared distances, in pixels: of the nearest pixels of dashes that follow each other (one dark pixel between them), and
/// the least of any others. What is between them decides which dashes make one curve.
const NEXT: std::ops::RangeInclusive<i32> = 4..=5;
const APART: i32 = 8;
/// Pixels from which a pixel may be less than [`APART`].
const REACH: i32 = 2;
/// Directions that are tried for a dash, dashes that are taken back where none fits, and dashes for each of a curve, before it
/// is given up.
const DIRECTIONS: usize = 8;
const BACK: usize = 4;
const DASHES: usize = 6;
/// Curves that are tried before a scene is given up.
const CURVES: usize = 6;
/// How far the distances of the dots of both answers to one scene may be from each other, in pixels.
const SIMILAR: f64 = 0.7;

/// The bright pixels of an image, without its dots.
pub(super) struct Scene {
    side: i32,
    pub(super) bright: Vec<Pixel>,
    /// Pixels that are too near to another curve, or to a place of a dot.
    closed: Vec<bool>,
}

/// The dashes of one curve.
type Curve = Vec<Vec<Pixel>>;

impl Scene {
    /// A scene with the dots of both answers, apart and connected, if all curves fit: two long curves, whose ends leave room
    /// for dots, then those that distract.
    pub(super) fn draw(settings: &PathfinderSettings, rng: &mut Rng) -> Option<(Self, [[Pixel; 2]; 2])> {
        let side = settings.side as i32;
        let mut scene = Self { side, bright: Vec::new(), closed: vec![false; settings.side.pow(2)] };
        let mut ends = [[[0; 2]; 2]; 2];
        for ends in &mut ends {
            let (curve, found) = (0..CURVES).find_map(|_| {
                let curve = scene.curve(settings.contour, rng)?;
                let ends = [curve[0][0], *curve[curve.len() - 1].last()?];
                // A dot, and what closes around it, must not meet the other curve.
                ends.iter().all(|end| scene.is_open(&dot(*end))).then_some((curve, ends))
            })?;
            *ends = found;
            scene.add(&curve);
            for end in found {
                scene.close(&dot(end));
            }
        }
        let dots = dots(side, ends, rng)?;
        for _ in 0..settings.distractors {
            let curve = (0..CURVES).find_map(|_| scene.curve(settings.distractor, rng))?;
            scene.add(&curve);
        }
        Some((scene, dots))
    }

    fn add(&mut self, curve: &Curve) {
        for dash in curve {
            self.bright.extend(dash);
            self.close(dash);
        }
    }

    /// Closes all that is too near to these pixels.
    fn close(&mut self, pixels: &[Pixel]) {
        for [x, y] in pixels {
            for (right, down) in
                (-REACH..=REACH).flat_map(|right| (-REACH..=REACH).map(move |down| (right, down)))
            {
                let at = [x + right, y + down];
                if right * right + down * down < APART && at.iter().all(|x| (0..self.side).contains(x)) {
                    self.closed[(at[1] * self.side + at[0]) as usize] = true;
                }
            }
        }
    }

    fn is_open(&self, pixels: &[Pixel]) -> bool {
        pixels.iter().all(|[x, y]| !self.closed[(y * self.side + x) as usize])
    }

    /// A curve of so many dashes beside the others, if it gets that far: where no dash fits, it goes back a few.
    fn curve(&self, length: usize, rng: &mut Rng) -> Option<Curve> {
        let most = f64::from(self.side) - 1.0;
        let mut curve: Curve = Vec::new();
        // Direction of every dash, and where it ends.
        let mut path: Vec<(f64, [f64; 2])> = Vec::new();
        for _ in 0..DASHES * length {
            let next = (0..DIRECTIONS).find_map(|_| {
                let (angle, end, gap) = if let Some((angle, end)) = path.last() {
                    (angle + rng.random_range(-TURN..TURN), *end, GAP)
                } else {
                    let angle = rng.random_range(0.0..std::f64::consts::TAU);
                    (angle, [0, 1].map(|_| rng.random_range(0.0..most)), 0.0)
                };
                let along = |by: f64| [end[0] + by * angle.cos(), end[1] + by * angle.sin()];
                let mut dash: Vec<Pixel> =
                    [0.0, 0.5, 1.0].map(|part| along(gap + part * DASH).map(|x| x.round() as i32)).to_vec();
                dash.dedup();
                self.fits(&curve, &dash).then(|| (dash, (angle, along(gap + DASH))))
            });
            if let Some((dash, end)) = next {
                curve.push(dash);
                path.push(end);
            } else {
                let left = curve.len().saturating_sub(BACK);
                curve.truncate(left);
                path.truncate(left);
            }
            if curve.len() == length {
                return Some(curve);
            }
        }
        None
    }

    /// Whether a dash goes on with a curve, and is apart from all else; dots have room at the border.
    fn fits(&self, curve: &[Vec<Pixel>], dash: &[Pixel]) -> bool {
        let inner = 1..self.side - 1;
        let (before, last) = curve.split_at(curve.len().saturating_sub(1));
        dash.iter().flatten().all(|x| inner.contains(x))
            && self.is_open(dash)
            && last.iter().all(|last| NEXT.contains(&nearest(last, dash)))
            && before.iter().all(|other| nearest(other, dash) >= APART)
    }
}

/// The dots of both answers for the ends of two curves: about as far from each other, and no two ends too near.
fn dots(side: i32, ends: [[Pixel; 2]; 2], rng: &mut Rng) -> Option<[[Pixel; 2]; 2]> {
    let all = ends.as_flattened();
    let far = (side / 4).max(4).pow(2);
    if (0..4).any(|i| (0..i).any(|j| distance(all[i], all[j]) < far)) {
        return None;
    }
    let length = |pair: &[Pixel; 2]| f64::from(distance(pair[0], pair[1])).sqrt();
    let connected = ends[0];
    let pairs = [0, 1, 2, 3].map(|i| [ends[0][i / 2], ends[1][i % 2]]);
    let similar: Vec<_> =
        pairs.iter().filter(|pair| (length(pair) - length(&connected)).abs() <= SIMILAR).collect();
    let apart = **similar.get(rng.random_range(0..similar.len().max(1)))?;
    Some([apart, connected])
}

/// The pixels of a dot of radius 1.5 around a pixel.
pub(super) fn dot([x, y]: Pixel) -> Vec<Pixel> {
    (-1..=1).flat_map(|down| (-1..=1).map(move |right| [x + right, y + down])).collect()
}

fn distance(a: Pixel, b: Pixel) -> i32 {
    (a[0] - b[0]).pow(2) + (a[1] - b[1]).pow(2)
}

/// The squared distance of the nearest pixels of two dashes.
fn nearest(a: &[Pixel], b: &[Pixel]) -> i32 {
    a.iter().flat_map(|a| b.iter().map(|b| distance(*a, *b))).min().unwrap_or(i32::MAX)
}
