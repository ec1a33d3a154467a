//! `--mask`: what the matrices of a dump were computed under, as the user says.

use super::shape::{Block, CAUSAL, Reach, Shape};
use crate::error::{Error, Result};
use crate::name::{Param, Params, specs};

/// What is accepted, for messages.
pub(super) const ACCEPTED: &str = "auto, zeros, or one or more of full, causal, window:back=B,ahead=A, padding:keys=M,queries=N,left=true \
                        and blocks:sizes=S+S+..., of which a key must pass all";

/// What `--mask` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MaskSpec {
    /// Inferred from zeros.
    Auto,
    /// What is 0 is hidden, whatever it looks like.
    Zeros,
    /// Hidden is what one of these hides.
    Parts(Vec<Part>),
}

/// One condition that a visible key meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Full,
    Causal,
    Window { back: Option<usize>, ahead: Option<usize> },
    Padding { keys: usize, queries: usize, left: bool },
    Blocks(Vec<usize>),
}

/// A kind of part: its name, and what it takes.
struct Kind {
    name: &'static str,
    takes: &'static [Param],
    read: fn(&Params<'_>) -> Result<Part>,
}

const KINDS: &[Kind] = &[
    Kind { name: "full", takes: &[], read: |_| Ok(Part::Full) },
    Kind { name: "causal", takes: &[], read: |_| Ok(Part::Causal) },
    Kind {
        name: "window",
        takes: &[
            Param { name: "back", default: None, about: "keys before the query's own [default: all]" },
            Param { name: "ahead", default: None, about: "keys after it [default: all]" },
        ],
        read: |params| Ok(Part::Window { back: params.optional("back")?, ahead: params.optional("ahead")? }),
    },
    Kind {
        name: "padding",
        takes: &[
            Param { name: "keys", default: Some("0"), about: "keys that are padding" },
            Param { name: "queries", default: Some("0"), about: "queries that are padding" },
            Param { name: "left", default: Some("false"), about: "whether they are the first ones" },
        ],
        read: |params| {
            Ok(Part::Padding {
                keys: params.get("keys")?,
                queries: params.get("queries")?,
                left: params.get("left")?,
            })
        },
    },
    Kind {
        name: "blocks",
        takes: &[Param { name: "sizes", default: None, about: "lengths of packed sequences, as 50+30+48" }],
        read: |params| {
            let typed: String = params.optional("sizes")?.unwrap_or_default();
            let sizes: Option<Vec<usize>> = typed.split('+').map(|size| size.trim().parse().ok()).collect();
            match sizes.filter(|sizes| !sizes.contains(&0)) {
                Some(sizes) => Ok(Part::Blocks(sizes)),
                None => Err(params.refuse("sizes", &typed, "lengths above 0 joined by +, as 50+30+48")),
            }
        },
    },
];

impl MaskSpec {
    /// Reads what was typed behind `flag`; `accepted` is what an error says of it.
    pub(super) fn read(flag: &str, text: &str, accepted: &str) -> Result<Self> {
        match text.trim() {
            "auto" => return Ok(Self::Auto),
            "zeros" => return Ok(Self::Zeros),
            _ => {}
        }
        let mut parts = Vec::new();
        for spec in specs(text)? {
            if ["auto", "zeros"].contains(&spec.name.as_str()) {
                return Err(Error::value(flag, text, format!("'{}' alone", spec.name)));
            }
            let Some(kind) = KINDS.iter().find(|kind| kind.name == spec.name) else {
                return Err(Error::value(flag, text, accepted));
            };
            parts.push((kind.read)(&spec.params("mask", kind.takes)?)?);
        }
        match contradiction(&parts) {
            Some(rule) => Err(Error::value(flag, text, format!("{accepted}; {rule}"))),
            None => Ok(Self::Parts(parts)),
        }
    }
}

/// The rule that parts break which say nothing, or what another of them takes back.
fn contradiction(parts: &[Part]) -> Option<&'static str> {
    use Part::{Blocks, Causal, Full, Padding, Window};
    let count = |is: fn(&Part) -> bool| parts.iter().filter(|part| is(part)).count();
    let once = [
        count(|part| matches!(part, Full)),
        count(|part| matches!(part, Causal)),
        count(|part| matches!(part, Window { .. })),
        count(|part| matches!(part, Blocks(_))),
    ];
    let looks_ahead = count(|part| matches!(part, Window { ahead: Some(1..), .. }));
    if count(|part| matches!(part, Window { back: None, ahead: None })) > 0 {
        Some("a window has a number of keys back, ahead or both")
    } else if once[0] > 0 && parts.len() > 1 {
        Some("full stands alone")
    } else if once.iter().any(|count| *count > 1) {
        Some("full, causal, window and blocks each at most once")
    } else if once[1] > 0 && looks_ahead > 0 {
        Some("a window beside causal has no keys ahead")
    } else if count(|part| matches!(part, Padding { keys: 0, queries: 0, .. })) > 0 {
        Some("padding has a number of keys, queries or both")
    } else {
        None
    }
}

