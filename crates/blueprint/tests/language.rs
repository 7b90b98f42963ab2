//! The language from outside: schema, reader, checker and sampler agree.

use capwright_blueprint::language::Cut;
use capwright_blueprint::schema::{self, Narrowing};
use capwright_blueprint::{
    Blueprint, Code, Conv, Diagnostic, Graph, Op, Padding, Shape, Target, Zoo, check, parse, read,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

struct ToyZoo;

impl Zoo for ToyZoo {
    fn names(&self) -> Vec<String> {
        vec!["toy".into()]
    }

    fn cuts(&self, name: &str) -> Option<Vec<Cut>> {
        (name == "toy").then(|| vec![Cut::S16, Cut::S32])
    }

    fn features(&self, _: &str, cut: Cut, size: usize) -> Option<std::sync::Arc<Graph>> {
        let stride = if cut == Cut::S16 { 16 } else { 32 };
        let mut graph = Graph::new(Shape::new(3, size, size));
        let padding = Padding::symmetric(0);
        let conv = Conv {
            input: 3,
            output: 96,
            kernel: stride,
            width: stride,
            stride,
            padding,
            dilation: 1,
            groups: 1,
            bias: true,
        };
        graph.add("patch", Op::Conv(conv), &[0]).ok()?;
        Some(graph.into())
    }
}

const TARGET: Target = Target { vocab: 100, max_words: 20 };

fn everything() -> Value {
    let backbones = vec!["toy".to_string()];
    Narrowing {
        backbones,
        scratch: true,
        sizes: Vec::new(),
        lstm: true,
        gru: true,
        transformer: true,
        convolution: true,
    }
    .schema()
}

fn example() -> Value {
    json!({
        "encoder": {"input": 64, "source": {"kind": "pretrained", "backbone": "toy", "cut": "s16"},
            "blocks": [{"op": "residual", "body": [{"op": "depthwise", "kernel": 3, "stride": 1, "act": "relu"}]},
                       {"op": "cbam", "reduction": 8}]},
        "bridge": {"dim": 128, "dropout_pct": 10},
        "decoder": {"family": "transformer", "memory": "grid", "dim": 128, "layers": 2, "heads": 4, "ff": 4, "dropout_pct": 10},
        "recipe": {"lr": 0.0005, "schedule": "cosine", "weight_decay": 0.01, "label_smoothing": 0.1, "clip": 1.0,
            "batch": 24},
    })
}

fn problems(value: &Value) -> Vec<Diagnostic> {
    parse(&value.to_string(), &ToyZoo, TARGET).expect_err("should be refused")
}

fn codes(value: &Value) -> Vec<Code> {
    problems(value).into_iter().map(|d| d.code).collect()
}

fn with(pointer: &str, value: Value) -> Value {
    let mut design = example();
    *design.pointer_mut(pointer).expect("place in the example") = value;
    design
}

#[test]
fn the_example_is_admitted_and_round_trips() {
    let checked = parse(&example().to_string(), &ToyZoo, TARGET).unwrap();
    assert_eq!(serde_json::to_value(checked.blueprint()).unwrap(), example());
    assert_eq!(checked.design().bridge.tokens(), 16);
    assert_eq!(checked.hash().len(), 64);
}

/// Whether `all` has everything that `part` has; what it has more is defaults that were written out.
fn covers(all: &Value, part: &Value) -> bool {
    match (all, part) {
        (Value::Object(a), Value::Object(b)) => {
            b.iter().all(|(key, part)| a.get(key).is_some_and(|all| covers(all, part)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| covers(a, b))
        }
        (a, b) => a == b,
    }
}

#[test]
fn defaults_and_repeats_that_are_written_out_do_not_change_the_hash() {
    let hash = |blocks: Value| {
        let text = with("/encoder/blocks", blocks).to_string();
        parse(&text, &ToyZoo, TARGET).unwrap().hash().to_string()
    };
    let conv = json!({"op": "conv", "out": 64, "kernel": 3, "stride": 1, "act": "relu"});
    let (mut full, mut grouped) = (conv.clone(), conv.clone());
    for (key, value) in [("dilation", json!(1)), ("groups", json!(1)), ("norm", json!("batch"))] {
        full[key] = value;
    }
    grouped["groups"] = json!(2);
    assert_eq!(hash(json!([conv])), hash(json!([full])));
    assert_ne!(hash(json!([conv])), hash(json!([grouped])));
    let repeat = |times: u32, shortcut: &str| json!([{"op": "repeat", "times": times, "shortcut": shortcut, "body": [conv]}]);
    assert_eq!(hash(repeat(2, "none")), hash(json!([conv, conv])));
    assert_eq!(hash(repeat(1, "residual")), hash(json!([{"op": "residual", "body": [conv]}])));
    assert_ne!(hash(repeat(2, "none")), hash(repeat(3, "none")));
}

#[test]
fn every_example_of_an_op_fits_and_is_that_op() {
    for (name, example) in capwright_blueprint::language::Leaf::EXAMPLES {
        let block: Value = serde_json::from_str(example).unwrap();
        assert_eq!(block["op"], *name);
        // Some want 64 channels; nothing wants more cells than the toy map has.
        let block = if *name == "adaptive_pool" { json!({"op": name, "side": 2}) } else { block };
        parse(&with("/encoder/blocks", json!([block])).to_string(), &ToyZoo, TARGET)
            .unwrap_or_else(|e| panic!("{name}: {e:?}"));
    }
}

#[test]
fn every_sample_of_the_schema_reads_as_a_blueprint() {
    let (schema, mut rng) = (everything(), ChaCha8Rng::seed_from_u64(1));
    let mut admitted = 0;
    for _ in 0..2000 {
        let value = schema::sample(&schema, &mut rng);
        let blueprint = read(&value.to_string()).unwrap_or_else(|e| panic!("{value}: {e:?}"));
        let written = serde_json::to_value(&blueprint).unwrap();
        assert!(covers(&value, &written), "{written} says what {value} does not");
        assert_eq!(read(&written.to_string()).unwrap(), blueprint, "{value}");
        admitted += usize::from(check(blueprint, &ToyZoo, TARGET).is_ok());
    }
    assert!(admitted > 200, "only {admitted} of 2000 samples fit together");
}

#[test]
fn all_structural_problems_are_reported_at_once() {
    let mut design = with("/recipe/lr", json!(30));
    design["bridge"]["extra"] = json!(1);
    design["decoder"].as_object_mut().unwrap().remove("ff");
    design["encoder"]["blocks"][1] = json!({"op": "magic"});
    let found = codes(&design);
    for code in [Code::NotOnMenu, Code::UnknownField, Code::MissingField] {
        assert!(found.contains(&code), "{code} missing in {found:?}");
    }
    assert_eq!(found.len(), 4);
}

#[test]
fn composition_problems_have_their_codes() {
    assert_eq!(codes(&with("/encoder/source/backbone", json!("x"))), [Code::UnknownBackbone]);
    assert_eq!(codes(&with("/encoder/source/cut", json!("s8"))), [Code::NoSuchCut]);
    assert_eq!(codes(&with("/decoder/heads", json!(6))), [Code::Heads]);
    let se = json!([{"op": "se", "reduction": 4}]);
    let pool = json!([{"op": "pool", "kind": "max"}]);
    for (merge, code) in [("add", Code::AddShapes), ("concat", Code::ConcatShapes)] {
        let parallel = json!([{"op": "parallel", "merge": merge, "branches": [se, pool]}]);
        assert_eq!(codes(&with("/encoder/blocks", parallel)), [code]);
    }
    let pools = json!(vec![json!({"op": "pool", "kind": "avg"}); 4]);
    assert_eq!(codes(&with("/encoder/blocks", pools)), [Code::MapTooSmall]);
}

#[test]
fn a_residual_whose_body_changes_the_shape_gets_a_projection() {
    let body = json!([{"op": "conv", "out": 64, "kernel": 3, "stride": 2, "act": "relu"}]);
    let design = with("/encoder/blocks", json!([{"op": "residual", "body": body}]));
    let checked = parse(&design.to_string(), &ToyZoo, TARGET).unwrap();
    assert_eq!(checked.design().trunk.output_shape(), Shape::new(64, 2, 2));
    let named = |name: &str| checked.design().trainable().iter().any(|p| p.name == name);
    assert!(named("encoder.blocks.0.shortcut.conv.weight"));
    // A pool rounds down where a stride rounds up: 3 cells become 1 and 2.
    let pool = json!({"op": "pool", "kind": "max"});
    let mut odd = with("/encoder/blocks", json!([pool, {"op": "residual", "body": [pool]}]));
    odd["encoder"]["input"] = json!(96);
    assert_eq!(codes(&odd), [Code::ResidualShape]);
}

#[test]
fn a_recurrent_decoder_reads_the_grid_only_with_attention() {
    for (attention, tokens) in [("none", 1), ("additive", 16), ("dot", 16)] {
        let recurrent = json!({"family": "recurrent", "cell": "lstm", "embed": 64, "hidden": 64, "layers": 1,
            "image": "initial_state", "attention": attention, "dropout_pct": 0});
        let checked = parse(&with("/decoder", recurrent).to_string(), &ToyZoo, TARGET).unwrap();
        assert_eq!(checked.design().bridge.tokens(), tokens, "{attention}");
    }
}

#[test]
fn large_maps_and_grids_are_refused_before_anything_is_built() {
    let scratch =
        json!({"kind": "scratch", "stem": 512, "stages": [{"kind": "conv", "out": 64, "repeat": 1}]});
    let mut design = with("/encoder/source", scratch.clone());
    design["encoder"]["input"] = json!(224);
    design["encoder"]["blocks"] = json!([]);
    assert_eq!(codes(&design), [Code::TooManyTokens]);
    design["encoder"]["source"]["stages"][0] = json!({"kind": "inverted_residual", "out": 64, "repeat": 1});
    assert_eq!(codes(&design), [Code::MapTooLarge]);
}

#[test]
fn the_order_of_added_branches_does_not_change_the_hash() {
    let (a, b) = (json!([{"op": "se", "reduction": 4}]), json!([{"op": "se", "reduction": 8}]));
    let hash = |branches: Value, merge: &str| {
        let block = json!([{"op": "parallel", "merge": merge, "branches": branches}]);
        let text = with("/encoder/blocks", block).to_string();
        parse(&text, &ToyZoo, TARGET).unwrap().hash().to_string()
    };
    assert_eq!(hash(json!([a, b]), "add"), hash(json!([b, a]), "add"));
    assert_ne!(hash(json!([a, b]), "concat"), hash(json!([b, a]), "concat"));
}

#[test]
fn prose_and_oversized_text_are_diagnosed() {
    assert_eq!(read("Sure! Here is a design").unwrap_err()[0].code, Code::NotJson);
    assert_eq!(read(&" ".repeat(100_000)).unwrap_err()[0].code, Code::TooLarge);
    assert_eq!(read(&"[".repeat(60_000)).unwrap_err()[0].code, Code::TooDeep);
}

#[test]
fn numbers_off_the_menu_are_caught_in_designs_made_in_code() {
    let mut blueprint: Blueprint = serde_json::from_value(example()).unwrap();
    blueprint.recipe.lr.0 = f64::NAN;
    assert!(check(blueprint.clone(), &ToyZoo, TARGET).is_err());
    blueprint.recipe.lr.0 = 0.5;
    assert_eq!(check(blueprint, &ToyZoo, TARGET).unwrap_err()[0].code, Code::NotOnMenu);
}
