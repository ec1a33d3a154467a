//! What decides the figures of a run, fact by fact: a run is resumed by the same one, or refused with what differs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// How the name of a fact ends that is the hash of the file of another one.
const HASH: &str = "_sha256";

/// Facts by name, in the order in which they are compared. Files stand in it by their contents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Map<String, Value>);

impl Fingerprint {
    /// Adds a fact.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// The facts of a study of this name, by this version of the program.
    pub fn of_study(name: &str) -> Self {
        let mut facts = Self::default();
        facts.push("study", name);
        facts.push("version", env!("CARGO_PKG_VERSION"));
        facts
    }

    /// Adds what an input says of itself. Files count by their contents: of what has a hash, the path is left out.
    pub fn extend(&mut self, facts: Vec<(String, Value)>) {
        let hashed: Vec<String> =
            facts.iter().filter_map(|(name, _)| name.strip_suffix(HASH).map(String::from)).collect();
        self.0.extend(facts.into_iter().filter(|(name, _)| !hashed.contains(name)));
    }

    /// All of it in one word.
    pub fn word(&self) -> String {
        let mut contents = Contents::default();
        for (name, value) in &self.0 {
            contents.add(name.as_bytes());
            contents.add(value.to_string().as_bytes());
        }
        contents.word()
    }

    /// The facts that say on what a run was made: times depend on them, and nothing else does.
    pub const MACHINE: [&str; 2] = ["cpu", "threads"];

    /// As it is but for the machine.
    #[must_use]
    pub fn anywhere(&self) -> Self {
        let is_other = |(name, _): &(&String, &Value)| !Self::MACHINE.contains(&name.as_str());
        Self(self.0.iter().filter(is_other).map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The first fact in which an earlier run was another one, in words.
    pub fn differs(&self, before: &Self) -> Option<String> {
        self.differs_from(before, ["then", "now"])
    }

    /// The first fact in which another run differs, in words; `places` are those of the other one and of this one.
    pub fn differs_from(&self, other: &Self, [there, here]: [&str; 2]) -> Option<String> {
        let changed = self.0.iter().find(|(name, value)| other.0.get(*name) != Some(*value));
        if let Some((name, own)) = changed {
            let [theirs, own] = shown([other.0.get(name), Some(own)]);
            return Some(format!("{name}: {theirs} {there}, {own} {here}"));
        }
        let more = other.0.iter().find(|(name, _)| !self.0.contains_key(*name));
        more.map(|(name, theirs)| {
            let [theirs, own] = shown([Some(theirs), None]);
            format!("{name}: {theirs} {there}, {own} {here}")
        })
    }
}

/// Two values as a message of one line has them: of what is longer than a line, the part that differs.
fn shown(values: [Option<&Value>; 2]) -> [String; 2] {
    /// Characters of a value.
    const LONGEST: usize = 100;
    /// Of these, what stands before the first that differs.
    const BEFORE: usize = 30;
    let texts = values.map(|value| {
        let text = value.map(|value| value.as_str().map_or_else(|| value.to_string(), String::from));
        text.map(|text| text.chars().collect::<Vec<char>>())
    });
    let same = match &texts {
        [Some(one), Some(other)] => one.iter().zip(other).take_while(|(a, b)| a == b).count(),
        _ => 0,
    };
    let is_cut = texts.iter().flatten().any(|text| text.len() > LONGEST);
    let start = if is_cut { same.saturating_sub(BEFORE) } else { 0 };
    texts.map(|text| {
        let Some(text) = text else { return "nothing".into() };
        let part: String = text.iter().skip(start).take(LONGEST).collect();
        let [before, after] = [start > 0, text.len() > start + LONGEST].map(|cut| if cut { "…" } else { "" });
        format!("'{before}{part}{after}'")
    })
}

/// Contents in one word.
#[derive(Clone, Default)]
pub struct Contents(Sha256);

impl Contents {
    /// Adds a part; the same bytes in other parts are other contents.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update((piece.len() as u64).to_le_bytes());
        self.0.update(piece);
    }

    /// Adds tokens, as [`add`](Self::add) does.
    pub fn add_tokens(&mut self, tokens: &[u32]) {
        self.0.update((tokens.len() as u64).to_le_bytes());
        for token in tokens {
            self.0.update(token.to_le_bytes());
        }
    }

    /// The first 16 hexadecimal digits of the SHA-256 hash of all that was added.
    pub fn word(self) -> String {
        self.0.finalize().iter().take(8).fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(facts: &[(&str, Value)]) -> Fingerprint {
        let mut print = Fingerprint::default();
        for (name, value) in facts {
            print.push(*name, value.clone());
        }
        print
    }

    #[test]
    fn what_differs_is_named() {
        let before = of(&[("rate", 0.001.into()), ("seed", 1.into()), ("data", "a.tsv".into())]);
        let read: Fingerprint = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
        assert_eq!(before.differs(&read), None, "as a file has it");
        let rate = of(&[("rate", 0.5.into()), ("seed", 2.into()), ("data", "a.tsv".into())]);
        assert_eq!(rate.differs(&before).unwrap(), "rate: '0.001' then, '0.5' now");
        let more =
            of(&[("rate", 0.001.into()), ("seed", 1.into()), ("data", "a.tsv".into()), ("test", "b".into())]);
        assert_eq!(more.differs(&before).unwrap(), "test: nothing then, 'b' now");
        assert_eq!(before.differs(&more).unwrap(), "test: 'b' then, nothing now");
    }

    #[test]
    fn of_long_values_the_part_that_differs_is_shown() {
        let list = |last: &str| {
            let mut all: Vec<String> = (0..40).map(|l| format!("sink-window:l={l}")).collect();
            all.push(last.into());
            of(&[("mechanism", all.into())])
        };
        let told = list("local").differs(&list("top-k:l=4")).unwrap();
        assert!(told.chars().count() < 120, "{told}");
        assert!(told.contains("\"top-k:l=4\"]' then, '…") && told.ends_with("\"local\"]' now"), "{told}");
        assert!(told.starts_with("mechanism: '…"), "{told}");
        let long = of(&[("mechanism", "x".repeat(300).into())]);
        let told = long.differs(&of(&[])).unwrap();
        assert_eq!(told, format!("mechanism: nothing then, '{}…' now", "x".repeat(100)));
    }

    #[test]
    fn a_file_counts_by_its_contents() {
        let facts = |path: &str, hash: &str| {
            let mut facts = Fingerprint::of_study("svd-spectrum");
            facts.extend(vec![("text".into(), path.into()), ("text_sha256".into(), hash.into())]);
            facts
        };
        assert_eq!(facts("a.txt", "1").differs(&facts("b/a.txt", "1")), None);
        let other = facts("a.txt", "2").differs(&facts("a.txt", "1")).unwrap();
        assert_eq!(other, "text_sha256: '1' then, '2' now");
    }

    #[test]
    fn contents_are_told_apart() {
        let word = |pieces: &[&str]| {
            let mut contents = Contents::default();
            for piece in pieces {
                contents.add(piece.as_bytes());
            }
            contents.word()
        };
        assert_eq!(word(&["ab", "c"]), word(&["ab", "c"]));
        assert_ne!(word(&["ab", "c"]), word(&["a", "bc"]));
        assert_eq!(word(&[]), "e3b0c44298fc1c14", "the SHA-256 hash of nothing");
    }
}
