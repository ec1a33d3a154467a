//! Beam search: against every sequence there is, and by hand.

use luna::Result;
use luna::network::translator::{Beam, Found, Translator, TranslatorState, Writer};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

use super::{configs, ids, translator};

const END: u32 = 0;
const NEVER: u32 = 4;
const VOCAB: usize = 5;
const NUMBERS: usize = VOCAB * VOCAB * VOCAB;

/// Logits that depend on the last two tokens, from a table.
struct Table(Vec<f32>);

impl Table {
    fn row(&self, [before, last]: [u32; 2]) -> &[f32] {
        let at = (before as usize * VOCAB + last as usize) * VOCAB;
        &self.0[at..at + VOCAB]
    }

    fn log_p(&self, state: [u32; 2], token: u32) -> f64 {
        let row = self.row(state);
        let sum: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
        f64::from(row[token as usize]) - sum.ln()
    }
}

impl Writer for Table {
    type State = [u32; 2];

    fn write(&self, states: &mut [[u32; 2]], tokens: &[u32]) -> Result<Array2<f32>> {
        let mut all = Array2::zeros((states.len(), VOCAB));
        for ((state, token), mut row) in states.iter_mut().zip(tokens).zip(all.rows_mut()) {
            *state = [state[1], *token];
            row.assign(&Array1::from_vec(self.row(*state).to_vec()));
        }
        Ok(all)
    }
}

fn beam(width: usize, length_penalty: f64, most: usize) -> Beam<'static> {
    Beam { width, length_penalty, max_length: most, best: 1, begin: 1, end: END, never: &[NEVER] }
}

/// Every sequence of at most `most` tokens with its end, best first.
fn all(table: &Table, alpha: f64, most: usize) -> Vec<Found> {
    let (mut ended, mut going) = (Vec::new(), vec![(Vec::new(), [0, 1], 0.0)]);
    for length in 1..=most {
        let mut next = Vec::new();
        for (tokens, state, log_p) in going {
            let log_p_end = log_p + table.log_p(state, END);
            let score = log_p_end / ((5.0 + length as f64) / 6.0).powf(alpha);
            ended.push(Found { tokens: Vec::clone(&tokens), log_p: log_p_end, score });
            for token in (0..VOCAB as u32).filter(|token| ![END, NEVER].contains(token)) {
                let more = [&tokens[..], &[token]].concat();
                next.push((more, [state[1], token], log_p + table.log_p(state, token)));
            }
        }
        going = next;
    }
    ended.sort_by(|a, b| b.score.total_cmp(&a.score));
    ended
}

proptest! {
    #[test]
    fn a_beam_as_wide_as_all_there_is_finds_the_best_of_all(
        numbers in prop::collection::vec(-3.0_f32..3.0, NUMBERS),
        (most, alpha, best) in (1_usize..6, 0.0_f64..2.0, 1_usize..5),
    ) {
        let table = Table(numbers);
        let found = Beam { best, ..beam(500, alpha, most) }.search(&table, [0; 2]).unwrap();
        let exact = all(&table, alpha, most);
        prop_assert_eq!(found.len(), best.min(exact.len()));
        for (found, exact) in found.iter().zip(&exact) {
            prop_assert!((found.score - exact.score).abs() < 1e-5, "{:?} {:?}", found, exact);
        }
    }

    #[test]
    fn what_any_beam_finds_is_one_of_all_and_has_its_score(
        numbers in prop::collection::vec(-3.0_f32..3.0, NUMBERS),
        (width, most, alpha, best) in (1_usize..6, 1_usize..6, 0.0_f64..2.0, 1_usize..4),
    ) {
        let table = Table(numbers);
        let found = Beam { best, ..beam(width, alpha, most) }.search(&table, [0; 2]).unwrap();
        prop_assert!(!found.is_empty() && found.len() <= best);
        prop_assert!(found.is_sorted_by(|a, b| a.score >= b.score));
        let exact = all(&table, alpha, most);
        for found in &found {
            let same = exact.iter().find(|exact| exact.tokens == found.tokens).unwrap();
            prop_assert!((found.log_p - same.log_p).abs() < 1e-5 && (found.score - same.score).abs() < 1e-5);
        }
        // One hypothesis that is wanted is the first of several.
        let one = beam(width, alpha, most).search(&table, [0; 2]).unwrap();
        prop_assert_eq!(&one[0], &found[0]);
    }

    #[test]
    fn a_beam_of_one_is_greedy(
        numbers in prop::collection::vec(-3.0_f32..3.0, NUMBERS),
        (most, alpha) in (1_usize..8, 0.0_f64..2.0),
    ) {
        let table = Table(numbers);
        let (mut state, mut greedy) = ([0, 1], Vec::new());
        while greedy.len() + 1 < most {
            let row = table.row(state);
            let best = (0..NEVER).reduce(|a, b| if row[b as usize] > row[a as usize] { b } else { a }).unwrap();
            if best == END {
                break;
            }
            greedy.push(best);
            state = [state[1], best];
        }
        prop_assert_eq!(&beam(1, alpha, most).search(&table, [0; 2]).unwrap()[0].tokens, &greedy);
    }
}