impl Part {
    /// For a matrix of n queries and m keys.
    pub(super) fn shape(&self, n: usize, m: usize) -> Result<Shape> {
        let mut shape = Shape::full(n, m);
        match self {
            Self::Full => {}
            Self::Causal if n == m => shape.reach = CAUSAL,
            Self::Causal => {
                let accepted = format!(
                    "window:ahead=A for matrices of {n} queries and {m} keys (A = {} if the queries are the last ones)",
                    m as isize - n as isize
                );
                return Err(Error::value("--mask", "causal", accepted));
            }
            Self::Window { back, ahead } => {
                let distance = |keys: Option<usize>| keys.and_then(|keys| isize::try_from(keys).ok());
                shape.reach = Reach::Band { back: distance(*back), ahead: distance(*ahead) };
            }
            Self::Padding { keys, queries, left } => {
                for (what, padding, real) in
                    [("keys", *keys, &mut shape.keys), ("queries", *queries, &mut shape.queries)]
                {
                    if padding >= real.len() {
                        let accepted = format!("fewer than the {} {what} of the matrices", real.len());
                        return Err(Error::value(format!("--mask padding:{what}"), padding, accepted));
                    }
                    let from = if *left { 0 } else { real.len() - padding };
                    real[from..from + padding].fill(false);
                }
            }
            Self::Blocks(sizes) => {
                let sum = sizes.iter().try_fold(0_usize, |sum, size| sum.checked_add(*size));
                if n != m || sum != Some(n) {
                    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
                    let accepted = format!("square matrices and sizes that sum to n; these are {n} x {m}");
                    return Err(Error::value("--mask blocks:sizes", sizes.join("+"), accepted));
                }
                let mut start = 0;
                let blocks = sizes.iter().map(|size| {
                    let range = start..start + size;
                    start = range.end;
                    Block { queries: range.clone(), keys: range }
                });
                shape.reach = Reach::Blocks { blocks: blocks.collect(), causal: false };
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_and_mistakes_named() {
        assert_eq!(MaskSpec::read("--mask", "auto", ACCEPTED).unwrap(), MaskSpec::Auto);
        assert_eq!(
            MaskSpec::read("--mask", "causal,padding:keys=3,window:back=7", ACCEPTED).unwrap(),
            MaskSpec::Parts(vec![
                Part::Causal,
                Part::Padding { keys: 3, queries: 0, left: false },
                Part::Window { back: Some(7), ahead: None }
            ])
        );
        assert_eq!(
            MaskSpec::read("--mask", "blocks:sizes=3+2", ACCEPTED).unwrap(),
            MaskSpec::Parts(vec![Part::Blocks(vec![3, 2])])
        );
        for (text, part) in [
            ("causl", "accepted: auto, zeros"),
            ("auto,causal", "'auto' alone"),
            ("window:wide=3", "takes no parameter 'wide'"),
            ("blocks:sizes=3+x", "joined by +"),
            ("blocks", "joined by +"),
            ("", "spec"),
        ] {
            let said = MaskSpec::read("--mask", text, ACCEPTED).unwrap_err().to_string();
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    #[test]
    fn parts_that_say_nothing_or_contradict_each_other_are_refused() {
        for (text, rule) in [
            ("window", "back, ahead or both"),
            ("causal,window", "back, ahead or both"),
            ("causal,window:back=3,ahead=2", "no keys ahead"),
            ("full,causal", "full stands alone"),
            ("causal,full", "full stands alone"),
            ("full,padding:keys=3", "full stands alone"),
            ("causal,causal", "at most once"),
            ("window:back=3,window:ahead=2", "at most once"),
            ("blocks:sizes=2+2,blocks:sizes=4", "at most once"),
            ("causal,padding", "keys, queries or both"),
        ] {
            let said = MaskSpec::read("--mask", text, ACCEPTED).unwrap_err().to_string();
            assert!(
                said.contains(&format!("--mask: '{text}'")) && said.contains("accepted: auto, zeros"),
                "{said}"
            );
            assert!(said.contains(rule), "{text}: {said}");
        }
        for text in
            ["causal,window:back=3,ahead=0", "padding:keys=2,padding:keys=1,left=true", "window:ahead=2"]
        {
            assert!(MaskSpec::read("--mask", text, ACCEPTED).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_the_matrices_is_refused() {
        let said = |part: Part, n, m| part.shape(n, m).unwrap_err().to_string();
        assert!(said(Part::Causal, 4, 6).contains("A = 2"));
        assert!(said(Part::Blocks(vec![2, 3]), 4, 4).contains("4 x 4"));
        let padding = Part::Padding { keys: 4, queries: 0, left: false };
        assert!(said(padding, 4, 4).contains("fewer than the 4 keys"));
    }
}
