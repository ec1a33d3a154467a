//! Claims of the Performer, linear attention and the Nystrom method.

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::drawn::{Drawn, relative, table};
use super::evidence::{Evidence, Rows, less};
use super::judge::{Figure, Judge};
use super::linformer::windows;
use super::setting::Setting;
use super::statement::{Claim, On};
use crate::attention::{Attention, Mask, performer_features};
use crate::error::Result;
use crate::rng::{Rng, normal, stream};
use crate::stats;

/// Lemma 1 of the Performer: positive features are unbiased.
pub(super) const UNBIASED: Claim = Claim {
    name: "performer-unbiased",
    about: "the mean of the Performer's kernel over draws of its features is exp(x y)",
    source: "Choromanski et al. 2021, lemma 1",
    figure: "mean estimate over exp(x y), 64 orthogonal features",
    published: Some("1"),
    judge: Judge::Within(0.98, 1.02),
    on: On::Draws,
    measure: |setting| unbiased(setting, performer_features),
};

/// Draws l features (l, d).
pub(super) type Draw = fn(&mut Rng, usize, usize) -> Array2<f32>;

pub(super) fn unbiased(setting: &Setting<'_>, draw: Draw) -> Result<Evidence> {
    let mut rows = table(&["draw", "ratio"]);
    let mut values = Vec::new();
    for number in 0..400 {
        setting.context.watch.check()?;
        let ratio = stats::mean(&ratios((setting.context.seed, number), draw, 64, 1.0));
        rows.push(vec![number.into(), ratio.into()]);
        values.push(ratio);
    }
    let note =
        Some("of the unnormalised kernel; a row of the normalised matrix is a quotient, and biased".into());
    Ok(Evidence { figure: Figure::Sample { of: "draw", values }, rows, command: None, note })
}

/// Lemma 2 of the Performer: the variance falls as 1 / l.
pub(super) const VARIANCE: Claim = Claim {
    name: "performer-variance",
    about: "the variance of the Performer's kernel falls with the number l of its features as 1/l",
    source: "Choromanski et al. 2021, lemma 2",
    figure: "exponent of 1/l in the variance",
    published: Some("1"),
    judge: Judge::Within(0.9, 1.1),
    on: On::Draws,
    measure: |setting| variance(setting, performer_features),
};

pub(super) fn variance(setting: &Setting<'_>, draw: Draw) -> Result<Evidence> {
    let mut rows = table(&["repetition", "l", "variance"]);
    let mut slopes = Vec::new();
    // Blocks of directions are orthogonal within the width, so lengths are multiples of it.
    for repetition in 0..REPETITIONS {
        let mut logarithms = Vec::new();
        for l in [16_usize, 64, 256] {
            setting.context.watch.check()?;
            let variance = spread((setting.context.seed, repetition), draw, l, 0.7);
            rows.push(vec![repetition.into(), l.into(), variance.into()]);
            logarithms.push(((l as f64).ln(), variance.ln()));
        }
        let (x, y): (Vec<f64>, Vec<f64>) = logarithms.into_iter().unzip();
        slopes.extend(stats::line(&x, &y).map(|line| -line.slope.mid));
    }
    Ok(Evidence {
        figure: Figure::Sample { of: "repetition", values: slopes },
        rows,
        command: None,
        note: None,
    })
}

/// Lemma 2 of the Performer: the variance grows with the norm.
pub(super) const NORM: Claim = Claim {
    name: "performer-norm",
    about: "the relative variance of the Performer's kernel grows with the length of queries and keys",
    source: "Choromanski et al. 2021, lemma 2: as exp(|x + y|^2)",
    figure: "ln of the variance at length 1.5 less that at length 1",
    published: None,
    judge: Judge::Above(0.0),
    on: On::Draws,
    measure: |setting| norm(setting, [1.0, 1.5]),
};

pub(super) fn norm(setting: &Setting<'_>, lengths: [f64; 2]) -> Result<Evidence> {
    let mut rows = table(&["repetition", "length", "variance"]);
    let mut values = Vec::new();
    for repetition in 0..REPETITIONS {
        setting.context.watch.check()?;
        let variances =
            lengths.map(|x| spread((setting.context.seed, repetition), performer_features, 64, x));
        for (length, variance) in lengths.into_iter().zip(variances) {
            rows.push(vec![repetition.into(), length.into(), variance.into()]);
        }
        values.push((variances[1] / variances[0]).ln());
    }
    Ok(Evidence { figure: Figure::Sample { of: "repetition", values }, rows, command: None, note: None })
}

/// How often a variance is measured.
const REPETITIONS: usize = 24;

/// Width of the drawn queries and keys of the kernel's claims.
const WIDTH: usize = 16;

/// The kernel's estimates over `exp(x y)` of 32 pairs x, y of some length (on average), with one draw of l features.
fn ratios((seed, number): (u64, usize), draw: Draw, l: usize, length: f64) -> Vec<f64> {
    let mut rng = stream(seed, &format!("claims performer {number}"));
    let factor = length / (WIDTH as f64).sqrt();
    let [x, y] = [(); 2].map(|()| normal(&mut rng, 32, WIDTH).mapv(|x| f64::from(x) * factor));
    let w = draw(&mut rng, l, WIDTH).mapv(f64::from);
    let features = |x: &Array2<f64>| {
        let mut exponents = x.dot(&w.t());
        for (mut row, x) in exponents.rows_mut().into_iter().zip(x.rows()) {
            row -= 0.5 * x.dot(&x);
        }
        exponents.mapv(f64::exp)
    };
    let (of_x, of_y) = (features(&x), features(&y));
    let estimate = |(x, y): (ArrayView1<'_, f64>, ArrayView1<'_, f64>)| x.dot(&y) / l as f64;
    let pairs = of_x.rows().into_iter().zip(of_y.rows()).map(estimate);
    pairs.zip(x.rows()).zip(y.rows()).map(|((estimate, x), y)| estimate / x.dot(&y).exp()).collect()
}

