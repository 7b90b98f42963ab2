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
