//! Words equal those of pycocoevalcap's PTB tokenizer: on nasty strings, on COCO val2017 and on Flickr8k.
//!
//! The expected words come from `tests/fixtures/ptb/make.py`.

use std::path::PathBuf;

use capwright_caption_metrics::{tokenize, tokenize_each};
use proptest::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Hashes {
    sha256: String,
    captions: usize,
    block: usize,
    hashes: Vec<String>,
}

#[derive(Deserialize)]
struct CaptionFile {
    annotations: Vec<Caption>,
}

#[derive(Deserialize)]
struct Caption {
    caption: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(root().join("tests/fixtures/ptb").join(name)).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn assert_equal_blocks(name: &str, captions: &str) {
    let path = root().join("../shared/data").join(captions);
    let Ok(raw) = std::fs::read(&path) else {
        println!("skipped: the captions are absent at {}", path.display());
        return;
    };
    let fixture: Hashes = serde_json::from_str(&fixture(name)).unwrap();
    assert_eq!(hex(&raw), fixture.sha256, "the captions differ from those that the fixture was made of");
    let file: CaptionFile = serde_json::from_slice(&raw).unwrap();
    assert_eq!(file.annotations.len(), fixture.captions);
    assert_eq!(fixture.hashes.len(), fixture.captions.div_ceil(fixture.block));
    for (i, (block, expected)) in file.annotations.chunks(fixture.block).zip(&fixture.hashes).enumerate() {
        let words: Vec<String> = block.iter().map(|a| tokenize(&a.caption).join(" ")).collect();
        let ours = &hex(words.join("\n").as_bytes())[..16];
        let from = i * fixture.block;
        assert_eq!(ours, expected, "captions {from}..{} come out otherwise:\n{words:#?}", from + block.len());
    }
}

#[test]
fn equals_the_ptb_tokenizer_on_nasty_strings() {
    let cases: Vec<(String, String)> = serde_json::from_str(&fixture("nasty.json")).unwrap();
    assert_eq!(cases.len(), 5000);
    let wrong: Vec<String> = cases
        .iter()
        .map(|(text, expected)| (text, tokenize(text).join(" "), expected))
        .filter(|(_, ours, expected)| ours != *expected)
        .map(|(text, ours, expected)| format!("{text:?}\n  gives    {ours}\n  expected {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn equals_the_ptb_tokenizer_on_coco_val2017() {
    assert_equal_blocks("coco.json", "coco-val2017-captions/captions_val2017.json");
}

#[test]
fn equals_the_ptb_tokenizer_on_flickr8k() {
    assert_equal_blocks("flickr8k.json", "flickr8k/captions.json");
}

#[test]
fn equals_the_ptb_tokenizer_on_coco_mini() {
    assert_equal_blocks("coco-mini.json", "coco-mini/captions.json");
}

/// Text from the pieces that start, join or end tokens, and from any character.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -~]{1,4}",
        2 => "(dog|U\\.S\\.|mr\\.|Jan\\.|don't|http://|www\\.|\\.com/|@|#|&amp;|<a |'|\"|1/2|12| )",
        1 => any::<char>().prop_map(String::from),
        1 => "[ÉéΣσ\u{301}\u{ad}\u{a0}\u{2019}\u{2003}中İſ]",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn words_have_no_space_and_are_lower_case(text in texts()) {
        for word in tokenize(&text) {
            prop_assert!(!word.is_empty());
            prop_assert!(!word.contains(char::is_whitespace), "{word:?}");
            prop_assert_eq!(word.to_lowercase().replace('ς', "σ"), word.replace('ς', "σ"));
        }
    }

    #[test]
    fn lists_what_is_sent(text in texts()) {
        let mut sent = Vec::new();
        tokenize_each(&text, |word| sent.push(word.to_owned()));
        prop_assert_eq!(tokenize(&text), sent);
    }

    #[test]
    fn a_line_feed_is_a_space(text in texts(), at in any::<prop::sample::Index>()) {
        let at = text.char_indices().map(|(i, _)| i).nth(at.index(text.chars().count().max(1))).unwrap_or(0);
        let joined = |mark: &str| tokenize(&[&text[..at], mark, &text[at..]].concat());
        prop_assert_eq!(joined("\n"), joined(" "));
    }
}

/// Shapes that would make a careless lexer look at the rest of the text again and again.
#[test]
fn takes_long_text_in_one_pass() {
    let units = [
        "<", ">", "+", "\\*", "é😀", "a", ".", "a,", "a.", "1a.", "a@", "@", "<a b=\"", "<!-", "www.=", "é“",
        "a'", "'", "(", "1 ", "a-", "a_", "a/b", "http://", "\u{ad}", "\u{301}", " ", "U.S. ", "x.<b>", "&",
        "&amp", "1,1-", ",-", "_", "`", "~.", "a@b..",
    ];
    for unit in units {
        let text = unit.repeat(300_000 / unit.len());
        let mut bytes = 0;
        tokenize_each(&text, |word| bytes += word.len());
        assert!(bytes <= 6 * text.len(), "{unit:?}");
    }
}
