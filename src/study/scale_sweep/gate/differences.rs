//! Gradients held against differences of the reference implementation in f64, along drawn directions.

use ndarray::{Array2, Zip};

use crate::error::Result;
use crate::rng::{Rng, normal};

/// How far an input is moved each way, in units of a drawn direction of standard normal numbers.
const STEP: f64 = 1e-6;
/// A gradient that is shorter than this share of the longest is judged as if it were this long: rounding of what is zero in
/// exact arithmetic is not a fault.
const SHORTEST: f64 = 1e-2;

/// Arrays that move together, with their gradients.
pub(super) struct Group {
    /// Places among the inputs.
    pub(super) inputs: Vec<usize>,
    /// The gradient of each.
    pub(super) gradients: Vec<Array2<f64>>,
}

/// The largest difference between the slope that the gradients of a group give along a drawn direction, and the central
/// difference of `objective` there, over the length of the group's gradient.
pub(super) fn difference(
    inputs: &[Array2<f64>],
    groups: &[Group],
    rng: &mut Rng,
    objective: &mut dyn FnMut(&[Array2<f64>]) -> Result<f64>,
) -> Result<f64> {
    let length = |group: &Group| group.gradients.iter().map(|x| sum(x, x)).sum::<f64>().sqrt();
    let longest = groups.iter().map(length).fold(0.0, larger);
    let mut far: f64 = 0.0;
    for group in groups {
        let mut ends = [inputs.to_vec(), inputs.to_vec()];
        let mut along = 0.0;
        for (at, gradient) in group.inputs.iter().zip(&group.gradients) {
            let direction = normal(rng, gradient.nrows(), gradient.ncols()).mapv(f64::from);
            along += sum(gradient, &direction);
            for (end, by) in ends.iter_mut().zip([STEP, -STEP]) {
                end[*at].scaled_add(by, &direction);
            }
        }
        let [up, down] = ends;
        let slope = (objective(&up)? - objective(&down)?) / (2.0 * STEP);
        far = larger(far, (slope - along).abs() / length(group).max(SHORTEST * longest));
    }
    Ok(far)
}

/// The larger of two, of which one that is NaN is the largest.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b <= a { a } else { b }
}

/// The sum of products of two arrays of one shape.
pub(super) fn sum(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    Zip::from(a).and(b).fold(0.0, |sum, a, b| sum + a * b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    /// `sum(x^2) + 3 sum(y)` with the gradients of `wrong` times what they should be.
    fn found(wrong: [f64; 2]) -> f64 {
        let mut rng = stream(1, "slopes");
        let inputs = [normal(&mut rng, 5, 7), normal(&mut rng, 2, 3)].map(|x| x.mapv(f64::from));
        let gradients = [&inputs[0] * (2.0 * wrong[0]), Array2::from_elem((2, 3), 3.0 * wrong[1])];
        let groups: Vec<Group> = gradients
            .into_iter()
            .enumerate()
            .map(|(at, gradient)| Group { inputs: vec![at], gradients: vec![gradient] })
            .collect();
        let mut objective = |x: &[Array2<f64>]| Ok(sum(&x[0], &x[0]) + 3.0 * x[1].sum());
        difference(&inputs, &groups, &mut rng, &mut objective).unwrap()
    }

    #[test]
    fn right_gradients_pass_and_wrong_ones_are_seen() {
        assert!(found([1.0, 1.0]) < 1e-6);
        for wrong in [[1.02, 1.0], [1.0, 0.98], [0.0, 1.0], [1.0, 0.0], [-1.0, 1.0]] {
            assert!(found(wrong) > 3e-3, "{wrong:?}");
        }
        assert!(found([f64::NAN, 1.0]).is_nan());
    }
}