/// After the begin: END with 0.5, or token 2 with 0.4; after token 2 END with 0.9.
fn two_ways() -> Table {
    let mut numbers = vec![0.0_f32; NUMBERS];
    let mut set = |state: [usize; 2], p: [f32; VOCAB]| {
        let at = (state[0] * VOCAB + state[1]) * VOCAB;
        numbers[at..at + VOCAB].copy_from_slice(&p.map(f32::ln));
    };
    set([0, 1], [0.5, 0.04, 0.4, 0.03, 0.03]);
    set([1, 2], [0.9, 0.02, 0.03, 0.03, 0.02]);
    Table(numbers)
}

#[test]
fn the_penalty_is_that_of_wu_and_counts_the_end() {
    let search = |alpha| beam(2, alpha, 3).search(&two_ways(), [0; 2]).unwrap().remove(0);
    let short = search(0.0);
    assert!(short.tokens.is_empty() && (short.score - 0.5_f64.ln()).abs() < 1e-6);
    // ln 0.5 = -0.693 over (6/6)^a, ln 0.36 = -1.022 over (7/6)^a: the longer one is better from a = 2.52 on.
    assert!(search(2.4).tokens.is_empty());
    let long = search(2.7);
    assert_eq!(long.tokens, [2]);
    assert!((long.log_p - 0.36_f64.ln()).abs() < 1e-6);
    assert!((long.score - 0.36_f64.ln() / (7.0_f64 / 6.0).powf(2.7)).abs() < 1e-6);
}

#[test]
fn of_equals_the_lower_token_and_the_earlier_hypothesis_come_first() {
    let flat = Table(vec![0.0; NUMBERS]);
    let found = Beam { best: 9, ..beam(3, 0.0, 3) }.search(&flat, [0; 2]).unwrap();
    let tokens: Vec<&[u32]> = found.iter().map(|found| &found.tokens[..]).collect();
    assert_eq!(tokens, [&[][..], &[1], &[1, 1], &[1, 2], &[1, 3]]);
}

#[test]
fn what_cannot_be_searched_is_one_line() {
    let message = |beam: Beam<'_>| beam.search(&two_ways(), [0; 2]).unwrap_err().to_string();
    assert_eq!(message(beam(0, 1.0, 3)), "--beam: '0' is not accepted; accepted: 1 or more");
    assert!(
        message(beam(1, -0.5, 3)).contains("--length-penalty: '-0.5' is not accepted; accepted: 0 or more")
    );
    assert!(message(beam(1, f64::NAN, 3)).contains("'NaN'"));
    assert!(message(beam(1, 1.0, 0)).contains("longest hypothesis"));
    assert!(message(Beam { end: 5, ..beam(1, 1.0, 3) }).contains("one of 5, the vocabulary"));
    let broken = Table(vec![f32::NAN; NUMBERS]);
    let text = beam(2, 1.0, 3).search(&broken, [0; 2]).unwrap_err().to_string();
    assert_eq!(text, "logits of the next token: NaN at token 0; expected finite numbers");
}

/// A translator whose states are stepped one by one.
struct OneByOne<'a>(&'a Translator);

impl Writer for OneByOne<'_> {
    type State = TranslatorState;

    fn write(&self, states: &mut [TranslatorState], tokens: &[u32]) -> Result<Array2<f32>> {
        let mut all = Array2::zeros((states.len(), 13));
        for ((state, token), mut row) in states.iter_mut().zip(tokens).zip(all.rows_mut()) {
            row.assign(&self.0.step(state, *token)?);
        }
        Ok(all)
    }
}

#[test]
fn translators_are_searched_and_their_scores_are_those_of_their_logits() {
    for config in configs() {
        let translator = translator(&config);
        let source = ids(9, 3);
        let start = translator.start(&source).unwrap();
        let beam = Beam { best: 3, never: &[0, 1, 3], end: 2, ..beam(4, 0.7, 12) };
        let found = beam.search(&translator, start.clone()).unwrap();
        let alone = beam.search(&OneByOne(&translator), start).unwrap();
        for (found, alone) in found.iter().zip(&alone) {
            assert!((found.score - alone.score).abs() < 1e-4, "{config:?}: {found:?} {alone:?}");
            assert!(found.tokens.iter().all(|token| ![0, 1, 2, 3].contains(token)));
            let inputs = [&[1][..], &found.tokens].concat();
            let logits = translator.logits(&source, &inputs).unwrap().mapv(f64::from);
            let said = found.tokens.iter().chain(&[2]).zip(logits.rows());
            let log_p: f64 =
                said.map(|(token, row)| row[*token as usize] - row.mapv(f64::exp).sum().ln()).sum();
            assert!((found.log_p - log_p).abs() < 1e-4, "{config:?}: {found:?} {log_p}");
        }
    }
}
