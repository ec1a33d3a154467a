//! Random expressions as Long Range Arena draws them.
//!
//! `lra_benchmarks/data/listops.py` of google-research/long-range-arena: from the root (depth 1) on, a node is a digit with
//! probability 3/4, at the maximum depth always, else an operator with 2 to `max_args` arguments, every count, operator and
//! digit equally likely; trees within the limits of length are used, each once.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::expression::{Expression, ListopsExample};
use super::symbol::{ListOperator, Symbol};
use crate::rng::{Rng, below, stream};
use crate::{Error, Result};

/// One node in so many is an operator.
const OPERATOR_IN: usize = 4;

/// Consecutive draws without a new tree after which the search ends; the paper's limits accept 1 of 12.
const PATIENCE: usize = 1_000_000;

/// How deep, wide and long expressions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListopsSettings {
    /// Maximum depth of a digit, the root being at 1: at most `max_depth - 1` nested operators.
    pub max_depth: usize,
    /// Maximum number of arguments of an operator; the minimum is 2.
    pub max_args: usize,
    /// Minimum number of symbols, parentheses not counted.
    pub min_length: usize,
    /// Maximum number of symbols, parentheses not counted.
    pub max_length: usize,
}

/// Those of Long Range Arena: depth 10, 10 arguments, 500 < length < 2000.
impl Default for ListopsSettings {
    fn default() -> Self {
        Self { max_depth: 10, max_args: 10, min_length: 501, max_length: 1999 }
    }
}

/// The first `count` examples of this seed, no two of them equal.
///
/// Fewer are the first of more: a split into training, validation and test is a split of one list. Limits that no tree
/// can meet are an error, and so are limits that so few trees meet that no new one is found.
pub fn generate(settings: &ListopsSettings, count: usize, seed: u64) -> Result<Vec<ListopsExample>> {
    settings.check()?;
    let ListopsSettings { max_depth, max_args, min_length, max_length } = *settings;
    let mut rng = stream(seed, &format!("listops {max_depth} {max_args} {min_length} {max_length}"));
    let mut seen: HashSet<[u8; 32]> = HashSet::new(); // by hash: expressions are long
    let mut examples = Vec::new();
    let mut without_new = 0;
    while examples.len() < count {
        let expression = settings
            .draw(&mut rng)
            .filter(|expression| expression.len() >= min_length && seen.insert(fingerprint(expression)));
        match expression {
            Some(expression) => {
                let label = expression.value();
                examples.push(ListopsExample { expression, label });
                without_new = 0;
            }
            None if without_new == PATIENCE => {
                let found = format!("{count} ({} found, then none in {PATIENCE} draws)", examples.len());
                let accepted = format!("fewer, or wider limits than {}", settings.limits());
                return Err(Error::value("ListOps examples", found, accepted));
            }
            None => without_new += 1,
        }
    }
    Ok(examples)
}

impl ListopsSettings {
    fn limits(&self) -> String {
        let Self { max_depth, max_args, min_length, max_length } = self;
        format!("depth {max_depth}, {max_args} arguments and {min_length} to {max_length} symbols")
    }

    fn check(&self) -> Result<()> {
        if self.max_args < 2 {
            return Err(Error::value("ListOps arguments of an operator", self.max_args, "2 or more"));
        }
        if self.max_depth == 0 {
            return Err(Error::value("ListOps depth", 0, "1 or more"));
        }
        if self.max_length < self.min_length.max(1) {
            let lengths = format!("{} to {}", self.min_length, self.max_length);
            return Err(Error::value(
                "ListOps lengths",
                lengths,
                "a minimum of 1 or more, up to the maximum",
            ));
        }
        let longest = self.longest();
        if longest < self.min_length {
            let accepted = format!(
                "at most {longest}, the longest at depth {} with {} arguments",
                self.max_depth, self.max_args
            );
            return Err(Error::value("minimum length of ListOps expressions", self.min_length, accepted));
        }
        Ok(())
    }

    /// The length of the tree that is full at every depth, or `min_length` if that is exceeded.
    fn longest(&self) -> usize {
        let mut longest: usize = 1;
        for _ in 1..self.max_depth {
            longest = longest.saturating_mul(self.max_args).saturating_add(2);
            if longest >= self.min_length {
                break;
            }
        }
        longest
    }

    /// One tree, abandoned as soon as it is too long.
    fn draw(&self, rng: &mut Rng) -> Option<Expression> {
        let mut symbols = Vec::new();
        let mut open: Vec<usize> = Vec::new(); // for each open list, how many arguments are missing
        loop {
            if open.len() + 1 < self.max_depth && below(rng, OPERATOR_IN) == 0 {
                symbols.push(Symbol::Open(ListOperator::ALL[below(rng, ListOperator::ALL.len())]));
                open.push(2 + below(rng, self.max_args - 1));
            } else {
                symbols.push(Symbol::Digit(below(rng, 10) as u8));
                // An argument is complete; lists that it completes are arguments themselves.
                while let Some(missing) = open.last_mut() {
                    *missing -= 1;
                    if *missing > 0 {
                        break;
                    }
                    open.pop();
                    symbols.push(Symbol::Close);
                }
            }
            if symbols.len() > self.max_length {
                return None;
            }
            if open.is_empty() {
                return Some(Expression::of(symbols));
            }
        }
    }
}

