//! The cheapest designs that the structure of a contract leaves: menus at their smallest, and every choice of words.
//!
//! Within one choice of source, image size, blocks, decoder and words, every cost grows with every width. So the
//! smallest widths are cheapest in all costs at once, and only the choices of words have to be tried.

use crate::{Contract, Family, words};
use capwright_blueprint::language::ImageSize;
use capwright_blueprint::schema::{self, smallest};
use capwright_blueprint::{Blueprint, Zoo};
use serde_json::{Value, json};

/// Encoders to try, as JSON.
pub(crate) fn encoders(contract: &Contract, zoo: &dyn Zoo) -> Vec<Value> {
    let parts = &contract.components;
    let mut sources = Vec::new();
    let names = parts.backbones.clone().unwrap_or_else(|| [zoo.usual(), parts.required.clone()].concat());
    for name in &names {
        // A required part that is no backbone has no cuts.
        for cut in zoo.cuts(name).unwrap_or_default() {
            sources.push(json!({ "kind": "pretrained", "backbone": name, "cut": cut }));
        }
    }
    if parts.scratch {
        for kind in ["conv", "separable", "inverted_residual", "basic"] {
            for depth in 1..=5 {
                let stage = json!({ "kind": kind, "out": 8, "repeat": 1 });
                sources.push(json!({ "kind": "scratch", "stem": 8, "stages": vec![stage; depth] }));
            }
        }
    }
    let sizes = if parts.image_sizes.is_empty() { ImageSize::CHOICES } else { parts.image_sizes.as_slice() };
    let demanded = demanded_blocks(contract);
    let narrow = json!({ "op": "conv", "out": 8, "kernel": 1, "stride": 1, "act": "relu" });
    let pooled = json!({ "op": "adaptive_pool", "side": 1 });
    let mut found = Vec::new();
    for source in &sources {
        for size in sizes {
            for ahead in
                [vec![], vec![pooled.clone()], vec![narrow.clone()], vec![pooled.clone(), narrow.clone()]]
            {
                let blocks = [ahead, demanded.clone()].concat();
                found.push(json!({ "input": size, "source": source, "blocks": blocks }));
            }
        }
    }
    found
}

/// The smallest block of each required kind.
fn demanded_blocks(contract: &Contract) -> Vec<Value> {
    let blocks = &schema::language()["properties"]["encoder"]["properties"]["blocks"]["items"];
    let required = contract.components.required.iter();
    required.filter_map(|word| smallest_with_tag(blocks, word)).collect()
}

/// The smallest value of the alternative whose tag is that word.
fn smallest_with_tag(schema: &Value, word: &str) -> Option<Value> {
    for key in ["oneOf", "anyOf"] {
        for option in schema[key].as_array().into_iter().flatten() {
            let tag = &option["properties"]["op"];
            if tag["const"] == word
                || tag["enum"].as_array().is_some_and(|menu| menu.iter().any(|w| w == word))
            {
                return Some(smallest(option));
            }
            if let Some(found) = smallest_with_tag(option, word) {
                return Some(found);
            }
        }
    }
    None
}

/// Decoders to try, as JSON: every choice of words, optional ones too; numbers the smallest that the ranges allow.
pub(crate) fn decoders(contract: &Contract) -> Vec<Value> {
    let options = &schema::language()["properties"]["decoder"];
    let options = options["oneOf"].as_array().or(options["anyOf"].as_array());
    let mut found = Vec::new();
    for option in options.into_iter().flatten() {
        let mut partial = vec![serde_json::Map::new()];
        for (name, inner) in option["properties"].as_object().into_iter().flatten() {
            let needed = option["required"].as_array().is_some_and(|r| r.iter().any(|n| n == name.as_str()));
            let choices = field_choices(contract, name, inner, needed);
            partial = partial
                .iter()
                .flat_map(|so_far| choices.iter().map(move |choice| with(so_far, name, choice.as_ref())))
                .collect();
        }
        found.extend(partial.into_iter().map(Value::Object));
    }
    found
}

fn with(
    so_far: &serde_json::Map<String, Value>,
    name: &str,
    value: Option<&Value>,
) -> serde_json::Map<String, Value> {
    let mut next = so_far.clone();
    next.extend(value.map(|v| (name.to_owned(), v.clone())));
    next
}

/// What a field is tried with; `None` leaves it out.
fn field_choices(contract: &Contract, name: &str, inner: &Value, needed: bool) -> Vec<Option<Value>> {
    let menu: Vec<Value> = match (inner["enum"].as_array(), inner.get("const")) {
        (Some(menu), _) => menu.clone(),
        (None, Some(word)) => vec![word.clone()],
        (None, None) => {
            let options = inner["oneOf"].as_array().or(inner["anyOf"].as_array());
            options.into_iter().flatten().filter_map(|o| o.get("const").cloned()).collect()
        }
    };
    let numeric = menu.iter().any(Value::is_number);
    let range = contract.ranges.get(name).copied().unwrap_or_default();
    let fitting = |v: &&Value| v.as_f64().is_none_or(|x| range.holds(x));
    // Heads must divide a width, so that the smallest may not fit; any number of them costs the same.
    if numeric && name != "heads" && name != "embed" {
        if !needed {
            return vec![None];
        }
        return vec![
            menu.iter()
                .filter(fitting)
                .min_by(|a, b| a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(std::cmp::Ordering::Equal))
                .cloned(),
        ];
    }
    if name == "heads" {
        return menu.iter().filter(fitting).map(|v| Some(v.clone())).take(3).collect();
    }
    if name == "embed" {
        // Tied embeddings must be as wide as what the vocabulary layer reads.
        return menu.iter().filter(fitting).map(|v| Some(v.clone())).take(3).collect();
    }
    let none = (!needed).then_some(None);
    // These only add to a cell, and are tried where they are asked for.
    let asked = |v: &Value| contract.components.required.iter().any(|word| v == word.as_str());
    let extra = matches!(name, "rnn_norm" | "between");
    let menu = menu.into_iter().filter(|v| !extra || asked(v));
    none.into_iter().chain(menu.into_iter().map(Some)).collect()
}

/// A whole design; `None` where the bridge has no width in its range.
pub(crate) fn design(contract: &Contract, encoder: &Value, decoder: &Value) -> Option<Blueprint> {
    let least = |field: &str| {
        let range = contract.ranges.get(field).copied().unwrap_or_default();
        words::menu(field)?.iter().copied().find(|v| range.holds(*v))
    };
    let bridge = &schema::language()["properties"]["bridge"]["properties"]["dim"]["enum"];
    let range = contract.ranges.get("dim").copied().unwrap_or_default();
    let dim = bridge.as_array()?.iter().find(|v| v.as_f64().is_some_and(|x| range.holds(x)))?;
    let mut recipe = smallest(&schema::language()["properties"]["recipe"]);
    for (field, value) in recipe.as_object_mut()? {
        if value.is_number() && contract.ranges.contains_key(field) {
            let menu = schema::language()["properties"]["recipe"]["properties"][field]["enum"].as_array()?;
            *value = menu.iter().find(|v| v.as_f64() == least(field))?.clone();
        }
    }
    let dropout = least("dropout_pct")? as u64;
    let whole = json!({
        "encoder": encoder,
        "bridge": { "dim": dim, "dropout_pct": dropout },
        "decoder": decoder,
        "recipe": recipe,
    });
    serde_json::from_value(whole).ok()
}

/// Whether the decoder's family is allowed.
pub(crate) fn allowed(contract: &Contract, blueprint: &Blueprint) -> bool {
    contract.components.families.contains(&Family::of(blueprint))
}
