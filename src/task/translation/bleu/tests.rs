//! BLEU against cases by hand, and against counts with published scores.

use proptest::prelude::*;

use super::*;

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

/// The tokens of sacreBLEU's own expressions.
#[test]
fn tokens_of_13a() {
    for (line, tokens) in [
        ("Hello, world!", "Hello , world !"),
        (
            "Prices rose by 3.5%, to $1,200.75 -- a record...",
            "Prices rose by 3.5 % , to $ 1,200.75 -- a record . . .",
        ),
        ("„Gut“, sagte er – und ging.", "„Gut“ , sagte er – und ging ."),
        ("e.g. U.S.-based firms, i.e. A.B.", "e . g . U . S . -based firms , i . e . A . B ."),
        ("at 10:30, on 2021-07-24, see pages 3-14.", "at 10 : 30 , on 2021 - 07 - 24 , see pages 3 - 14 ."),
        (
            "don't [stop] {me} (now); it's 50/50 @home #1 a_b ^ ~ `x` | \\ =+*<>?",
            "don't [ stop ] { me } ( now ) ; it's 50 / 50 @ home # 1 a _ b ^ ~ ` x ` | \\ = + * < > ?",
        ),
        ("&quot;x&quot; &amp;lt; &lt;b&gt; &apos; <skipped>y", "\" x \" < < b > & apos ; y"),
        ("one-\ntwo\nthree  ", "onetwo three"),
        ("1.2.3, 4,5,6. .5 5. ,,.. .,.", "1.2.3 , 4,5,6 . . 5 5 . , , . . . , ."),
        ("٣.٤ naïve\u{a0}word\u{2003}end\x1cnext", "٣ . ٤ naïve word end next"),
        ("", ""),
        (".", "."),
        ("-5 -a 5- 5-5- --", "-5 -a 5 - 5 - 5 - --"),
        ("a,b.c,d 1a.2b,3", "a , b . c , d 1a . 2b , 3"),
        ("....", ". . . ."),
        ("x.,y", "x . , y"),
    ] {
        assert_eq!(tokenize(line).join(" "), tokens, "{line:?}");
    }
}

#[test]
fn scores_by_hand() {
    // 4/5, 3/4, 2/3, 1/2: a product of 1/5.
    near(sentence("a b c d e", &["a b c d f"]).score, 100.0 * 0.2_f64.powf(0.25));
    // All right and one token of five missing.
    near(sentence("a b c d", &["a b c d e"]).score, 100.0 * (-0.25_f64).exp());
    // 2/4, 1/3, then nothing: 1 / (2 x 2) and 1 / (4 x 1).
    let smoothed = sentence("a b x y", &["a b c d"]);
    near(smoothed.score, 100.0 * (1.0_f64 / 96.0).powf(0.25));
    assert_eq!(smoothed.precisions, [50.0, 100.0 / 3.0, 25.0, 25.0]);
    // Clipped: 'the' stands twice in one reference, in no reference four times.
    let clipped = BleuCounts::of("the the the the", &["the cat on the mat", "the end"]);
    assert_eq!((clipped.matches, clipped.totals), ([2, 0, 0, 0], [4, 3, 2, 1]));
    near(clipped.bleu().score, 100.0 * (-0.25_f64).exp() * (0.5 / 6.0 / 8.0 / 8.0_f64).powf(0.25));
    // Clipped by the reference that has it most often, not by their sum.
    assert_eq!(BleuCounts::of("x x x", &["x y", "x z x"]).matches, [2, 0, 0, 0]);
}

#[test]
fn the_nearest_reference_counts_and_of_two_the_shorter() {
    let length = |references: &[&str]| BleuCounts::of("a b c d", references).reference;
    assert_eq!(length(&["a b c d e f", "a b c", "a"]), 3);
    assert_eq!(length(&["a b c d e", "a b c"]), 3);
    assert_eq!(length(&["a b", "a b c d e"]), 5);
    assert_eq!(length(&["", "a b c d e f g"]), 7, "an empty reference is none");
}

#[test]
fn short_sentences_have_fewer_orders_and_short_corpora_none() {
    near(sentence("a b", &["a b"]).score, 100.0);
    near(corpus(&["a b"], &[&["a b"]]).unwrap().score, 0.0);
    near(corpus(&["a b", "c d e f"], &[&["a b", "c d e f"]]).unwrap().score, 100.0);
    near(sentence("", &["a b"]).score, 0.0);
    assert_eq!(sentence("", &["a b"]).brevity_penalty, 0.0);
    near(sentence("x", &["a b"]).score, 0.0);
    near(sentence("", &[""]).score, 0.0);
}

