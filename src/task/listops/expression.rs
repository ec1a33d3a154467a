//! Expression trees, as the row of their symbols: no depth of nesting can exhaust the stack.

use std::fmt;
use std::str::FromStr;

use super::symbol::{ListOperator, Symbol};
use crate::task::short;
use crate::{Error, Result};

/// What a good expression is, for errors.
pub(super) const ACCEPTED: &str = "a digit, or a list '[MIN', '[MAX', '[MED' or '[SM' of digits and lists up to \
                                   its ']', with blanks between (parentheses are dropped)";

/// A digit, or an operator over digits and further lists: well formed from the moment it exists.
///
/// ```
/// let expression: luna::task::listops::Expression = "[MAX 2 9 [MIN 4 7 ] 0 ]".parse().unwrap();
/// assert_eq!((expression.value(), expression.len(), expression.depth()), (9, 9, 2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expression {
    symbols: Vec<Symbol>,
}

/// How many classes there are: the ten digits.
pub const CLASSES: usize = 10;

/// An expression with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListopsExample {
    /// What is read.
    pub expression: Expression,
    /// Its value, 0 to 9: the class.
    pub label: u8,
}

impl Expression {
    /// An expression from symbols that are known to be well formed.
    pub(super) fn of(symbols: Vec<Symbol>) -> Self {
        Self { symbols }
    }

    /// Reads an expression; what is wrong with it, with the number of the symbol, from 1.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let apart = |c: char| c.is_whitespace() || c == '(' || c == ')';
        let mut symbols = Vec::new();
        let mut open: Vec<bool> = Vec::new(); // for each open list, whether it has an argument
        for word in text.split(apart).filter(|word| !word.is_empty()) {
            let at = || format!("symbol {} ('{}')", symbols.len() + 1, short(&word));
            let symbol = Symbol::named(word).ok_or_else(|| format!("{} is unknown", at()))?;
            if open.is_empty() && !symbols.is_empty() {
                return Err(format!("{} is after the end", at()));
            }
            if let Symbol::Close = symbol {
                match open.pop() {
                    None => return Err(format!("{} ends no list", at())),
                    Some(false) => return Err(format!("{} ends an empty list", at())),
                    Some(true) => {}
                }
            }
            if let Some(filled) = open.last_mut() {
                *filled = true;
            }
            if let Symbol::Open(_) = symbol {
                open.push(false);
            }
            symbols.push(symbol);
        }
        match (symbols.len(), open.len()) {
            (0, _) => Err("no symbols".into()),
            (_, 0) => Ok(Self { symbols }),
            (_, 1) => Err("1 list does not end".into()),
            (_, lists) => Err(format!("{lists} lists do not end")),
        }
    }

    /// How many symbols it has, parentheses not counted: the length that Long Range Arena's limits are about.
    #[expect(clippy::len_without_is_empty)] // none is empty
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// The largest number of nested operators; 0 for a digit alone.
    pub fn depth(&self) -> usize {
        let (mut depth, mut deepest) = (0, 0);
        for symbol in &self.symbols {
            match symbol {
                Symbol::Open(_) => depth += 1,
                Symbol::Close => depth -= 1,
                Symbol::Digit(_) => {}
            }
            deepest = deepest.max(depth);
        }
        deepest
    }

    /// The digit that it comes to.
    pub fn value(&self) -> u8 {
        let mut digits = Vec::new(); // of all open lists, one after the other
        let mut open = Vec::new();
        for symbol in &self.symbols {
            match *symbol {
                Symbol::Digit(digit) => digits.push(digit),
                Symbol::Open(operator) => open.push((operator, digits.len())),
                Symbol::Close => {
                    if let Some((operator, from)) = open.pop() {
                        let value = ListOperator::value(operator, &mut digits[from..]);
                        digits.truncate(from);
                        digits.push(value);
                    }
                }
            }
        }
        digits[0]
    }

    /// Its tokens, 1 to 15: the place of each symbol in [`VOCAB`](super::symbol::VOCAB) plus 1.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.symbols.iter().map(|symbol| symbol.token())
    }

    /// For each symbol that begins a list, its number of arguments; 0 for the others.
    fn arguments(&self) -> Vec<usize> {
        let mut counts = vec![0; self.symbols.len()];
        let mut open: Vec<usize> = Vec::new();
        for (i, symbol) in self.symbols.iter().enumerate() {
            match symbol {
                Symbol::Close => _ = open.pop(),
                Symbol::Digit(_) | Symbol::Open(_) => {
                    if let Some(&list) = open.last() {
                        counts[list] += 1;
                    }
                }
            }
            if let Symbol::Open(_) = symbol {
                open.push(i);
            }
        }
        counts
    }
}

