//! Requests as people write them, and what must come out.

use super::*;
use crate::{Budgets, Family};
use proptest::prelude::*;

/// The bounds of a request that has nothing wrong.
fn budgets(text: &str) -> Budgets {
    let read = parse_request(text);
    assert_eq!(read.errors, [], "{text}");
    read.contract.budgets
}

#[test]
fn bounds_with_units() {
    let total = |n| Budgets { params_total: Some(n), ..Budgets::default() };
    let trainable = |n| Budgets { params_trainable: Some(n), ..Budgets::default() };
    let bytes = |n| Budgets { weight_bytes: Some(n), ..Budgets::default() };
    let image = |n| Budgets { macs_image: Some(n), ..Budgets::default() };
    let token = |n| Budgets { macs_token: Some(n), ..Budgets::default() };
    for (text, expected) in [
        ("under 5 M parameters", total(5_000_000)),
        ("a captioner, under 2 million trainable parameters", trainable(2_000_000)),
        ("fewer than 500k params", total(500_000)),
        ("no more than 1,000,000 trainable parameters", trainable(1_000_000)),
        ("not over 3M parameters", total(3_000_000)),
        ("at most 20 MB", bytes(20_000_000)),
        ("within 2.5 MiB", bytes(2_621_440)),
        ("at most 20 MB of weights", bytes(20_000_000)),
        ("below 1 GMAC", image(1_000_000_000)),
        ("max 300 million multiply-accumulates", image(300_000_000)),
        ("at most 5 MMACs per word", token(5_000_000)),
        ("up to 5M multiply-accumulates for each image", image(5_000_000)),
        ("5M parameters or less", total(5_000_000)),
        ("trainable params <= 3M", trainable(3_000_000)),
        ("parameters must stay below 3M", total(3_000_000)),
        ("a parameter budget of 3M", total(3_000_000)),
        ("≤ 700000 PARAMETERS", total(700_000)),
        ("under 5M parameters in total", total(5_000_000)),
        ("a 20-million-parameter limit", total(20_000_000)),
        ("under 2M trainable, nothing else", trainable(2_000_000)),
    ] {
        assert_eq!(budgets(text), expected, "{text}");
    }
}

#[test]
fn several_bounds_in_one_sentence() {
    let read = parse_request("under 5M parameters, at most 1M trainable parameters and below 20 MB");
    assert_eq!(
        read.contract.budgets,
        Budgets {
            params_total: Some(5_000_000),
            params_trainable: Some(1_000_000),
            weight_bytes: Some(20_000_000),
            ..Budgets::default()
        }
    );
    assert_eq!(read.understood.len(), 3);
    assert_eq!(read.understood[1].phrase, "at most 1M trainable parameters");
    assert_eq!(read.understood[1].meaning, "at most 1,000,000 trainable parameters");
    assert_eq!((read.ambiguous, read.ignored), (vec![], vec![]));
}

#[test]
fn guesses_are_said_to_be_guesses() {
    for (text, phrase) in [("<= 3M", "<= 3M"), ("about cats; 3M parameters", "3M parameters")] {
        let read = parse_request(text);
        assert_eq!(read.contract.budgets.params_total, Some(3_000_000), "{text}");
        assert_eq!(read.ambiguous.len(), 1, "{text}");
        assert_eq!(read.ambiguous[0].phrase, phrase);
        assert_eq!(read.understood, [], "{text}");
    }
}

#[test]
fn what_is_not_a_bound_is_listed_and_changes_nothing() {
    for (text, phrase, part_of_why) in [
        ("BLEU-4 below 0.2", "BLEU-4 below 0.2", "upper bounds"),
        ("within 2 hours", "within 2 hours", "training"),
        ("at least 5 M parameters", "at least 5 M parameters", "lower bounds"),
        ("not under 5 M parameters", "not under 5 M parameters", "lower bounds"),
        ("5M+ parameters", "5M+ parameters", "lower bounds"),
        ("about 5M parameters", "about 5M parameters", "upper bounds"),
        ("under 5M widgets", "under 5M widgets", "\"widgets\""),
        ("under 20", "under 20", "without a unit"),
        ("under 5 b", "under 5 b", "without a unit"),
        ("up to five million parameters", "up to five million parameters", "digits"),
        ("a light captioner", "light captioner", "no rule"),
        ("only vision transformers", "vision transformers", "encoders"),
    ] {
        let read = parse_request(text);
        assert_eq!(read.contract.budgets, Budgets::default(), "{text}");
        assert_eq!(read.contract.components.families, Family::ALL, "{text}");
        let found = read.ignored.iter().find(|i| i.why.contains(part_of_why));
        let found = found.unwrap_or_else(|| panic!("{text}: {:?}", read.ignored));
        assert!(found.phrase.ends_with(phrase), "{text}: {found:?}");
    }
}