fn fingerprint(expression: &Expression) -> [u8; 32] {
    let tokens: Vec<u8> = expression.tokens().map(|token| token as u8).collect();
    Sha256::digest(tokens).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: ListopsSettings =
        ListopsSettings { max_depth: 5, max_args: 5, min_length: 10, max_length: 60 };

    #[test]
    fn examples_keep_the_limits_and_differ() {
        let examples = generate(&SHORT, 2000, 3).unwrap();
        assert_eq!(examples.iter().map(|example| &example.expression).collect::<HashSet<_>>().len(), 2000);
        for ListopsExample { expression, label } in &examples {
            assert!((10..=60).contains(&expression.len()) && (1..5).contains(&expression.depth()));
            assert_eq!(expression.value(), *label);
            assert_eq!(expression.to_string().parse::<Expression>().unwrap(), *expression);
        }
        assert!(examples.iter().any(|example| example.expression.depth() == 4));
    }

    #[test]
    fn the_seed_decides_and_fewer_are_the_first_of_more() {
        let drawn = |count, seed| generate(&SHORT, count, seed).unwrap();
        assert_eq!(drawn(20, 1), drawn(20, 1));
        assert_eq!(drawn(20, 1)[..7], drawn(7, 1));
        assert_ne!(drawn(20, 1), drawn(20, 2));
        assert!(drawn(0, 1).is_empty());
        let first = generate(&ListopsSettings { max_length: 14, ..SHORT }, 1, 0).unwrap();
        assert_eq!(
            first[0].expression.to_string(),
            PINNED,
            "the draws changed: every published result would change"
        );
    }

    const PINNED: &str = "( ( ( ( ( ( [SM 7 ) 2 ) 1 ) ( ( ( ( [MIN 6 ) 6 ) 8 ) ] ) ) 8 ) ] )";

    /// Shares of what a draw decides, without limits on the length.
    #[test]
    fn draws_have_the_shares_of_the_source() {
        let settings = ListopsSettings { max_depth: 2, max_args: 4, min_length: 1, max_length: 100 };
        let mut rng = stream(0, "shares");
        let count = 20_000;
        let drawn: Vec<Expression> = (0..count).filter_map(|_| settings.draw(&mut rng)).collect();
        assert_eq!(drawn.len(), count, "none is too long");
        let share =
            |of: &dyn Fn(&Expression) -> bool| drawn.iter().filter(|e| of(e)).count() as f64 / count as f64;
        let near = |found: f64, expected: f64| {
            let error = (expected * (1.0 - expected) / count as f64).sqrt();
            assert!((found - expected).abs() < 4.0 * error, "{found} is not {expected}");
        };
        near(share(&|e| e.len() == 1), 0.75);
        for arguments in 2..=4 {
            near(share(&|e| e.len() == 2 + arguments), 0.25 / 3.0);
        }
        for token in 11..=14 {
            near(share(&|e| e.tokens().next() == Some(token)), 0.25 / 4.0);
        }
        for token in 1..=10 {
            near(share(&|e| e.tokens().next() == Some(token)), 0.75 / 10.0);
        }
    }

    #[test]
    fn the_limits_of_the_paper() {
        let examples = generate(&ListopsSettings::default(), 60, 0).unwrap();
        let mean = examples.iter().map(|example| example.expression.len() as f64).sum::<f64>() / 60.0;
        assert!(
            (850.0..1200.0).contains(&mean),
            "mean length {mean}, of the original 1027 with a deviation of 400"
        );
        for example in &examples {
            assert!((501..2000).contains(&example.expression.len()) && example.expression.depth() <= 9);
        }
    }

    #[test]
    fn limits_that_cannot_be_met() {
        let message =
            |settings: ListopsSettings, count| generate(&settings, count, 0).unwrap_err().to_string();
        assert!(
            message(ListopsSettings { max_args: 1, ..SHORT }, 1)
                .contains("'1' is not accepted; accepted: 2 or more")
        );
        assert!(message(ListopsSettings { max_depth: 0, ..SHORT }, 1).contains("ListOps depth: '0'"));
        assert!(
            message(ListopsSettings { min_length: 61, ..SHORT }, 1).contains("ListOps lengths: '61 to 60'")
        );
        assert!(message(ListopsSettings { min_length: 0, max_length: 0, ..SHORT }, 1).contains("'0 to 0'"));
        let shallow = ListopsSettings { max_depth: 2, max_args: 4, min_length: 7, max_length: 60 };
        assert!(message(shallow, 1).contains("at most 6, the longest at depth 2 with 4 arguments"));
        let digits = ListopsSettings { max_depth: 1, max_args: 2, min_length: 1, max_length: 1 };
        assert_eq!(generate(&digits, 10, 0).unwrap().len(), 10);
        let message = message(digits, 11);
        assert!(message.contains("'11 (10 found, then none in 1000000 draws)' is not accepted"), "{message}");
        assert!(message.contains("wider limits than depth 1, 2 arguments and 1 to 1 symbols"), "{message}");
    }
}
