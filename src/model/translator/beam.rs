//! Beam search: the likeliest target that a few hypotheses side by side find.

use ndarray::Array1;

use crate::{Error, Result};

/// What is searched, and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beam {
    /// Hypotheses that are kept side by side.
    pub width: usize,
    /// alpha of Wu et al. 2016: a hypothesis of n tokens, its end included, has the score
    /// `ln p / ((5 + n) / 6)^alpha`. 0 takes the likeliest, more favours longer ones.
    pub length_penalty: f64,
    /// The most tokens, the end not included; what has none by then is ended there.
    pub most: usize,
}

/// A target that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its tokens, without the one that ends it.
    pub tokens: Vec<u32>,
    /// `ln p` of all of them and of the end.
    pub log_p: f64,
    /// What it was chosen by.
    pub score: f64,
}

/// One hypothesis that may go on.
struct Live<S> {
    state: S,
    tokens: Vec<u32>,
    log_p: f64,
    /// Of the next token.
    next: Vec<f64>,
}

impl Beam {
    /// Refuses no hypothesis, no token, and a penalty that is no number.
    pub fn new(width: usize, length_penalty: f64, most: usize) -> Result<Self> {
        for (what, value) in [("--beam", width), ("tokens of a target", most)] {
            if value == 0 {
                return Err(Error::value(what, value, "1 or more"));
            }
        }
        if !(length_penalty.is_finite() && length_penalty >= 0.0) {
            return Err(Error::value("--length-penalty", length_penalty, "0 or more"));
        }
        Ok(Self { width, length_penalty, most })
    }

    fn score(&self, log_p: f64, tokens: usize) -> f64 {
        log_p / ((5.0 + tokens as f64) / 6.0).powf(self.length_penalty)
    }

    /// The best target that begins behind `begin` and ends with `end`; tokens in `never` are not said.
    ///
    /// `step` takes a token into a state and gives the logits of the next one. Each round, the `width` likeliest
    /// continuations of all hypotheses (of equal ones the earlier hypothesis', then the lower token) either end or go on.
    /// The search is over when `width` targets have ended and no hypothesis that could still end, even surely and with the
    /// best length left to it, would have a better score than the best of them; or at the most tokens, where every
    /// hypothesis is ended with the probability of its end.
    pub fn search<S: Clone>(
        &self,
        start: S,
        [begin, end]: [u32; 2],
        never: &[u32],
        step: &dyn Fn(&mut S, u32) -> Result<Array1<f32>>,
    ) -> Result<Found> {
        let open = |mut state: S, tokens: Vec<u32>, log_p: f64, token: u32| -> Result<Live<S>> {
            let next = log_softmax(&step(&mut state, token)?, never);
            Ok(Live { state, tokens, log_p, next })
        };
        let mut live = vec![open(start, Vec::new(), 0.0, begin)?];
        let mut found: Vec<Found> = Vec::new();
        let ended = |tokens: Vec<u32>, log_p: f64| {
            let score = self.score(log_p, tokens.len() + 1);
            Found { tokens, log_p, score }
        };
        for length in 0..=self.most {
            if length == self.most {
                for Live { tokens, log_p, next, .. } in live.drain(..) {
                    found.push(ended(tokens, log_p + next[end as usize]));
                }
                break;
            }
            let mut chosen = self.continuations(&live);
            chosen.retain(|(from, token, log_p)| {
                let ends = *token == end as usize;
                if ends {
                    found.push(ended(live[*from].tokens.clone(), *log_p));
                }
                !ends
            });
            let going = chosen.into_iter().map(|(from, token, log_p)| {
                let Live { state, tokens, .. } = &live[from];
                let mut tokens = tokens.clone();
                tokens.push(token as u32);
                open(state.clone(), tokens, log_p, token as u32)
            });
            live = going.collect::<Result<_>>()?;
            let best = found.iter().map(|found| found.score).fold(f64::NEG_INFINITY, f64::max);
            let reach = |live: &Live<S>| self.score(live.log_p, self.most + 1);
            if live.is_empty() || (found.len() >= self.width && live.iter().all(|live| reach(live) <= best)) {
                break;
            }
        }
        // The first of the best.
        let first = found.into_iter().reduce(|best, next| if next.score > best.score { next } else { best });
        first.ok_or_else(|| Error::value("targets that were found", 0, "1 or more"))
    }