#[test]
fn the_example_of_the_issue() {
    let read = parse_request("a light captioner, under 5 M parameters, under 20 ms on this laptop");
    assert_eq!(read.contract.budgets.params_total, Some(5_000_000));
    let ignored: Vec<&str> = read.ignored.iter().map(|i| i.phrase.as_str()).collect();
    assert_eq!(ignored, ["light captioner", "this laptop"]);
    assert_eq!(read.contract.limits.latency_p50_ms, Some(20.0));
    assert_eq!(read.ambiguous[0].phrase, "under 20 ms");
}

#[test]
fn of_two_bounds_the_stricter_is_kept_and_the_other_listed() {
    let read = parse_request("under 5M parameters, no, under 2M parameters, under 2M parameters");
    assert_eq!(read.contract.budgets.params_total, Some(2_000_000));
    assert_eq!(read.understood.len(), 1);
    let whys: Vec<&str> = read.ignored.iter().map(|i| i.why.as_str()).collect();
    assert!(whys[0].contains("more strictly"), "{whys:?}");
    assert!(whys.contains(&"said already"), "{whys:?}");
}

#[test]
fn image_sizes_of_all_phrases_hold_together() {
    for (text, expected) in [
        ("images of 224 pixels", vec![224]),
        ("image size between 96 and 160", vec![96, 128, 160]),
        ("images of 96 or 128 pixels", vec![96, 128]),
        ("images of 96, 128, or 160 pixels", vec![96, 128, 160]),
        ("image sizes 96/192", vec![96, 192]),
        ("96 px or 128 px", vec![96, 128]),
        ("图像大小 96 或 128", vec![96, 128]),
        ("image size 96 or 224, image size at most 160", vec![96]),
        ("image size at least 96, image size at most 160", vec![96, 128, 160]),
        ("image size at most 160, image size at least 96", vec![96, 128, 160]),
    ] {
        let read = parse_request(text);
        assert!(read.errors.is_empty() && read.ignored.is_empty(), "{text}: {read:?}");
        assert_eq!(read.contract.components.image_sizes, expected, "{text}");
    }
    for (text, part_of_why) in [
        ("image size at least 192, image size at most 96", "at once"),
        ("image size between 100 and 120", "no such image size"),
        ("image size 96 or 100", "no such image size"),
    ] {
        let read = parse_request(text);
        assert_eq!(read.errors.len(), 1, "{text}: {read:?}");
        assert!(read.errors[0].why.contains(part_of_why), "{text}: {read:?}");
    }
}

#[test]
fn a_list_of_image_sizes_ends_where_a_number_is_about_something_else() {
    for text in [
        "image size 96, 128 and 3 layers",
        "image size 96, 128, 20 ms",
        "image size 96 or 128, 5 M parameters",
        "image size 96 or 128 and 12 epochs",
        "2 layers, image size 96 or 128",
        "beam 5, images of 96 or 128 pixels",
    ] {
        let read = parse_request(text);
        assert!(read.errors.is_empty() && read.ignored.is_empty(), "{text}: {read:?}");
        assert_eq!(read.contract.components.image_sizes, [96, 128], "{text}");
        assert_eq!(read.understood.len() + read.ambiguous.len(), 2, "{text}: {read:?}");
    }
}

#[test]
fn a_setting_is_no_range() {
    for text in ["beam between 2 and 5", "5 to 10 epochs", "confidence between 90 and 95 %"] {
        let read = parse_request(text);
        let plain = Contract { request: text.to_owned(), ..Contract::default() };
        assert_eq!(read.contract, plain, "{text}");
        assert_eq!(read.ignored.len(), 1, "{text}: {read:?}");
        assert_eq!(read.ignored[0].phrase, text);
        assert!(read.ignored[0].why.contains("one number"), "{text}: {read:?}");
    }
}

#[test]
fn impossible_bounds_are_errors() {
    for text in [
        "under 0 parameters",
        "at most 0.0001 bytes",
        "under -5M parameters",
        "under 99999999999999999999 parameters",
        "under 10000000000 GB",
        "under 1,5 M parameters",
    ] {
        let read = parse_request(text);
        assert_eq!(read.errors.len(), 1, "{text}: {read:?}");
        assert_eq!(read.contract.budgets, Budgets::default(), "{text}");
    }
    assert_eq!(parse_request(&"a ".repeat(MAX_REQUEST_BYTES)).errors.len(), 1);
}

