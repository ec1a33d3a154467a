//! What heads keep of the past when rows come one at a time: the causal forms of softmax, local, linear and Performer
//! attention, a row now and the next one when it is known. Causal Luna's is [`State`](super::luna_causal::State).

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::fused::Given;
use super::{Mask, linear};
use crate::error::{Error, Result};
use crate::linalg::softmax::softmax_rows;

/// The past of one head.
#[derive(Clone, Debug)]
pub enum Past {
    /// Keys and values themselves: all of them, or the last few.
    Rows(Rows),
    /// Sums of linear attention.
    Linear(Sums),
    /// Sums of Performer's features under the largest exponent so far.
    Performer(Features),
}

/// Keys and values, one after the other.
#[derive(Clone, Debug)]
pub struct Rows {
    keys: Vec<f32>,
    values: Vec<f32>,
    /// How many are kept at most; `None` for all.
    most: Option<usize>,
}

/// Weighted values and weights, summed over the past.
#[derive(Clone, Debug)]
pub struct Sums {
    /// (features, `d_v`).
    values: Array2<f32>,
    /// (features).
    keys: Array1<f32>,
}

/// Performer's sums: what belongs to eps is kept apart, since it does not shrink when the maximum rises.
#[derive(Clone, Debug)]
pub struct Features {
    sums: Sums,
    plain: Array1<f32>,
    rows: usize,
    max: f32,
}

impl Sums {
    fn new(features: usize, d_v: usize) -> Self {
        Self { values: Array2::zeros((features, d_v)), keys: Array1::zeros(features) }
    }

    fn add(&mut self, key: &Array1<f32>, value: ArrayView1<'_, f32>) {
        for (mut row, weight) in self.values.rows_mut().into_iter().zip(key) {
            row.scaled_add(*weight, &value);
        }
        self.keys += key;
    }
}

impl Past {
    /// Before the first row, of heads with keys of width `d_h` and values of width `d_v`; `name` and `given` are those
    /// of the fused form.
    ///
    /// Refuses mechanisms that are not causal, and those whose past is none of these.
    pub fn new(name: &str, given: &Given<'_>, d_h: usize, d_v: usize) -> Result<Self> {
        let rows = |most| Self::Rows(Rows { keys: Vec::new(), values: Vec::new(), most });
        match (name, given) {
            ("softmax", Given::Nothing) => Ok(rows(None)),
            // the row's own key stands in the window too
            ("local", Given::Local { l }) => Ok(rows(Some(l / 2 + 1))),
            ("linear", Given::Nothing) => Ok(Self::Linear(Sums::new(d_h, d_v))),
            ("performer", Given::Performer { w, .. }) => {
                let (sums, plain) = (Sums::new(w.nrows(), d_v), Array1::zeros(d_v));
                Ok(Self::Performer(Features { sums, plain, rows: 0, max: f32::NEG_INFINITY }))
            }
            _ => Err(Error::value(
                "attention that takes a row at a time",
                name,
                format!("softmax, local, linear, performer, under the {} mask", Mask::Causal.name()),
            )),
        }
    }

