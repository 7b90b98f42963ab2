//! The language of designs in the embedded model's hands: both forms of its schema compile, and designs are short.
//! Skipped where the default model is not in the cache.

use capwright_blueprint::{read, schema};
use capwright_llm::{Embedded, Finish, Options, Request, TextModel, default_model, strict, without_nulls};
use serde_json::Value;
use std::time::Duration;

fn model() -> Option<Embedded> {
    let cache = capwright_fetch::Cache::open_default().ok()?;
    let Some(path) = cache.cached(&default_model()) else {
        eprintln!("skipped: the default model is not in the cache");
        return None;
    };
    Some(Embedded::load(&path, &Options::default()).unwrap())
}

#[test]
fn both_forms_of_the_schema_compile_and_their_answers_read() {
    let Some(mut model) = model() else { return };
    for schema in [schema::language().clone(), strict(schema::language())] {
        let request = Request {
            schema: Some(schema),
            max_tokens: 600,
            deadline: Duration::from_secs(600),
            ..Request::new("You design small captioners.", "Write one compact design.")
        };
        let answer = model.generate(&request).unwrap();
        assert!(answer.text.starts_with("{\"encoder\":{"), "{}", answer.text);
        if answer.finish == Finish::Stop {
            let value: Value = serde_json::from_str(&answer.text).unwrap();
            read(&without_nulls(value).to_string()).unwrap_or_else(|e| panic!("{}: {e:?}", answer.text));
        }
    }
}

#[test]
fn typical_designs_stay_under_300_tokens() {
    let Some(model) = model() else { return };
    let corpus = include_str!("../../backbones/tests/corpus/right.jsonl");
    let mut counts: Vec<usize> = corpus
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_string())
        .map(|text| serde_json::from_str::<Value>(&text).unwrap().to_string())
        .map(|compact| model.count_tokens(&compact))
        .collect();
    counts.sort_unstable();
    let at = |percent: usize| counts[(counts.len() - 1) * percent / 100];
    println!("tokens of {} designs: median {}, 90 % {}, most {}", counts.len(), at(50), at(90), at(100));
    assert!(at(50) < 300 && at(90) < 300, "median {}, 90 % {}", at(50), at(90));
}
