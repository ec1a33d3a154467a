//! Beam search over anything that decodes a token at a time.

use ndarray::{Array2, ArrayView1};

use crate::{Error, Result};

/// An incremental decoder.
pub trait Writer {
    /// What it remembers of the tokens so far.
    type State: Clone;

    /// Takes in one more token of each state and returns the logits (states, vocabulary) of the next ones.
    fn write(&self, states: &mut [Self::State], tokens: &[u32]) -> Result<Array2<f32>>;
}

/// A beam search: how wide, how long, by which score.
///
/// The score of a hypothesis is `log p / ((5 + length) / 6)^length_penalty` (Wu et al. 2016, without their coverage):
/// `log p` is the sum over its tokens and the end, each out of the whole vocabulary, and the length counts the end too.
/// With a penalty of 0 it is `log p`, which prefers what is short.
///
/// Each step continues every live hypothesis by every token. All these are ranked by `log p`, of equal ones those of the
/// hypothesis that ranked higher first, then the lower token. What ends and is among the first `width` is finished, and
/// the first `width` that do not end live on: a finished hypothesis takes no place away. One that has `max_length - 1`
/// tokens can only end, so that all that is finished has ended.
///
/// The search stops when nothing lives, and as soon as `best` are finished and no live one can come before the worst of
/// these: its `log p` can only fall, so that its score will be at most `log p / ((5 + max_length) / 6)^length_penalty`. Of equal
/// scores what was finished first stands first. A beam of width 1 stops at the first end: it is greedy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beam<'a> {
    /// Hypotheses that live at once.
    pub width: usize,
    /// The exponent of the score's divisor: 0 or more.
    pub length_penalty: f64,
    /// Tokens of the longest hypothesis, the end included.
    pub max_length: usize,
    /// Finished hypotheses that are wanted, at least 1.
    pub best: usize,
    /// The token before every hypothesis.
    pub begin: u32,
    /// The token after it.
    pub end: u32,
    /// Tokens that are never written.
    pub never: &'a [u32],
}

/// A finished hypothesis.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its tokens, without the ones that begin and end it.
    pub tokens: Vec<u32>,
    /// The logarithm of its probability, the end included.
    pub log_p: f64,
    /// The score of its rank.
    pub score: f64,
}

/// A hypothesis that has not ended.
struct Live<S> {
    tokens: Vec<u32>,
    log_p: f64,
    state: S,
}

/// A live hypothesis (by its rank) with one more token.
#[derive(Clone, Copy)]
struct Candidate {
    from: usize,
    token: u32,
    log_p: f64,
}