    /// Takes in the next row's key and value and returns what its query reads, (`d_v`); `given` as it was at the start.
    ///
    /// # Panics
    /// If the widths are not those of the start.
    pub fn push(
        &mut self,
        given: &Given<'_>,
        scale: f32,
        [q, k, v]: [ArrayView1<'_, f32>; 3],
    ) -> Array1<f32> {
        match (self, given) {
            (Self::Performer(past), Given::Performer { w, eps }) => past.push(*w, *eps, scale, [q, k, v]),
            (Self::Linear(past), _) => past.push([q, k, v]),
            (Self::Rows(past), _) => past.push(scale, [q, k, v]),
            (Self::Performer(_), _) => panic!("features of Performer, as at the start"),
        }
    }
}

impl Rows {
    fn push(&mut self, scale: f32, [q, k, v]: [ArrayView1<'_, f32>; 3]) -> Array1<f32> {
        for (all, row) in [(&mut self.keys, k), (&mut self.values, v)] {
            all.extend(row);
            if let Some(most) = self.most {
                let beyond = all.len().saturating_sub(most * row.len());
                all.drain(..beyond);
            }
        }
        let rows = self.keys.len() / k.len();
        let of = |all, width| ArrayView2::from_shape((rows, width), all).expect("whole rows");
        let logits = of(&self.keys, k.len()).dot(&q) * scale;
        let mut share = logits.insert_axis(Axis(0));
        softmax_rows(share.view_mut());
        share.dot(&of(&self.values, v.len())).index_axis_move(Axis(0), 0)
    }
}

impl Sums {
    /// One row of linear attention, whose queries and keys are not scaled.
    fn push(&mut self, [q, k, v]: [ArrayView1<'_, f32>; 3]) -> Array1<f32> {
        let [q, k] = [q, k].map(|x| x.mapv(linear::phi));
        self.add(&k, v);
        let weight = q.dot(&self.keys) + linear::EPS;
        q.dot(&self.values) / weight
    }
}

impl Features {
    /// One row, as Performer's causal form has it.
    fn push(
        &mut self,
        w: ArrayView2<'_, f32>,
        eps: f32,
        scale: f32,
        [q, k, v]: [ArrayView1<'_, f32>; 3],
    ) -> Array1<f32> {
        let dash = |x: ArrayView1<'_, f32>| w.dot(&x) * scale.sqrt();
        let norm = |x: ArrayView1<'_, f32>| -0.5 * scale * x.dot(&x);
        let largest = |x: &Array1<f32>| x.fold(f32::NEG_INFINITY, |max, x| max.max(*x));
        let (dash_q, dash_k) = (dash(q), dash(k));
        let new = self.max.max(largest(&dash_k));
        if new > self.max {
            let shrunk = (self.max - new).exp();
            self.sums.values *= shrunk;
            self.sums.keys *= shrunk;
            self.max = new;
        }
        self.sums.add(&dash_k.mapv(|x| (x + norm(k) - self.max).exp()), v);
        self.plain += &v;
        self.rows += 1;
        let max = largest(&dash_q);
        let query = dash_q.mapv(|x| (x + norm(q) - max).exp() + eps);
        let flat = eps * query.sum();
        let weight = query.dot(&self.sums.keys) + flat * self.rows as f32;
        (query.dot(&self.sums.values) + &self.plain * flat) / weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::fused::{Heads, find};
    use crate::attention::performer_features;
    use crate::rng::{normal, stream};
    use ndarray::Array3;

    #[test]
    fn rows_one_at_a_time_are_the_causal_pass() {
        let mut rng = stream(8, "past");
        let (n, d_h, d_v) = (70, 6, 5);
        let [q, k, v] = [d_h, d_h, d_v].map(|d| normal(&mut rng, n, d));
        let w = performer_features(&mut rng, 9, d_h);
        let performer = Given::Performer { w: w.view(), eps: 1e-4 };
        for (name, given) in [
            ("softmax", Given::Nothing),
            ("linear", Given::Nothing),
            ("performer", performer),
            ("local", Given::Local { l: 7 }),
            ("local", Given::Local { l: 1 }),
        ] {
            let of = |x: &Array2<f32>| x.clone().insert_axis(Axis(0));
            let (q3, k3, v3) = (of(&q), of(&k), of(&v));
            let heads = Heads::new(q3.view(), k3.view(), v3.view(), Mask::Causal);
            let mut whole = Array3::zeros((1, n, d_v));
            find(name).unwrap().forward_into(&heads, &given, whole.view_mut()).unwrap();
            let mut past = Past::new(name, &given, d_h, d_v).unwrap();
            for t in 0..n {
                let row = past.push(&given, heads.scale, [q.row(t), k.row(t), v.row(t)]);
                let off = (&row - &whole.index_axis(Axis(0), 0).row(t)).mapv(f32::abs);
                assert!(off.iter().all(|off| *off < 2e-5), "{name}, row {t}: {off}");
            }
        }
        assert!(Past::new("linformer", &Given::Nothing, d_h, d_v).is_err());
    }
}
