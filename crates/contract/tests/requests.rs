//! Requests as people write them, in English and Chinese, with the contracts that must come of them.

use capwright_contract::{Contract, Understood, parse_request};

struct Case {
    title: String,
    request: String,
    expected: Contract,
    /// Refused, doubted, unused phrases.
    counts: [usize; 3],
}

fn cases(text: &str) -> Vec<Case> {
    let section = |body: &str| {
        let title = body.lines().next().unwrap_or_default().to_owned();
        let request = body.lines().find_map(|l| l.strip_prefix("> ")).expect("a request").to_owned();
        let toml = body.split("```toml\n").nth(1).and_then(|t| t.split("```").next()).expect("a contract");
        let mut expected: Contract =
            toml::from_str(&format!("version = 1\n{toml}")).unwrap_or_else(|e| panic!("{title}: {e}"));
        expected.request.clone_from(&request);
        let tail = body.rsplit("```").next().unwrap_or_default();
        let count = |word: &str| {
            let said =
                tail.split([',', '\n']).find_map(|part| part.trim().strip_prefix(word)?.trim().parse().ok());
            said.unwrap_or(0)
        };
        Case { counts: [count("refused"), count("doubted"), count("unused")], title, request, expected }
    };
    text.split("\n## ").skip(1).map(section).collect()
}

fn counts(read: &Understood) -> [usize; 3] {
    [read.errors.len(), read.ambiguous.len(), read.ignored.len()]
}

fn score(text: &str) {
    let cases = cases(text);
    assert!(cases.len() >= 40, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let read = parse_request(&case.request);
        if read.contract != case.expected || counts(&read) != case.counts {
            wrong
                .push(format!("{}: {:?}\n  {:?}\n  read {read:#?}", case.title, case.request, case.expected));
        }
    }
    println!("{} of {} requests give the expected contract", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn english() {
    score(include_str!("requests/en.md"));
}

#[test]
fn chinese() {
    score(include_str!("requests/zh.md"));
}