    /// The likeliest continuations: hypothesis, token, `ln p` with it.
    fn continuations<S>(&self, live: &[Live<S>]) -> Vec<(usize, usize, f64)> {
        let mut all: Vec<(usize, usize, f64)> = Vec::new();
        for (from, Live { log_p, next, .. }) in live.iter().enumerate() {
            let possible = next.iter().enumerate().filter(|(_, of)| of.is_finite());
            all.extend(possible.map(|(token, of)| (from, token, log_p + of)));
        }
        let order = |a: &(usize, usize, f64), b: &(usize, usize, f64)| {
            b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)).then(a.1.cmp(&b.1))
        };
        if all.len() > self.width {
            all.select_nth_unstable_by(self.width - 1, order);
            all.truncate(self.width);
        }
        all.sort_by(order);
        all
    }
}

/// Logarithms of probabilities, of which some tokens have none.
fn log_softmax(logits: &Array1<f32>, never: &[u32]) -> Vec<f64> {
    let mut logits = logits.mapv(f64::from).to_vec();
    for token in never {
        if let Some(logit) = logits.get_mut(*token as usize) {
            *logit = f64::NEG_INFINITY;
        }
    }
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = top + logits.iter().map(|logit| (logit - top).exp()).sum::<f64>().ln();
    logits.iter_mut().for_each(|logit| *logit -= total);
    logits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const END: u32 = 0;
    const VOCAB: usize = 4;

    /// Logits that depend on the last two tokens, from a table.
    fn table(numbers: &[f32]) -> impl Fn(&mut [usize; 2], u32) -> Result<Array1<f32>> {
        move |state, token| {
            *state = [state[1], token as usize];
            let at = (state[0] * VOCAB + state[1]) * VOCAB;
            Ok(Array1::from_vec(numbers[at..at + VOCAB].to_vec()))
        }
    }

    /// The best of all targets of at most so many tokens.
    fn exhaustive(beam: &Beam, step: &dyn Fn(&mut [usize; 2], u32) -> Result<Array1<f32>>) -> Found {
        fn rise(
            beam: &Beam,
            step: &dyn Fn(&mut [usize; 2], u32) -> Result<Array1<f32>>,
            (mut state, token): ([usize; 2], u32),
            tokens: &[u32],
            log_p: f64,
            best: &mut Option<Found>,
        ) {
            let next = log_softmax(&step(&mut state, token).unwrap(), &[]);
            let total = log_p + next[END as usize];
            let score = beam.score(total, tokens.len() + 1);
            if best.as_ref().is_none_or(|best| score > best.score) {
                *best = Some(Found { tokens: tokens.to_vec(), log_p: total, score });
            }
            if tokens.len() < beam.most {
                for token in (0..VOCAB as u32).filter(|token| *token != END) {
                    let more = [tokens, &[token]].concat();
                    rise(beam, step, (state, token), &more, log_p + next[token as usize], best);
                }
            }
        }
        let mut best = None;
        rise(beam, step, ([0; 2], 1), &[], 0.0, &mut best);
        best.unwrap()
    }

    proptest! {
        #[test]
        fn a_beam_as_wide_as_everything_finds_the_best_of_all(
            numbers in prop::collection::vec(-3.0_f32..3.0, VOCAB * VOCAB * VOCAB),
            (most, alpha) in (1_usize..5, 0.0_f64..1.5),
        ) {
            let step = table(&numbers);
            let beam = Beam::new(1000, alpha, most).unwrap();
            let found = beam.search([0; 2], [1, END], &[], &step).unwrap();
            let best = exhaustive(&beam, &step);
            prop_assert!((found.score - best.score).abs() < 1e-9, "{found:?} {best:?}");
        }

        #[test]
        fn one_hypothesis_is_greedy_and_never_says_what_it_must_not(
            numbers in prop::collection::vec(-3.0_f32..3.0, VOCAB * VOCAB * VOCAB),
        ) {
            let step = table(&numbers);
            let found = Beam::new(1, 0.0, 6).unwrap().search([0; 2], [1, END], &[3], &step).unwrap();
            let (mut state, mut token, mut greedy) = ([0; 2], 1, Vec::new());
            for _ in 0..6 {
                let next = log_softmax(&step(&mut state, token).unwrap(), &[3]);
                let best = (0..VOCAB).reduce(|a, b| if next[b] > next[a] { b } else { a }).unwrap();
                if best == END as usize {
                    break;
                }
                token = best as u32;
                greedy.push(token);
            }
            prop_assert_eq!(found.tokens, greedy);
        }
    }

    #[test]
    fn the_penalty_is_that_of_wu() {
        let beam = Beam::new(2, 1.0, 9).unwrap();
        assert!((beam.score(-6.0, 7) + 3.0).abs() < 1e-12);
        assert!((Beam { length_penalty: 0.0, ..beam }.score(-6.0, 7) + 6.0).abs() < 1e-12);
        for (width, alpha, most) in [(0, 1.0, 5), (1, f64::NAN, 5), (1, -1.0, 5), (1, 1.0, 0)] {
            assert!(Beam::new(width, alpha, most).is_err());
        }
    }
}