/// The variance of the ratios about 1, over 60 draws of features.
fn spread((seed, repetition): (u64, usize), draw: Draw, l: usize, length: f64) -> f64 {
    let all = (0..60).map(|number| ratios((seed, 1000 + repetition * 60 + number), draw, l, length));
    let squares: Vec<f64> = all.flatten().map(|ratio| (ratio - 1.0).powi(2)).collect();
    stats::mean(&squares)
}

/// Linear attention is a kernel in another order.
pub(super) const LINEAR: Claim = Claim {
    name: "linear-exact",
    about: "linear attention is exact for its kernel: its running sums give the rows of the normalised kernel matrix times v",
    source: "Katharopoulos et al. 2020, equations 4 to 6",
    figure: "largest relative difference from the n x n matrix",
    published: Some("0"),
    judge: Judge::Below(1e-5),
    on: On::Draws,
    measure: |setting| linear(setting, "linear"),
};

/// How far a mechanism is from the normalised kernel `elu + 1`.
pub(super) fn linear(setting: &Setting<'_>, mechanism: &str) -> Result<Evidence> {
    Drawn::all(setting, &["draw", "mask", "difference"], |drawn| {
        let mask = if drawn.number % 2 == 0 { Mask::Full } else { Mask::Causal };
        let found = Attention::plain(mechanism, None)?.forward(&drawn.input(mask), drawn.v.view())?;
        let phi = |x: &Array2<f32>| x.mapv(f64::from).mapv(|x| if x > 0.0 { x + 1.0 } else { x.exp() });
        let mut matrix = phi(&drawn.q).dot(&phi(&drawn.k).t());
        for ((i, j), x) in matrix.indexed_iter_mut() {
            if mask == Mask::Causal && j > i {
                *x = 0.0;
            }
        }
        let sums: Array1<f64> = matrix.sum_axis(Axis(1));
        matrix /= &sums.insert_axis(Axis(1));
        let expected = matrix.dot(&drawn.v.mapv(f64::from)).mapv(|x| x as f32);
        let difference = relative(found.view(), expected.view());
        Ok((difference, vec![mask.name().into(), difference.into()]))
    })
}

/// The Nystrom method improves with its landmarks.
pub(super) const LANDMARKS: Claim = Claim {
    name: "nystrom-landmarks",
    about: "the error of Nystrom attention falls with the number of landmarks",
    source: "Xiong et al. 2021",
    figure: "change of the output error by twice the landmarks, the less favourable of two doublings",
    published: None,
    judge: Judge::Below(0.0),
    on: On::Heads,
    measure: landmarks,
};

fn landmarks(setting: &Setting<'_>) -> Result<Evidence> {
    let ls = [(setting.n / 16).max(1), (setting.n / 8).max(2), (setting.n / 4).max(4)];
    let words = format!("--mechanism nystrom --l {},{},{}", ls[0], ls[1], ls[2]);
    let (command, report) = setting.errors(&words, &[setting.n])?;
    let rows = Rows(&report.rows);
    let [few, some, many] = ls.map(|l| rows.of_windows("output_rel_fro", "l", l));
    let (few, some, many) = (few?, some?, many?);
    let note = format!(
        "relative output error with {}, {} and {} landmarks: {:.3}, {:.3}, {:.3}",
        ls[0],
        ls[1],
        ls[2],
        stats::mean(&few),
        stats::mean(&some),
        stats::mean(&many)
    );
    let (first, second) = (less(&some, &few), less(&many, &some));
    let values = if stats::mean(&first) > stats::mean(&second) { first } else { second };
    Ok(Evidence { note: Some(note), ..windows(values, (command, report), &["output_rel_fro"])? })
}

/// With all rows as landmarks, the Nystrom method is exact.
pub(super) const EXACT: Claim = Claim {
    name: "nystrom-exact",
    about: "Nystrom attention is exact where every row is a landmark, with 20 iterations of its pseudo-inverse",
    source: "Xiong et al. 2021",
    figure: "largest relative difference from softmax attention",
    published: Some("0"),
    judge: Judge::Below(1e-2),
    on: On::Draws,
    measure: |setting| nystrom_exact(setting, 64),
};

/// How far the Nystrom method is from softmax with so many landmarks for 64 rows.
pub(super) fn nystrom_exact(setting: &Setting<'_>, l: usize) -> Result<Evidence> {
    Drawn::all(setting, &["draw", "difference"], |drawn| {
        let input = drawn.input(Mask::Full);
        let spec = format!("nystrom:l={l},iterations=20").parse()?;
        let nystrom = Attention::of(&spec)?.forward(&input, drawn.v.view())?;
        let exact = Attention::plain("softmax", None)?.forward(&input, drawn.v.view())?;
        let difference = relative(nystrom.view(), exact.view());
        Ok((difference, vec![difference.into()]))
    })
}