impl FromStr for Expression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::read(text).map_err(|what| {
            Error::value("a ListOps expression", format!("{}: {what}", short(&text)), ACCEPTED)
        })
    }
}

/// As the files have it: every operator applied to one argument after the other, each step in parentheses.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut depth = 0_usize;
        for (i, (symbol, arguments)) in self.symbols.iter().zip(self.arguments()).enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            if let Symbol::Open(_) = symbol {
                depth += 1;
                for _ in 0..=arguments {
                    f.write_str("( ")?;
                }
                f.write_str(symbol.spelled())?;
                continue;
            }
            f.write_str(symbol.spelled())?;
            if let Symbol::Close = symbol {
                depth -= 1;
                f.write_str(" )")?;
            }
            if depth > 0 {
                f.write_str(" )")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Expression {
        text.parse().unwrap()
    }

    #[test]
    fn values_by_hand() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("[MIN 3 ]", 3),
            ("[MIN 9 8 7 ]", 7),
            ("[MIN 1 0 ]", 0),
            ("[MIN [MAX 1 5 ] 6 ]", 5),
            ("[MAX 1 2 3 4 5 6 7 8 9 ]", 9),
            ("[MAX 0 [MIN 4 9 ] 3 ]", 4),
            ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9),
            ("[MED 1 2 ]", 1),
            ("[MED 2 1 ]", 1),
            ("[MED 9 9 0 ]", 9),
            ("[MED 5 8 6 3 ]", 5),
            ("[MED 1 9 ]", 5),
            ("[MED 0 1 9 9 ]", 5),
            ("[MED 4 4 4 4 4 ]", 4),
            ("[MED [SM 9 9 ] [MAX 1 7 ] 2 ]", 7),
            ("[SM 1 2 3 ]", 6),
            ("[SM 9 1 ]", 0),
            ("[SM 9 9 9 9 9 9 ]", 4),
            ("[SM [SM [SM 7 7 ] 7 ] 7 ]", 8),
            ("[SM [MED 3 4 ] [MED 4 3 ] [MIN 9 ] ]", 5),
            ("[MIN [MIN [MIN [MIN 2 ] ] ] ]", 2),
            ("[MAX [MED 9 8 7 6 ] [SM 4 4 ] [MIN 5 3 ] ]", 8),
            ("( ( ( ( ( [SM 6 ) 5 ) 9 ) 0 ) ] )", 0),
            ("( ( ( [MIN 6 ) ( ( ( [MAX 1 ) 4 ) ] ) ) ] )", 4),
            ("( ( ( ( [MED 9 ) ( ( ( [SM 2 ) 3 ) ] ) ) 1 ) ] )", 5),
            ("[SM 4 X", 4),
            (" [MIN\t8\n3 ] ", 3),
            ("([MAX 1)2)])", 2),
            ("[MED 8 [MIN 2 6 ] [MAX 1 5 ] [SM 3 9 ] ]", 3),
            ("[SM 5 [MAX 3 [MIN 8 [MED 6 2 ] ] ] ]", 9),
        ] {
            assert_eq!(parse(text).value(), value, "{text}");
        }
    }

    #[test]
    fn bad_expressions_say_what_is_wrong() {
        for (text, part) in [
            ("", "no symbols"),
            (" ( ) ", "no symbols"),
            ("[FIRST 1 2 ]", "symbol 1 ('[FIRST') is unknown"),
            ("[MIN 1 12 ]", "symbol 3 ('12') is unknown"),
            ("[MIN ]", "symbol 2 (']') ends an empty list"),
            ("[MIN 1 [SM ] ]", "symbol 4 (']') ends an empty list"),
            ("]", "symbol 1 (']') ends no list"),
            ("[MIN 1 ] ]", "symbol 4 (']') is after the end"),
            ("1 2", "symbol 2 ('2') is after the end"),
            ("[MIN 1", "1 list does not end"),
            ("[MIN [MAX 2 ( 3 )", "2 lists do not end"),
        ] {
            let message = text.parse::<Expression>().unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("accepted: a digit, or a list"), "{message}");
            assert_eq!(message.lines().count(), 1);
        }
        let long = format!("{}1", "[MIN ".repeat(100_000));
        assert!(long.parse::<Expression>().unwrap_err().to_string().len() < 400);
    }

    #[test]
    fn the_written_form_is_that_of_the_files() {
        for text in [
            "7",
            "( ( ( ( ( [SM 6 ) 5 ) 9 ) 0 ) ] )",
            "( ( ( [MIN 6 ) ( ( ( [MAX 1 ) 4 ) ] ) ) ] )",
            "( ( ( [MIN ( ( [MAX 1 ) ] ) ) 4 ) ] )",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn tokens_are_those_of_the_vocabulary() {
        let expression = parse("( ( ( [SM 0 ) 9 ) ] )");
        assert_eq!(expression.tokens().collect::<Vec<_>>(), [14, 1, 10, 15]);
        assert_eq!((expression.len(), expression.depth(), parse("4").depth()), (4, 1, 0));
    }

    #[test]
    fn a_million_lists_inside_each_other() {
        let depth = 1_000_000;
        let text = format!("{}3 {}", "[SM 1 ".repeat(depth), "] ".repeat(depth));
        let expression = parse(&text);
        assert_eq!(expression.depth(), depth);
        assert_eq!(expression.value(), 3, "1,000,003 modulo 10");
        assert_eq!(parse(&expression.to_string()), expression);
    }

    /// A tree as mathematics has it, and its text.
    fn tree() -> impl Strategy<Value = (String, u8)> {
        let digit = (0_u8..10).prop_map(|digit| (digit.to_string(), digit));
        digit.prop_recursive(5, 60, 6, |inner| {
            (0_usize..4, prop::collection::vec(inner, 1..6)).prop_map(|(operator, items)| {
                let mut values: Vec<u32> = items.iter().map(|(_, value)| u32::from(*value)).collect();
                values.sort_unstable();
                let half = values.len() / 2;
                let median = u32::midpoint(values[(values.len() - 1) / 2], values[half]);
                let all = [values[0], values[values.len() - 1], median, values.iter().sum::<u32>() % 10];
                let texts: Vec<&str> = items.iter().map(|(text, _)| text.as_str()).collect();
                let name = ["[MIN", "[MAX", "[MED", "[SM"][operator];
                (format!("{name} {} ]", texts.join(" ")), all[operator] as u8)
            })
        })
    }

    proptest! {
        #[test]
        fn values_are_those_of_the_tree((text, value) in tree()) {
            let expression = parse(&text);
            prop_assert_eq!(expression.value(), value);
            prop_assert_eq!(parse(&expression.to_string()), expression);
        }

        #[test]
        fn any_text_is_read_or_refused(
            words in prop::collection::vec("[0-9]|\\[MIN|\\[SM|\\]|X|\\(|\\)|é", 0..30),
        ) {
            if let Ok(expression) = words.join(" ").parse::<Expression>() {
                prop_assert!(expression.value() < 10);
                prop_assert_eq!(parse(&expression.to_string()), expression);
            }
        }
    }
}