impl Beam<'_> {
    /// Refuses a beam without a place, one that could write nothing, and a penalty that is not finite or below 0.
    pub fn check(&self) -> Result<()> {
        for (what, count) in [
            ("--beam", self.width),
            ("longest hypothesis of a beam", self.max_length),
            ("hypotheses wanted of a beam", self.best),
        ] {
            if count == 0 {
                return Err(Error::value(what, count, "1 or more"));
            }
        }
        if !(self.length_penalty.is_finite() && self.length_penalty >= 0.0) {
            return Err(Error::value("--length-penalty", self.length_penalty, "0 or more"));
        }
        Ok(())
    }

    /// The best hypotheses, highest score first: at least one, at most `best`, all that were finished if they are fewer.
    ///
    /// Refuses logits that are not finite, and what [`check`](Self::check) and the writer refuse.
    pub fn search<W: Writer>(&self, writer: &W, start: W::State) -> Result<Vec<Found>> {
        self.check()?;
        let mut live = vec![Live { tokens: Vec::new(), log_p: 0.0, state: start }];
        let mut finished: Vec<Found> = Vec::new();
        while let Some(first) = live.first() {
            if self.is_settled(&finished, first.log_p) {
                break;
            }
            let last = |one: &Live<_>| one.tokens.last().copied().unwrap_or(self.begin);
            let tokens: Vec<u32> = live.iter().map(last).collect();
            let log_ps: Vec<f64> = live.iter().map(|one| one.log_p).collect();
            let (written, mut states): (Vec<_>, Vec<_>) =
                live.into_iter().map(|one| (one.tokens, one.state)).unzip();
            let logits = writer.write(&mut states, &tokens)?;
            let only_end = written[0].len() + 1 >= self.max_length;
            let ranked = self.ranked(&logits, &log_ps, only_end)?;
            for ended in ranked.iter().take(self.width).filter(|one| one.token == self.end) {
                self.finish(&mut finished, written[ended.from].clone(), ended.log_p);
            }
            let next = ranked.iter().filter(|one| one.token != self.end).take(self.width);
            let go_on = |one: &Candidate| Live {
                tokens: [&written[one.from][..], &[one.token]].concat(),
                log_p: one.log_p,
                state: states[one.from].clone(),
            };
            live = next.map(go_on).collect();
        }
        Ok(finished)
    }

    /// Whether no live hypothesis, of which the first has this `log p`, can come before what is finished.
    fn is_settled(&self, finished: &[Found], log_p: f64) -> bool {
        let Some(worst) = finished.last() else { return false };
        self.width == 1 || finished.len() >= self.best && self.score(log_p, self.max_length) <= worst.score
    }

    /// Puts a hypothesis that has ended in its place, if it is one of the best.
    fn finish(&self, finished: &mut Vec<Found>, tokens: Vec<u32>, log_p: f64) {
        let score = self.score(log_p, tokens.len() + 1);
        let place = finished.partition_point(|one| one.score >= score);
        finished.insert(place, Found { tokens, log_p, score });
        finished.truncate(self.best);
    }

    fn score(&self, log_p: f64, length: usize) -> f64 {
        log_p / ((5.0 + length as f64) / 6.0).powf(self.length_penalty)
    }

    /// The candidates of a step, best first: of each hypothesis its end, and as many others as there are places.
    fn ranked(&self, logits: &Array2<f32>, log_ps: &[f64], only_end: bool) -> Result<Vec<Candidate>> {
        let mut all = Vec::new();
        for (from, (row, log_p)) in logits.rows().into_iter().zip(log_ps).enumerate() {
            let all_of_it = log_sum(row)?;
            let Some(end) = row.get(self.end as usize) else {
                let accepted = format!("one of {}, the vocabulary", row.len());
                return Err(Error::value("end of a hypothesis", self.end, accepted));
            };
            let others = if only_end { Vec::new() } else { self.most_probable(row) };
            let candidate = |(token, logit): (u32, f32)| {
                let log_p = log_p + (f64::from(logit) - all_of_it);
                Candidate { from, token, log_p }
            };
            all.extend(others.into_iter().chain([(self.end, *end)]).map(candidate));
        }
        all.sort_by(|a, b| b.log_p.total_cmp(&a.log_p).then(a.from.cmp(&b.from)).then(a.token.cmp(&b.token)));
        Ok(all)
    }

    /// The most probable tokens that do not end and may be written, at most as many as there are places; of equal ones the
    /// lower first.
    fn most_probable(&self, logits: ArrayView1<'_, f32>) -> Vec<(u32, f32)> {
        let mut best: Vec<(u32, f32)> = Vec::with_capacity(self.width.min(logits.len()) + 1);
        for (token, logit) in (0_u32..).zip(logits) {
            let full = best.len() >= self.width;
            if full && best.last().is_some_and(|last| *logit <= last.1) {
                continue;
            }
            if token == self.end || self.never.contains(&token) {
                continue;
            }
            best.insert(best.partition_point(|one| one.1 >= *logit), (token, *logit));
            best.truncate(self.width);
        }
        best
    }
}

/// ln of the sum of exp of a row: subtracted from logits it makes them `log p`.
fn log_sum(logits: ArrayView1<'_, f32>) -> Result<f64> {
    if let Some((token, value)) = logits.indexed_iter().find(|(_, x)| !x.is_finite()) {
        let (what, at) = ("logits of the next token".into(), format!("token {token}"));
        return Err(Error::NotFinite { what, value: f64::from(*value), at });
    }
    let max = logits.fold(f32::NEG_INFINITY, |max, x| max.max(*x));
    let sum: f64 = logits.iter().map(|x| f64::from((x - max).exp())).sum();
    Ok(f64::from(max) + sum.ln())
}
