//! The requests of the contract's own tests, read with the embedded language model at hand: how many give the expected
//! contract, and that no number changes. Skipped where the default model is not in the cache.

use capwright_contract::{Amount, Clause, Contract, Unit, parse_request, parse_request_with};
use capwright_llm::{Embedded, Options, default_model};
use capwright_search::clause_of;

/// Title, request, expected contract.
fn cases(text: &str) -> Vec<(String, String, Contract)> {
    let case = |body: &str| {
        let title = body.lines().next().unwrap_or_default().to_owned();
        let request = body.lines().find_map(|l| l.strip_prefix("> ")).expect("a request").to_owned();
        let toml = body.split("```toml\n").nth(1).and_then(|t| t.split("```").next()).expect("a contract");
        let mut expected: Contract = toml::from_str(&format!("version = 1\n{toml}")).expect("a contract");
        expected.request.clone_from(&request);
        (title, request, expected)
    };
    text.split("\n## ").skip(1).map(case).collect()
}

/// The numbers of a contract without their clauses, times in milliseconds.
fn numbers(contract: &Contract) -> Vec<f64> {
    let in_base = |(clause, bound): (Clause, Amount)| match clause.unit() {
        Unit::Seconds => bound.as_f64() * 1e3,
        _ => bound.as_f64(),
    };
    let mut all: Vec<f64> = contract.bounds().into_iter().map(in_base).collect();
    all.extend(contract.ranges.values().flat_map(|range| [range.min, range.max]).flatten());
    all.extend([contract.decoding.max_words as f64, contract.decoding.beam as f64]);
    all
}

fn score(name: &str, text: &str, model: &mut Embedded) {
    let (mut right, mut asked) = (0, 0);
    let cases = cases(text);
    for (title, request, expected) in &cases {
        let mut ask = |phrase: &str| {
            asked += 1;
            clause_of(model, request, phrase).expect("the model answers")
        };
        let read = parse_request_with(request, &mut ask);
        right += usize::from(read.contract == *expected);
        let known = [numbers(&parse_request(request).contract), numbers(expected)].concat();
        for number in numbers(&read.contract) {
            // A number that only the model's clause lets in must stand in the request as it is.
            let stands = known.contains(&number) || request.contains(&number.to_string());
            assert!(stands, "{title}: {number} of {request:?}");
        }
    }
    let all = cases.len();
    println!(
        "{name}: {right} of {all} requests give the expected contract; the model was asked {asked} times"
    );
}

#[test]
fn no_number_changes_and_the_score_is_said() {
    let path = capwright_fetch::Cache::open_default().ok().and_then(|cache| cache.cached(&default_model()));
    let Some(path) = path else {
        eprintln!("skipped: the default model is not in the cache");
        return;
    };
    let mut model = Embedded::load(&path, &Options::default()).expect("the model loads");
    score("English", include_str!("../../contract/tests/requests/en.md"), &mut model);
    score("Chinese", include_str!("../../contract/tests/requests/zh.md"), &mut model);
}
