//! Text and token files as inputs.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use luna::task::tokens;
use luna::task::window::TextWindows;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

/// Special tokens in front of and behind a text, as `tokenizer.json` has them.
fn template(front: Option<&str>, behind: Option<&str>) -> Value {
    let special = |name: &&str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let mut single: Vec<Value> = front.iter().map(special).collect();
    single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
    single.extend(behind.iter().map(special));
    let id = |name: &str| if Some(name) == front { 1 } else { 2 };
    let token = |name: &&str| ((*name).to_string(), json!({"id": name, "ids": [id(name)], "tokens": [name]}));
    let tokens: serde_json::Map<_, _> = front.iter().chain(&behind).map(token).collect();
    json!({"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": tokens})
}

fn special(id: u32, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": true})
}

/// A vocabulary of three special tokens, the lower-case letters (with this before each), and these.
fn vocab(specials: [&str; 3], prefixes: &[&str], others: &[&str]) -> Value {
    let letters = prefixes.iter().flat_map(|prefix| ('a'..='z').map(move |c| format!("{prefix}{c}")));
    let names =
        specials.into_iter().map(String::from).chain(letters).chain(others.iter().map(ToString::to_string));
    names.enumerate().map(|(id, name)| (name, json!(id))).collect::<serde_json::Map<_, _>>().into()
}

/// A tokenizer of BERT's kind, saved with truncation and padding on, as sentence-transformers does.
fn bert() -> Value {
    let specials = ["[UNK]", "[CLS]", "[SEP]"];
    json!({
        "version": "1.0",
        "truncation": {"max_length": 12, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "[UNK]"},
        "added_tokens": [special(0, "[UNK]"), special(1, "[CLS]"), special(2, "[SEP]")],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template(Some("[CLS]"), Some("[SEP]")),
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab(specials, &["", "##"], &[".", ",", "th", "##ing"])},
    })
}

/// A tokenizer of GPT-2's kind: bytes and merges, no special tokens added.
fn gpt2() -> Value {
    let specials = ["<|endoftext|>", "<|a|>", "<|b|>"];
    let others = ["Ġ", "Ċ", ".", ",", "Ġt", "Ġth", "in", "ing", "ĠĠ", "ĠĠĠĠ", "ĊĊ"];
    let merges = [["Ġ", "t"], ["Ġt", "h"], ["i", "n"], ["in", "g"], ["Ġ", "Ġ"], ["ĠĠ", "ĠĠ"], ["Ċ", "Ċ"]];
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [special(0, "<|endoftext|>")],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                  "vocab": vocab(specials, &[""], &others), "merges": merges},
    })
}

/// A tokenizer of Llama's kind: no words, merges across spaces, a token in front of each text.
fn llama() -> Value {
    let others = ["▁", ".", ",", "\n", "▁t", "▁th", "in", "ing", "e▁", "s▁th", "s▁"];
    let merges = [["▁", "t"], ["▁t", "h"], ["i", "n"], ["in", "g"], ["e", "▁"], ["s", "▁"], ["s", "▁th"]];
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "post_processor": template(Some("<s>"), None),
        "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": false,
                  "vocab": vocab(["<unk>", "<s>", "</s>"], &[""], &others), "merges": merges},
    })
}

/// Some words, with runs of white space among them; always the same for the same number.
fn words(count: usize) -> String {
    let mut state = 17_u32;
    let mut next = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % below
    };
    let mut text = String::new();
    for _ in 0..count {
        let word = ["the", "thing", "sits", "in", "a", "seething", "ox", "these", "naïve"][next(9)];
        let space = [" ", " ", " ", ", ", ". ", "\n", "   ", "\n\n", "          "][next(9)];
        write!(text, "{word}{space}").unwrap();
    }
    text
}

/// A folder with a tokenizer and a text.
fn folder(tokenizer: &Value, text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (json, txt) = (dir.path().join("tokenizer.json"), dir.path().join("text.txt"));
    fs::write(&json, tokenizer.to_string()).unwrap();
    fs::write(&txt, text).unwrap();
    (dir, json, txt)
}

#[test]
fn windows_are_those_of_the_whole_text() {
    let text = words(20_000);
    for (tokenizer, front, behind) in [(bert(), &[1][..], &[2][..]), (gpt2(), &[], &[]), (llama(), &[1], &[])]
    {
        let mut whole = Tokenizer::from_bytes(tokenizer.to_string()).unwrap();
        whole.with_truncation(None).unwrap().with_padding(None);
        let whole = whole.encode(text.as_str(), false).unwrap().get_ids().to_vec();
        let (_dir, json, txt) = folder(&tokenizer, &text);
        let windows = TextWindows::open(&json, &txt, 4096).unwrap();
        assert_eq!(windows.special_tokens(), (front.len(), behind.len()));
        let pieces = windows.whole().unwrap();
        assert!(text.len() > 100_000, "several pieces");
        if behind.is_empty() {
            // Some mark the beginning of a text, or join white space over several line ends.
            assert!(pieces.ids.len().abs_diff(whole.len()) < 10);
        } else {
            assert_eq!(pieces.ids, whole, "a word does not see over a line's end");
        }
        assert!(pieces.starts.is_sorted() && pieces.starts.len() == pieces.ids.len());
        for (n, count, skip) in
            [(3, 1, 0), (16, 3, 5), (64, 40, 1000), (512, 1, 0), (1000, 7, 3), (4096, 9, 0)]
        {
            let step = n - front.len() - behind.len();
            let found = windows.windows(n, count, skip).unwrap();
            assert_eq!(found.len(), count);
            for (w, window) in found.iter().enumerate() {
                let exact = &whole[skip + w * step..skip + (w + 1) * step];
                assert_eq!(window, &[front, exact, behind].concat(), "n = {n}, window {w}");
            }
        }
    }
}