#[test]
fn families() {
    use Family::*;
    for (text, expected) in [
        ("only LSTM", vec![Lstm]),
        ("a Transformer decoder", vec![Transformer]),
        ("no transformers", vec![Lstm, Gru, Convolution]),
        ("GRU or LSTM", vec![Lstm, Gru]),
        ("LSTM/GRU decoders", vec![Lstm, Gru]),
        ("no LSTM or GRU", vec![Transformer, Convolution]),
        ("LSTM but not a Transformer", vec![Lstm]),
        ("an LSTM rather than a Transformer", vec![Lstm]),
        ("anything but a transformer", vec![Lstm, Gru, Convolution]),
        ("please don't use GRUs", vec![Lstm, Transformer, Convolution]),
        ("a convolutional decoder", vec![Convolution]),
        ("not only LSTM but also GRU", vec![Lstm, Gru]),
        ("a non-transformer model under 5M parameters", vec![Lstm, Gru, Convolution]),
    ] {
        let read = parse_request(text);
        assert_eq!(read.errors, [], "{text}");
        assert_eq!(read.contract.components.families, expected, "{text}");
    }
    assert_eq!(parse_request("under 5M parameters").contract.components.families, Family::ALL);
}

#[test]
fn contradictions_about_families_are_errors() {
    let none = "no LSTM, no GRU, no transformers, no convolutional decoders";
    for text in ["LSTM, no LSTM", "only LSTM and also a Transformer", none] {
        let read = parse_request(text);
        assert!(!read.errors.is_empty(), "{text}");
        assert_eq!(read.contract.components.families, Family::ALL, "{text}");
    }
}

#[test]
fn every_word_is_accounted_for() {
    let text = "Describe holiday photos quickly with an LSTM, under 5M parameters for my old phone";
    let read = parse_request(text);
    let mut listed: Vec<&str> = read.understood.iter().map(|r| r.phrase.as_str()).collect();
    listed.extend(read.ignored.iter().map(|i| i.phrase.as_str()));
    let listed = listed.join(" ");
    for word in ["Describe", "holiday", "photos", "quickly", "LSTM", "5M", "old", "phone"] {
        assert!(listed.contains(word), "{word} is lost: {listed}");
    }
}

/// A number with thousands separators.
fn commas(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
    groups.join(",")
}

proptest! {
    #[test]
    fn the_number_written_is_the_number_kept(
        n in 1u64..1_000_000_000,
        limit in prop::sample::select(vec!["under", "at most", "no more than", "<=", "fewer than", "up to"]),
        unit in prop::sample::select(vec![
            ("parameters", 1), ("M parameters", 1_000_000), ("thousand params", 1_000), ("k-parameter", 1_000),
        ]),
        separated in any::<bool>(),
    ) {
        let digits = if separated { commas(n) } else { n.to_string() };
        let read = parse_request(&format!("a captioner with {limit} {digits} {}", unit.0));
        prop_assert_eq!(read.contract.budgets.params_total, Some(n * unit.1));
        prop_assert_eq!(read.errors, vec![]);
    }

    #[test]
    fn decimals_are_exact(whole in 0u64..100_000, tenths in 1u64..10) {
        let read = parse_request(&format!("below {whole}.{tenths} GMACs"));
        prop_assert_eq!(read.contract.budgets.macs_image, Some(whole * 1_000_000_000 + tenths * 100_000_000));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}") {
        parse_request(&text);
    }

    #[test]
    fn no_mix_of_its_own_words_makes_it_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            "no", "not", "under", "5", "M", "1,5", "-", "+", "parameters", "trainable", "GMAC", "of", "MB", "RAM",
            "only", "LSTM", "vision", "transformer", "or", "less", "at", "most", "per", "word", ":", "multiply", "-5M",
            "and", ",", "a", "all", "but", "optional", "attention", "are", "forbidden", "excluding", "counting",
            "encoder", "/", "(", ")", "1:2", ".5", "10^6", "×", "000", "h", "min", "m", "s", "half", "million",
            "thousand", "training", "with", "p95", "亿", "万", "5000", "除", "外", "都", "不要",
        ]), 0..14),
    ) {
        let read = parse_request(&words.join(" "));
        for phrase in read.ignored.iter().map(|i| &i.phrase) {
            prop_assert!(!phrase.is_empty());
        }
    }
}