/// A corpus adds counts up; it does not average scores.
#[test]
fn a_corpus_by_hand() {
    let bleu = corpus(&["a b c d e", "a b c d"], &[&["a b c d f", "a b c d e"]]).unwrap();
    assert_eq!(bleu.counts.matches, [8, 6, 4, 2]);
    assert_eq!(bleu.counts.totals, [9, 7, 5, 3]);
    let product = (8.0 * 6.0 * 4.0 * 2.0) / (9.0 * 7.0 * 5.0 * 3.0);
    near(bleu.brevity_penalty, (-1.0_f64 / 9.0).exp());
    near(bleu.score, 100.0 * f64::powf(product, 0.25) * (-1.0_f64 / 9.0).exp());
    let two = corpus(&["a b c d e", "a b c d"], &[&["a b c d f", "a b c d e"], &["a b c d e", ""]]).unwrap();
    assert_eq!(two.counts.matches, [9, 7, 5, 3]);
}

/// Counts of systems of WMT21 (English to German), with the scores that were published for them.
#[test]
fn counts_with_published_scores() {
    for (matches, totals, lengths, score, brevity_penalty) in [
        (
            [15_729, 8_076, 4_734, 2_933],
            [27_150, 26_148, 25_146, 24_144],
            (27_150, 27_970),
            24.539_799_541_013_327,
            0.970_248_962_283_488_4,
        ),
        (
            [18_323, 11_009, 7_277, 4_976],
            [27_815, 26_813, 25_811, 24_809],
            (27_815, 28_318),
            34.536_711_188_579_82,
            0.982_078_762_383_124_2,
        ),
        (
            [24_262, 18_743, 14_576, 11_258],
            [28_186, 27_184, 26_182, 25_180],
            (28_186, 28_023),
            61.996_188_279_428_004,
            1.0,
        ),
        (
            [19_935, 13_298, 9_573, 7_061],
            [28_187, 27_185, 26_183, 25_181],
            (28_187, 28_318),
            43.195_963_857_296_34,
            0.995_363_250_517_583_1,
        ),
    ] {
        let (hypothesis, reference) = lengths;
        let bleu = BleuCounts { matches, totals, hypothesis, reference }.bleu();
        near(bleu.score, score);
        near(bleu.brevity_penalty, brevity_penalty);
    }
}

#[test]
fn lines_that_do_not_fit_are_refused() {
    let message =
        |hypotheses: &[&str], references: &[&[&str]]| corpus(hypotheses, references).unwrap_err().to_string();
    assert!(message(&[], &[]).contains("translations to score: '0 lines'"));
    assert!(message(&["a"], &[]).contains("references to score by: 'none'"));
    assert!(
        message(&["a", "b"], &[&["a", "b"], &["a"]])
            .contains("lines of reference 2: '1' is not accepted; accepted: 2, as many as translations")
    );
    assert!(message(&["a", "b"], &[&["a", ""], &["a", ""]]).contains("reference of line 2: ''"));
}

proptest! {
    #[test]
    fn scores_are_shares(
        hypothesis in "[ab .,-5]{0,20}",
        references in prop::collection::vec("[ab .,-5]{0,20}", 1..4),
    ) {
        let references: Vec<&str> = references.iter().map(String::as_str).collect();
        for bleu in [sentence(&hypothesis, &references), BleuCounts::of(&hypothesis, &references).bleu()] {
            prop_assert!((0.0..=100.0 + 1e-9).contains(&bleu.score), "{bleu:?}");
            prop_assert!(bleu.counts.matches.iter().zip(&bleu.counts.totals).all(|(a, b)| a <= b));
        }
    }

    #[test]
    fn a_text_is_a_perfect_translation_of_itself(words in prop::collection::vec("[a-c]{1,2}", 4..12)) {
        let text = words.join(" ");
        near(sentence(&text, &[&text]).score, 100.0);
        near(BleuCounts::of(&text, &["else", &text]).bleu().score, 100.0);
    }

    #[test]
    fn tokens_hold_no_blank_and_every_other_letter(line in "\\PC{0,40}") {
        let tokens = tokenize(&line);
        prop_assert!(tokens.iter().all(|token| !token.is_empty() && !token.contains(char::is_whitespace)));
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        if !line.contains('&') && !line.contains('<') {
            prop_assert_eq!(letters(&tokens.concat()), letters(&line));
        }
    }
}