#[test]
fn texts_that_do_not_fit() {
    let (_dir, json, txt) = folder(&bert(), "a b c d e f g h i j");
    let windows = TextWindows::open(&json, &txt, 8).unwrap();
    let message = |n, count, skip| windows.windows(n, count, skip).unwrap_err().to_string();
    assert_eq!(message(9, 1, 0), "a window: 9 tokens; at most 8, the model's positions");
    assert!(message(2, 1, 0).contains("more than 2, the special tokens of each window"));
    assert!(message(8, 0, 0).contains("at least 1"));
    let short = message(6, 3, 1);
    assert!(
        short.contains(": 10 tokens; 3 windows of 6 need 13 (1 skipped, 4 of text each); 2 would fit"),
        "{short}"
    );
    assert!(message(8, usize::MAX, 0).contains("fewer"));
    assert!(message(8, 1, usize::MAX - 100).contains("0 would fit"));
    assert_eq!(windows.windows(6, 2, 2).unwrap()[1], [1, 9, 10, 11, 12, 2]);
}

#[test]
fn files_that_are_no_text() {
    let message = |tokenizer: &Value, text: &[u8]| {
        let (_dir, json, txt) = folder(tokenizer, text);
        TextWindows::open(&json, &txt, 8).err().unwrap().to_string()
    };
    assert!(
        message(&bert(), b"").ends_with("text.txt': no text; expected text to split into windows of tokens")
    );
    assert!(message(&bert(), b" \n ").contains("no text"));
    assert!(message(&bert(), b"abc\xffd").contains("byte 3 (0xff) is not UTF-8; expected text in UTF-8"));
    assert!(message(&json!({"model": 1}), b"abc").contains("tokenizer.json': "));
    let (dir, json, txt) = folder(&bert(), "abc");
    let absent = |json: &Path, txt: &Path| TextWindows::open(json, txt, 8).err().unwrap().to_string();
    assert!(absent(&dir.path().join("none.json"), &txt).contains("--tokens FILE"));
    assert!(absent(&json, &dir.path().join("none.txt")).contains("none.txt': No such file"));
}

#[test]
fn token_files() {
    let parse = |text: &str| tokens::parse(Path::new("t"), text);
    assert_eq!(parse("[1, 2,\n 3]").unwrap(), [1, 2, 3]);
    assert_eq!(parse(" 1 2\n3\t4294967295\n").unwrap(), [1, 2, 3, u32::MAX]);
    let message = |text: &str| parse(text).unwrap_err().to_string();
    assert!(message("").contains("'t': no token ids; expected token ids as a JSON list or separated by"));
    assert!(message("[]").contains("no token ids"));
    assert!(message("1 2\n3 x4 5").contains("'x4' (item 4, line 2)"));
    assert!(message("1 -2").contains("'-2' (item 2, line 1)"));
    assert!(message("[1, 2.5]").contains("'2.5' (item 2)"));
    assert!(message("[1, [2]]").contains("'[2]' (item 2)"));
    assert!(message("[1, 4294967296]").contains("'4294967296' (item 2)"));
    assert!(message("[1, 2").contains("not a JSON list"));
    // As a tokenizer hands them out: a batch of one, or under a key.
    for text in [
        "[[1, 2]]",
        "{\"input_ids\": [1, 2]}",
        "\u{feff}{\"input_ids\": [[1, 2]], \"attention_mask\": [[1, 1]]}",
    ] {
        assert_eq!(parse(text).unwrap(), [1, 2], "{text}");
    }
    assert!(message("[[1], [2]]").contains("2 sequences of token ids; expected one sequence"));
    assert!(message("{\"input_ids\": [[1], [2], [3]]}").contains("3 sequences of token ids"));
    assert!(
        message("{\"input_ids\": [1, 2], \"attention_mask\": [1, 0]}")
            .contains("'attention_mask' hides tokens")
    );
    assert!(message("{\"ids\": [1]}").contains("no 'input_ids' among the keys 'ids'"));
    assert!(message("{\"input_ids\": \"1 2\"}").contains("'\\\"1 2\\\"'"));
    assert!(message("[[]]").contains("no token ids") && message("{}").contains("no 'input_ids'"));
    assert!(message(&"x".repeat(500)).len() < 200);
}

#[test]
fn token_ids_beyond_the_vocabulary() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ids.json");
    fs::write(&path, "[5, 96, 97]").unwrap();
    assert_eq!(tokens::read(&path, 98).unwrap(), [5, 96, 97]);
    let message = tokens::read(&path, 97).unwrap_err().to_string();
    assert!(
        message.contains("token id 97 (item 3); expected ids below 97, the model's vocabulary"),
        "{message}"
    );
    assert!(
        tokens::read(&dir.path().join("none"), 9).unwrap_err().to_string().contains("none': No such file")
    );
}
