//! Hand-made designs: every wrong one is refused for its reasons and no other, every right one is admitted.

mod common;

use capwright_blueprint::{Code, Document, Format, MAX_TEXT, parse};
use common::{TARGET, TestZoo};
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Deserialize)]
struct Wrong {
    note: String,
    expect: Vec<(String, String)>,
    text: String,
}

#[derive(Deserialize)]
struct Right {
    note: String,
    text: String,
}

fn lines<T: for<'a> Deserialize<'a>>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of the corpus")).collect()
}

#[test]
fn wrong_designs_are_refused_for_their_reasons() {
    let corpus: Vec<Wrong> = lines(include_str!("corpus/wrong.jsonl"));
    assert!(corpus.len() >= 300, "{}", corpus.len());
    let (zoo, mut seen, mut failures) = (TestZoo::default(), BTreeSet::new(), Vec::new());
    for Wrong { note, mut expect, text } in corpus {
        let found = parse(&text, &zoo, TARGET).err().unwrap_or_default();
        seen.extend(found.iter().map(|d| d.code));
        for diagnostic in &found {
            let span = diagnostic.span.clone();
            assert!(
                span.is_some_and(|s| text.get(s).is_some()) || text.len() > MAX_TEXT,
                "{note}: {diagnostic}"
            );
        }
        let mut got: Vec<_> = found.iter().map(|d| (d.code.to_string(), d.pointer.clone())).collect();
        got.sort();
        expect.sort();
        if got != expect {
            failures.push(format!("{note}\n  expected {expect:?}\n  found    {got:?}"));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(seen, Code::ALL.iter().copied().collect(), "a rule without a wrong design");
}

#[test]
fn right_designs_are_admitted_in_both_formats() {
    let corpus: Vec<Right> = lines(include_str!("corpus/right.jsonl"));
    assert!(corpus.len() >= 100, "{}", corpus.len());
    let zoo = TestZoo::default();
    for Right { note, text } in &corpus {
        let checked = parse(text, &zoo, TARGET).unwrap_or_else(|e| panic!("{note}: {e:?}"));
        let toml = toml::to_string(checked.blueprint()).unwrap();
        let again = Document::parse(&toml, Format::Toml).unwrap();
        let same = capwright_blueprint::from_value(again.value).unwrap();
        assert_eq!(&same, checked.blueprint(), "{note} in TOML");
    }
}

/// Every choice of the language occurs in a right design, so that a new op needs one.
#[test]
fn right_designs_cover_every_word_of_the_language() {
    let all = include_str!("corpus/right.jsonl").replace('\\', "");
    fn words(schema: &serde_json::Value, out: &mut BTreeSet<String>) {
        match schema {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    match (key.as_str(), value) {
                        ("const", serde_json::Value::String(word)) => _ = out.insert(word.clone()),
                        ("enum", serde_json::Value::Array(items)) => {
                            out.extend(items.iter().filter_map(|v| v.as_str().map(String::from)));
                        }
                        _ => words(value, out),
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| words(item, out)),
            _ => {}
        }
    }
    let mut expected = BTreeSet::new();
    words(capwright_blueprint::schema::language(), &mut expected);
    let missing: Vec<&String> =
        expected.iter().filter(|word| !all.contains(&format!("\"{word}\""))).collect();
    assert!(expected.len() > 30 && missing.is_empty(), "no right design uses {missing:?}");
}
