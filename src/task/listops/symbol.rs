//! The 15 symbols of an expression, and what the operators compute.

/// The symbols as Long Range Arena's tokenizer leaves them: parentheses dropped, `]` turned into `X`.
pub const VOCAB: [&str; 15] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "[MIN", "[MAX", "[MED", "[SM", "X"];

/// How many token numbers there are: the padding and the 15 symbols.
pub const TOKENS: usize = VOCAB.len() + 1;

/// What a list of digits becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ListOperator {
    Min,
    Max,
    /// The median; of an even count the mean of the two in the middle, rounded down.
    Med,
    /// The sum modulo 10.
    Sm,
}

/// One symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Symbol {
    /// 0 to 9.
    Digit(u8),
    /// A list begins.
    Open(ListOperator),
    /// The innermost list ends.
    Close,
}

impl ListOperator {
    pub(super) const ALL: [Self; 4] = [Self::Min, Self::Max, Self::Med, Self::Sm];

    /// The value of a list, which is not empty; its digits may be reordered.
    pub(super) fn value(self, digits: &mut [u8]) -> u8 {
        match self {
            Self::Min => digits.iter().copied().fold(9, u8::min),
            Self::Max => digits.iter().copied().fold(0, u8::max),
            Self::Med => {
                digits.sort_unstable();
                let middle = digits.len() / 2;
                if digits.len() % 2 == 1 {
                    digits[middle]
                } else {
                    u8::midpoint(digits[middle - 1], digits[middle])
                }
            }
            Self::Sm => (digits.iter().copied().map(usize::from).sum::<usize>() % 10) as u8,
        }
    }
}

impl Symbol {
    /// Its place in [`VOCAB`].
    fn index(self) -> usize {
        match self {
            Self::Digit(digit) => usize::from(digit),
            Self::Open(operator) => 10 + operator as usize,
            Self::Close => 14,
        }
    }

    /// The number of its token: 1 to 15.
    pub(super) fn token(self) -> u32 {
        self.index() as u32 + 1
    }

    /// As files spell it.
    pub(super) fn spelled(self) -> &'static str {
        if self == Self::Close { "]" } else { VOCAB[self.index()] }
    }

    /// The symbol of this spelling, in a file (`]`) or in [`VOCAB`] (`X`).
    pub(super) fn named(word: &str) -> Option<Self> {
        let index = if word == "]" { 14 } else { VOCAB.iter().position(|name| *name == word)? };
        Some(match index {
            0..=9 => Self::Digit(index as u8),
            10..=13 => Self::Open(ListOperator::ALL[index - 10]),
            _ => Self::Close,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_has_its_name_and_token() {
        for (index, name) in VOCAB.iter().enumerate() {
            let symbol = Symbol::named(name).unwrap();
            assert_eq!((symbol.index(), symbol.token()), (index, index as u32 + 1));
            assert_eq!(Symbol::named(symbol.spelled()), Some(symbol));
        }
        for word in ["", "10", "-1", "MIN", "[min", "[FIRST", "]]", "("] {
            assert_eq!(Symbol::named(word), None, "{word}");
        }
    }

    #[test]
    fn operators_of_small_lists() {
        use ListOperator::{Max, Med, Min, Sm};
        for (operator, digits, value) in [
            (Min, &[5_u8][..], 5),
            (Min, &[9, 9], 9),
            (Max, &[0, 0], 0),
            (Max, &[3, 8, 1], 8),
            (Med, &[7], 7),
            (Med, &[9, 0], 4), // 4.5 is rounded down
            (Med, &[8, 9], 8),
            (Med, &[9, 1, 5], 5),
            (Med, &[2, 9, 3, 4], 3), // 3.5
            (Sm, &[0, 0], 0),
            (Sm, &[5, 5], 0),
            (Sm, &[9, 9, 9], 7),
        ] {
            assert_eq!(operator.value(&mut digits.to_vec()), value, "{operator:?} {digits:?}");
        }
        assert_eq!(Sm.value(&mut vec![9; 1000]), 0, "sums beyond a byte");
    }
}
