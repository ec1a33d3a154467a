//! Data sources and the score of translations against data and figures of others.
//!
//! `LUNA_SHARED` names the folder with `data/`; without it these tests cannot run, and are ignored unless asked for
//! (`cargo test --test it real_data -- --ignored`).
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that cannot go on fails, and says how far off it was

use std::collections::HashSet;
use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use luna::task::batch::Shuffled;
use luna::task::bpe::Vocabulary;
use luna::task::labelled::Labelled;
use luna::task::language::Language;
use luna::task::listops::{self, ListopsExample, ListopsSettings};
use luna::task::translation::bleu::{self, Bleu};
use luna::task::translation::chrf;
use luna::task::translation::{Buckets, Parallel, SentencePair};
use serde_json::Value;

/// The folder of this name below `data/`.
fn data(folder: &str) -> PathBuf {
    let shared = env::var("LUNA_SHARED").expect("LUNA_SHARED names the folder with data/");
    let folder = Path::new(&shared).join("data").join(folder);
    assert!(folder.is_dir(), "no folder {}", folder.display());
    folder
}

fn unzipped(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn text(path: &Path) -> String {
    String::from_utf8(unzipped(path)).unwrap()
}

fn lines(path: &Path) -> Vec<String> {
    text(path).lines().map(String::from).collect()
}

fn near(found: f64, expected: &Value, what: &str) -> f64 {
    let off = (found - expected.as_f64().unwrap()).abs();
    assert!(off < 1e-9, "{what}: {found} is not {expected}");
    off
}

/// Every label is the value that the evaluator finds (a reader refuses any other), and every source is written back.
#[test]
#[ignore = "reads data outside the clone: LUNA_SHARED"]
fn listops_of_two_origins() {
    let folder = data("listops");
    let mut arena: Vec<ListopsExample> = Vec::new();
    for (name, count) in [("train", 1200), ("val", 400), ("test", 400)] {
        let path = folder.join(format!("lra_sample_{name}.tsv.gz"));
        let text = text(&path);
        let examples = listops::parse(&path, &text).unwrap();
        assert_eq!(examples.len(), count);
        for (line, example) in text.lines().skip(1).zip(&examples) {
            assert_eq!(line, format!("{}\t{}", example.expression, example.label));
        }
        arena.extend(examples);
    }
    let path = folder.join("nyu_test_d20s.tsv.gz");
    let text = text(&path);
    let original = listops::parse(&path, &text).unwrap();
    assert_eq!(original.len(), 10_000);
    for (line, example) in text.lines().zip(&original) {
        assert_eq!(line, format!("{}\t{}", example.label, example.expression));
    }
    let longest = original.iter().map(|example| example.expression.len()).max();
    assert_eq!(longest, Some(939));

    assert_eq!(labels(&arena), [336, 205, 155, 163, 166, 166, 144, 149, 179, 337]);
    assert!(arena.iter().all(|example| example.expression.depth() == 9));
    let drawn = listops::generate(&ListopsSettings::default(), 2000, 0).unwrap();
    let (theirs, ours) = (mean_length(&arena), mean_length(&drawn));
    println!("mean length: {theirs:.0} in the sample, {ours:.0} drawn; labels drawn: {:?}", labels(&drawn));
    assert!(
        (theirs - 1027.0).abs() < 1.0 && (theirs - ours).abs() < 50.0,
        "4 standard errors: {theirs} {ours}"
    );
    for (theirs, ours) in labels(&arena).into_iter().zip(labels(&drawn)) {
        let error = f64::from(theirs + ours).sqrt();
        assert!(f64::from(theirs.abs_diff(ours)) < 4.0 * error, "{theirs} of 2000, {ours} drawn");
    }
}

/// How many examples have each label.
fn labels(examples: &[ListopsExample]) -> [u32; listops::CLASSES] {
    let mut counts = [0; listops::CLASSES];
    for example in examples {
        counts[usize::from(example.label)] += 1;
    }
    counts
}

fn mean_length(examples: &[ListopsExample]) -> f64 {
    examples.iter().map(|example| example.expression.len() as f64).sum::<f64>() / examples.len() as f64
}

#[test]
#[ignore = "reads data outside the clone: LUNA_SHARED"]
fn labelled_texts_in_three_layouts() {
    let (imdb, polarity) = (data("imdb"), data("polarity"));
    let open = |path: PathBuf, classes: Option<&[String]>| {
        Labelled::parse(&path, &unzipped(&path), classes).unwrap()
    };
    let train = open(imdb.join("imdb_train_small.tsv.gz"), None);
    let test = open(imdb.join("imdb_test_small.tsv.gz"), Some(&train.classes));
    assert_eq!((train.columns, test.columns), (3, 3));
    assert_eq!((train.counts(), test.counts()), (vec![2000, 2000], vec![1000, 1000]));
    let first = "Lavish production values";
    assert!(train.items[0].text.starts_with(first.as_bytes()) && train.items[0].class == 1);
    let order = Shuffled::new(train.items.len(), 16, 0).unwrap();
    let items = order.batch(0).into_iter().map(|i| &train.items[i]);
    for item in items {
        let bytes: Vec<u8> = item.tokens().map(|token| (token - 1) as u8).collect();
        assert_eq!(bytes, item.text);
    }

    let reviews = open(polarity.join("movie_reviews_v2.tsv.gz"), None);
    assert_eq!((reviews.columns, reviews.counts()), (2, vec![1000, 1000]));
    let mut sizes: Vec<usize> = reviews.items.iter().map(|item| item.text.len()).collect();
    sizes.sort_unstable();
    assert_eq!((sizes[0], sizes[1999]), (89, 14_896));
    assert!((3590..=3594).contains(&sizes[1000]), "the median is 3592: {}", sizes[1000]);
    let sentences = open(polarity.join("rt_polarity.tsv.gz"), None);
    assert_eq!((sentences.columns, sentences.counts()), (1, vec![5331, 5331]));
    assert_eq!(sentences.items.iter().map(|item| &item.text).collect::<HashSet<_>>().len(), 10_662);
}

/// The whole of `IMDb`'s training set: further tabs stand in some reviews only.
#[test]
#[ignore = "reads data outside the clone: LUNA_SHARED"]
fn all_of_imdb_s_training_set() {
    let path = data("imdb").join("imdb_train.tsv.gz");
    let all = Labelled::parse(&path, &unzipped(&path), None).unwrap();
    assert_eq!((all.columns, all.counts()), (3, vec![12_500, 12_500]));
    let tabs = all.items.iter().filter(|item| item.text.contains(&b'\t')).count();
    println!("{tabs} reviews with a tab");
    assert!((1..27).contains(&tabs));
}

/// A memoryless model has the same bits in a byte of a real text whatever the windows are.
#[test]
#[ignore = "reads data outside the clone: LUNA_SHARED"]
fn bits_per_byte_of_a_text() {
    let folder = data("text");
    let path = folder.join("tinyshakespeare.txt");
    let mut all = Vec::new();
    for (n, stride) in [(1, 1), (64, 64), (256, 100), (1024, 1024)] {
        let text = Language::read(&path, n, 0.1).unwrap();
        let mut counts = vec![1.0_f64; 256];
        for byte in text.training() {
            counts[*byte as usize] += 1.0;
        }
        let total: f64 = counts.iter().sum();
        let mut nats = 0.0;
        let mut tokens = 0;
        for window in text.evaluation_windows(stride).unwrap() {
            let targets = &window.targets[window.counted];
            nats += targets.iter().map(|byte| -(counts[*byte as usize] / total).ln()).sum::<f64>();
            tokens += targets.len();
        }
        assert_eq!(tokens, text.validation().len());
        all.push(nats / std::f64::consts::LN_2 / tokens as f64);
    }
    println!("tinyshakespeare by its letters alone: {:.4} bits a byte", all[0]);
    assert!(all.iter().all(|bits| (bits - all[0]).abs() < 1e-10), "{all:?}");
    assert!((4.5..5.0).contains(&all[0]));
}

/// Multi30k: a joint vocabulary, every line read back, and batches that are mostly text.
#[test]
#[ignore = "reads data outside the clone: LUNA_SHARED"]
fn sentences_of_two_languages() {
    let folder = data("parallel_ende").join("multi30k");
    let open = |name: &str| {
        let [en, de] = ["en", "de"].map(|language| folder.join(format!("{name}.{language}.gz")));
        Parallel::parse((&en, &unzipped(&en)), (&de, &unzipped(&de))).unwrap()
    };
    let (train, test) = (open("train"), open("test_2016_flickr"));
    assert_eq!((train.sources.len(), test.targets.len()), (29_000, 1000));
    let vocabulary = Vocabulary::train(train.texts(), 8000).unwrap();
    assert_eq!(vocabulary.size(), 8000);
    for text in train.texts().chain(test.texts()) {
        assert_eq!(vocabulary.decode(&vocabulary.encode(text).unwrap()).unwrap(), text);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let again = Vocabulary::train(train.texts(), 8000).unwrap();
    again.save(file.path()).unwrap();
    let pairs = train.encode(&vocabulary).unwrap();
    assert_eq!(train.encode(&Vocabulary::open(file.path()).unwrap()).unwrap(), pairs);
    let words: usize = train.texts().map(|text| text.split_whitespace().count()).sum();
    let tokens: usize = pairs.iter().map(|pair| pair.source.len() + pair.target.len() - 1).sum();
    let buckets = Buckets::new(&pairs, 2000, 0).unwrap();
    let (mut own, mut places) = (0, 0);
    for indices in buckets.epoch(0) {
        let batch = || indices.iter().map(|pair| &pairs[*pair]);
        let [source, target] =
            [|pair: &SentencePair| pair.source.len(), |pair: &SentencePair| pair.target.len() + 1];
        for side in [source, target] {
            own += batch().map(side).sum::<usize>();
            places += indices.len() * batch().map(side).max().unwrap();
        }
    }
    let (per_word, share) = (tokens as f64 / words as f64, own as f64 / places as f64);
    println!(
        "{per_word:.3} tokens a word; {} batches of up to 2000 tokens, {:.1} % of their places filled",
        buckets.per_epoch(),
        100.0 * share
    );
    assert!(per_word < 1.4 && share > 0.85);
}

/// Counts exactly, scores to 1e-9: four systems by each of three references and by all, as sacreBLEU 2.6.0 and WMT have
/// them, chrF too, and the BLEU of their first sentences.
#[test]
#[ignore = "reads data outside the clone: LUNA_SHARED"]
fn bleu_and_chrf_are_those_of_sacrebleu() {
    let folder = data("parallel_ende");
    let wmt21 = folder.join("wmt21");
    let references: Vec<Vec<String>> = ["A", "C", "D"]
        .map(|name| lines(&wmt21.join(format!("newstest2021.en-de.ref.{name}.de.gz"))))
        .to_vec();
    let oracle: Value = serde_json::from_slice(&fs::read(wmt21.join("bleu_oracle.json")).unwrap()).unwrap();
    let published = fs::read_to_string(wmt21.join("automatic-scores.en-de.tsv")).unwrap();
    let (mut scores, mut worst) = (0, 0.0_f64);
    for (system, figures) in oracle["systems"].as_object().unwrap() {
        let hypotheses = lines(&wmt21.join(format!("newstest2021.en-de.hyp.{system}.de.gz")));
        for (name, expected) in figures["sacrebleu"].as_object().unwrap() {
            let chosen: Vec<&[String]> = match name.as_str() {
                "all" => references.iter().map(Vec::as_slice).collect(),
                one => vec![&references[["A", "C", "D"].iter().position(|name| *name == one).unwrap()]],
            };
            let found = bleu::corpus(&hypotheses, &chosen).unwrap();
            check_counts(&found, expected);
            let what = format!("{system} by {name}");
            worst = worst.max(near(found.score, &expected["bleu"], &what));
            worst = worst.max(near(found.brevity_penalty, &expected["bp"], &what));
            for (found, expected) in found.precisions.iter().zip(expected["precisions"].as_array().unwrap()) {
                worst = worst.max(near(*found, expected, &what));
            }
            worst =
                worst.max(near(found.score, &in_table(&published, system, "bleu", name).into(), "published"));
            let found = chrf::corpus(&hypotheses, &chosen).unwrap();
            let row = in_table(&published, system, "chrf", name);
            worst = worst.max(near(found, &row.into(), &format!("chrF of {what}")));
            scores += 1;
        }
        let sentences = figures["sentence_bleu_refA_first10"].as_array().unwrap();
        for ((hypothesis, reference), expected) in hypotheses.iter().zip(&references[0]).zip(sentences) {
            worst = worst.max(near(bleu::sentence(hypothesis, &[reference]).score, expected, hypothesis));
        }
    }
    assert_eq!(scores, 16);
    for (line, tokens) in references[0].iter().zip(oracle["tokenized_13a_refA_first20"].as_array().unwrap()) {
        assert_eq!(bleu::tokenize(line).join(" "), tokens.as_str().unwrap());
    }
    println!("{scores} scores in BLEU and in chrF, and 40 of sentences: at most {worst:.1e} off");
}

fn check_counts(found: &Bleu, expected: &Value) {
    let counts = &found.counts;
    assert_eq!(serde_json::json!(counts.matches), expected["counts"]);
    assert_eq!(serde_json::json!(counts.totals), expected["totals"]);
    assert_eq!(
        serde_json::json!([counts.hypothesis, counts.reference]),
        serde_json::json!([expected["sys_len"], expected["ref_len"]])
    );
}

/// The published figure of a system by these references.
fn in_table(table: &str, system: &str, metric: &str, references: &str) -> f64 {
    let metric = format!("{metric}-{references}");
    let fields = |line: &'_ str| line.split('\t').map(String::from).collect::<Vec<_>>();
    let row = table.lines().map(fields).find(|row| row[1] == system && row[4] == metric);
    row.unwrap()[5].parse().unwrap()
}
