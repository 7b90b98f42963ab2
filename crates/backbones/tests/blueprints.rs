//! The designs of `docs/blueprints.md`: each is checked and its verdict compared with the text below it.

use capwright_backbones::Library;
use capwright_blueprint::{Target, parse};

const TARGET: Target = Target { vocab: 2500, max_words: 20 };

fn verdict(design: &str) -> String {
    match parse(design, &Library::default(), TARGET) {
        Ok(checked) => {
            let (tokens, cost) = (checked.design().bridge.tokens(), checked.cost());
            let (trained, total) = (cost.params_trainable, cost.params_total);
            format!(
                "admitted: {tokens} tokens of memory\nparameters: {trained} trained of {total}\n\
                 multiply-accumulates: {} an image, {} a word\n",
                cost.macs_image, cost.macs_token
            )
        }
        Err(diagnostics) => diagnostics.iter().map(|d| format!("{d}\n")).collect(),
    }
}

/// The document with every verdict as it is now, and how many designs it holds.
fn blessed(document: &str) -> (String, usize) {
    let (mut out, mut count, mut rest) = (String::new(), 0, document);
    while let Some((before, after)) = rest.split_once("```json\n") {
        let (design, after) = after.split_once("```\n").expect("a design ends");
        let (between, after) = after.split_once("```text\n").expect("a verdict follows each design");
        let (_, after) = after.split_once("```").expect("a verdict ends");
        out += &format!("{before}```json\n{design}```\n{between}```text\n{}```", verdict(design));
        (rest, count) = (after, count + 1);
    }
    (out + rest, count)
}

#[test]
fn the_examples_say_what_the_checker_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/blueprints.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (expected, count) = blessed(&document);
    assert!(count >= 8, "the document has lost designs: {count}");
    if std::env::var_os("CAPWRIGHT_BLESS").is_some() {
        return std::fs::write(path, expected).unwrap();
    }
    for (have, want) in document.lines().zip(expected.lines()) {
        assert_eq!(have, want);
    }
    assert_eq!(document.len(), expected.len());
}

#[test]
fn two_backbones_cut_alike_are_one_design_in_either_order() {
    // At that cut of 224 pixels one has a grid of 13 by 13, the other of 14 by 14.
    let verdict = |first: &str, second: &str| {
        let design = format!(
            r#"{{"encoder":{{"input":224,"source":{{"kind":"pretrained","backbone":"{first}","cut":"s16",
            "beside":{{"backbone":"{second}","cut":"s16"}}}},"blocks":[]}},"bridge":{{"dim":64,"dropout_pct":0}},
            "decoder":{{"family":"recurrent","cell":"gru","embed":64,"hidden":64,"layers":1,"image":"initial_state",
            "attention":"dot","dropout_pct":0}},"recipe":{{"lr":0.001,"schedule":"cosine","weight_decay":0.01,
            "label_smoothing":0.1,"clip":5.0,"batch":32}}}}"#
        );
        let checked = parse(&design, &Library::default(), TARGET).expect("it is admitted");
        (checked.hash().to_owned(), checked.cost(), checked.design().bridge.tokens())
    };
    let told = verdict("squeezenet1_0", "resnet18");
    assert_eq!(told, verdict("resnet18", "squeezenet1_0"));
    assert_eq!(told.2, 13 * 13);
}
