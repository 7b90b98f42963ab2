//! Every rule by example: the files of `tests/diagnostics/`, the table of rules and `docs/diagnostics.md`.
//!
//! `CAPWRIGHT_BLESS=1` writes what is expected anew.

mod common;

use capwright_blueprint::{Code, Explanation, Format, explain, line_and_column, mend, parse_as};
use common::{TARGET, TestZoo};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const BASE: &str = r#"{"encoder": {"input": 96, "source": {"kind": "pretrained", "backbone": "resnet18", "cut": "s16"}, "blocks": []},
 "bridge": {"dim": 128, "dropout_pct": 10},
 "decoder": {"family": "transformer", "memory": "grid", "dim": 128, "layers": 2, "heads": 4, "ff": 2, "dropout_pct": 10},
 "recipe": {"lr": 0.001, "schedule": "cosine", "weight_decay": 0.01, "label_smoothing": 0.1, "clip": 1.0, "batch": 16}}"#;

fn blessing() -> bool {
    std::env::var_os("CAPWRIGHT_BLESS").is_some()
}

/// The base design with another text at a place.
fn with(at: &str, part: &str) -> String {
    let document = capwright_blueprint::Document::parse(BASE, Format::Json).unwrap();
    let span = document.place(at).expect("a place of the base design").value.clone();
    format!("{}{part}{}", &BASE[..span.start], &BASE[span.end..])
}

fn codes(text: &str) -> BTreeSet<Code> {
    let found = parse_as(text, Format::Json, &TestZoo::default(), TARGET).err().unwrap_or_default();
    found.into_iter().map(|d| d.code).collect()
}

#[test]
fn the_examples_of_the_table_break_and_keep_their_rule() {
    for code in Code::ALL.iter().filter(|code| **code != Code::TooLarge) {
        let Explanation { at, wrong, right, fixable, .. } = *explain(*code);
        let text = with(at, wrong);
        assert_eq!(codes(&text), BTreeSet::from([*code]), "{code}: {wrong}");
        assert_eq!(codes(&with(at, right)), BTreeSet::new(), "{code}: {right}");
        let mended = mend(&text, Format::Json, &TestZoo::default(), TARGET);
        assert_eq!(codes(&mended.text).is_empty(), fixable, "{code}: fixable is not what happens");
    }
}

/// The text between the first fence of a kind and its end.
fn fence<'a>(document: &'a str, kind: &str) -> Option<&'a str> {
    document.split_once(&format!("```{kind}\n"))?.1.split_once("\n```").map(|(inside, _)| inside)
}

/// What the checker says of a text, with places, and the text after `--fix` where that changes it.
fn verdict(text: &str, format: Format) -> (String, Option<String>) {
    let zoo = TestZoo::default();
    let found = parse_as(text, format, &zoo, TARGET).err().unwrap_or_default();
    let line = |d: &capwright_blueprint::Diagnostic| {
        let place = d.span.as_ref().map(|span| line_and_column(text, span.start));
        let place = place.map_or("-".to_string(), |(line, column)| format!("{line}:{column}"));
        format!("{place} {d}")
    };
    let said = found.iter().map(line).collect::<Vec<_>>().join("\n");
    let mended = mend(text, format, &zoo, TARGET);
    (said, (!mended.fixes.is_empty()).then_some(mended.text))
}

/// A file with what is expected as it is now.
fn blessed(document: &str) -> (String, String) {
    let toml = document.contains("```toml\n");
    let (kind, format) = if toml { ("toml", Format::Toml) } else { ("json", Format::Json) };
    let wrong = fence(document, kind).expect("a wrong design");
    let (said, fixed) = verdict(&wrong.replace("<70000 spaces>", &" ".repeat(70_000)), format);
    let (head, _) = document.split_once("\n```text\n").unwrap_or((document.trim_end(), ""));
    let mut out = format!("{}\n\n```text\n{said}\n```\n", head.trim_end());
    if let Some(fixed) = fixed {
        out += &format!("\nAfter `check --fix`:\n\n```fixed\n{fixed}\n```\n");
    }
    (out, said)
}

#[test]
fn every_rule_has_a_file_that_breaks_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let code = Code::find(&name[..6]).unwrap_or_else(|| panic!("{name} is no code"));
        let document = fs::read_to_string(&path).unwrap();
        let (expected, said) = blessed(&document);
        assert!(said.contains(code.as_str()), "{name} does not break its rule: {said}");
        if blessing() {
            fs::write(&path, &expected).unwrap();
        } else {
            assert_eq!(document, expected, "{name}");
        }
        seen.insert(code);
    }
    assert_eq!(seen, Code::ALL.iter().copied().collect(), "a rule without a file");
}

fn page() -> String {
    let mut out =
        "# Diagnostics\n\nEvery rule of the blueprint language. `capwright explain CODE` prints an entry, \
`capwright check FILE --fix` mends\nwhat it can. This page is written from the table of rules \
(`CAPWRIGHT_BLESS=1 cargo test -p capwright-backbones --test diagnostics`).\n"
            .to_string();
    for code in Code::ALL {
        let e = explain(*code);
        let fix = if e.fixable { "\n`--fix` mends it where there is one obvious mending.\n" } else { "" };
        let at = if e.at.is_empty() { String::new() } else { format!(" (at `{}`)", e.at) };
        out += &format!("\n## {}: {}\n\n{}\n\n{}\n{fix}\n", e.code, e.title, e.why, e.remedy);
        out += &format!("Wrong{at}:\n\n```text\n{}\n```\n\nRight:\n\n```text\n{}\n```\n", e.wrong, e.right);
    }
    out
}

#[test]
fn the_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/diagnostics.md");
    if blessing() {
        return fs::write(path, page()).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), page());
}
