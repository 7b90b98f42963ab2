//! Random damage to random designs: mending ends, leaves nothing mendable, and touches nothing else.

use capwright_blueprint::language::Cut;
use capwright_blueprint::{Document, Format, Graph, Target, Zoo, mend, parse_as, schema};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

struct NoZoo;

impl Zoo for NoZoo {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn cuts(&self, _: &str) -> Option<Vec<Cut>> {
        None
    }

    fn features(&self, _: &str, _: Cut, _: usize) -> Option<std::sync::Arc<Graph>> {
        None
    }
}

const TARGET: Target = Target { vocab: 100, max_words: 20 };

/// Every leaf with its place.
fn leaves(value: &Value, at: &str, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| leaves(v, &format!("{at}/{k}"), out)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| leaves(v, &format!("{at}/{i}"), out));
        }
        leaf => out.push((at.to_string(), leaf.clone())),
    }
}

/// Damages one leaf or adds a field; returns the place.
fn damage(value: &mut Value, rng: &mut ChaCha8Rng) -> String {
    let mut all = Vec::new();
    leaves(value, "", &mut all);
    let (at, leaf) = all[rng.random_range(0..all.len())].clone();
    if rng.random_bool(0.2) {
        let parent = at.rsplit_once('/').unwrap().0;
        if let Some(object) = value.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.insert("surprise".into(), json!({"a": [1]}));
        }
        return format!("{parent}/surprise");
    }
    let worse = match &leaf {
        Value::Number(n) if rng.random_bool(0.4) => json!(n.to_string()),
        Value::Number(n) => json!(n.as_f64().unwrap() * rng.random_range(0.8..1.3)),
        Value::String(word) if !word.is_empty() => json!(word.to_uppercase()),
        _ => json!("x"),
    };
    *value.pointer_mut(&at).unwrap() = worse;
    at
}

#[test]
fn after_mending_nothing_mendable_is_left_and_the_rest_is_unchanged() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (mut mended_designs, mut clean) = (0, 0);
    for i in 0..1500 {
        let mut value = schema::sample(schema::language(), &mut rng);
        let mut touched = Vec::new();
        for _ in 0..rng.random_range(0..4) {
            touched.push(damage(&mut value, &mut rng));
        }
        let format = if i % 3 == 0 { Format::Toml } else { Format::Json };
        let text = match format {
            Format::Json => value.to_string(),
            Format::Toml => toml::to_string(&value).unwrap(),
        };
        let before = Document::parse(&text, format).unwrap().value;
        let mended = mend(&text, format, &NoZoo, TARGET);
        let left = parse_as(&mended.text, format, &NoZoo, TARGET).err().unwrap_or_default();
        assert!(left.iter().all(|d| d.fix.is_none()), "{left:?}\n{}", mended.text);
        clean += usize::from(left.is_empty() && !mended.fixes.is_empty());
        mended_designs += usize::from(!mended.fixes.is_empty());
        let after = Document::parse(&mended.text, format).unwrap().value;
        let mut all = Vec::new();
        leaves(&before, "", &mut all);
        for (at, leaf) in all {
            // A sample's parts may not fit each other; then they are mended wherever they stand.
            let own = ["/heads", "/bridge/positions", "/bridge/scales", "/bridge/queries", "/recipe/lr"];
            if !own.iter().any(|end| at.ends_with(end)) && !touched.iter().any(|t| at.starts_with(t.as_str()))
            {
                assert_eq!(after.pointer(&at), Some(&leaf), "{at} changed\n{text}\n{}", mended.text);
            }
        }
    }
    assert!(mended_designs > 500 && clean > 100, "{mended_designs} mended, {clean} clean");
}

/// A sound design with other fields at a place.
fn with(at: &str, fields: Value) -> Value {
    let mut design = json!({
        "encoder": {"input": 64, "source": {"kind": "scratch", "stem": 8,
            "stages": [{"kind": "conv", "out": 16, "repeat": 1}]}, "blocks": []},
        "bridge": {"dim": 64, "dropout_pct": 0},
        "decoder": {"family": "recurrent", "cell": "gru", "embed": 64, "hidden": 64, "layers": 1,
            "image": "initial_state", "attention": "dot", "dropout_pct": 0},
        "recipe": {"lr": 0.001, "schedule": "cosine", "weight_decay": 0.0, "label_smoothing": 0.0, "clip": 1.0,
            "batch": 16},
    });
    let place = design.pointer_mut(at).and_then(Value::as_object_mut).expect("an object");
    for (name, value) in fields.as_object().expect("an object") {
        match value {
            Value::Null => drop(place.remove(name)),
            value => drop(place.insert(name.clone(), value.clone())),
        }
    }
    design
}

#[test]
fn what_may_be_meant_for_a_missing_field_is_not_removed() {
    for (at, wrong, mended) in [
        ("/recipe", json!({"batch": null, "batch_size": 16}), Some(json!({"batch": 16}))),
        ("/recipe", json!({"schedule": null, "lr_schedule": "linear"}), Some(json!({"schedule": "linear"}))),
        ("/recipe", json!({"optimizer_name": "sgd"}), Some(json!({"optimizer": "sgd"}))),
        ("/bridge", json!({"dropout_pct": null, "dropout": 10}), Some(json!({"dropout_pct": 10}))),
        ("/encoder", json!({"input": null, "inputSize": 96}), Some(json!({"input": 96}))),
        ("/decoder", json!({"comment": "mine"}), Some(json!({}))),
        ("/decoder", json!({"attention": null, "attn": "additive"}), None),
        ("/recipe", json!({"batch": null, "batch_size": 17}), None),
        ("/recipe", json!({"batch": null, "batch_size": 16, "batch_images": 8}), None),
        ("/recipe", json!({"batch": null, "comment": "mine"}), None),
    ] {
        let text = with(at, wrong.clone()).to_string();
        let found = mend(&text, Format::Json, &NoZoo, TARGET);
        let expected =
            mended.as_ref().map_or_else(|| with(at, wrong.clone()), |right| with(at, right.clone()));
        let value: Value = serde_json::from_str(&found.text).expect("JSON");
        assert_eq!(value, expected, "{wrong}");
        assert_eq!(parse_as(&found.text, Format::Json, &NoZoo, TARGET).is_ok(), mended.is_some(), "{wrong}");
    }
}
