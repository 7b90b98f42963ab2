//! The words and numbers of a design, as contracts name them: parts (`cbam`, `additive`, `resnet18`) and the numeric
//! fields of bridge, decoder and recipe (`hidden`, `lr`).

use capwright_blueprint::language::Recipe;
use capwright_blueprint::{Blueprint, schema};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Words that stand for any of several parts.
const GROUPS: &[(&str, &[&str])] =
    &[("attention", &["additive", "dot", "multi_head", "adaptive", "top_down", "transformer"])];

/// Sections whose numbers a contract can bound.
const SECTIONS: [&str; 3] = ["bridge", "decoder", "recipe"];

/// Parts of a design by name.
pub(crate) fn parts(blueprint: &Blueprint) -> BTreeSet<String> {
    let mut found = said(blueprint);
    // Not written where it is the default.
    found.extend(said(&blueprint.recipe.optimizer));
    found
}

/// The words of a design, or of a part of one, as it is written.
pub(crate) fn said(part: &impl Serialize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    strings(&serde_json::to_value(part).unwrap_or_default(), &mut found);
    found
}

/// Whether one of the parts is what a contract's word means.
pub(crate) fn has(parts: &BTreeSet<String>, word: &str) -> bool {
    match GROUPS.iter().find(|(group, _)| *group == word) {
        Some((_, members)) => members.iter().any(|member| parts.contains(*member)),
        None => parts.contains(word),
    }
}

/// The parts of the language that a contract's word stands for: itself, or the members of its group.
pub fn meanings(word: &str) -> Vec<&str> {
    members(word).unwrap_or_else(|| vec![word])
}

/// The parts of which a group's word means any, of those that the language has.
pub(crate) fn members(word: &str) -> Option<Vec<&'static str>> {
    let (_, members) = GROUPS.iter().find(|(group, _)| *group == word)?;
    Some(members.iter().copied().filter(|member| is_known(member)).collect())
}

/// Whether the language has that word.
pub(crate) fn is_known(word: &str) -> bool {
    static WORDS: OnceLock<BTreeSet<String>> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        let mut found = BTreeSet::new();
        menu_words(schema::language(), &mut found);
        found.extend(GROUPS.iter().map(|(group, _)| (*group).to_owned()));
        found
    });
    words.contains(word)
}

/// The numbers of bridge, decoder and recipe: JSON pointer, field, value.
pub(crate) fn numbers(blueprint: &Blueprint) -> Vec<(String, String, f64)> {
    let value = written(blueprint);
    let mut found = Vec::new();
    for section in SECTIONS {
        for (field, value) in value[section].as_object().into_iter().flatten() {
            if let Some(number) = value.as_f64() {
                found.push((format!("/{section}/{field}"), field.clone(), number));
            }
        }
    }
    for (field, number) in left_out(&blueprint.recipe) {
        if value["recipe"].get(field).is_none() {
            found.push((format!("/recipe/{field}"), field.to_owned(), number));
        }
    }
    found
}

/// Numbers of a recipe that are not written where they have their default.
fn left_out(recipe: &Recipe) -> [(&'static str, f64); 7] {
    [
        ("accumulate", recipe.accumulate.0.into()),
        ("warmup_pct", recipe.warmup_pct.0.into()),
        ("ema", recipe.ema.0),
        ("word_dropout_pct", recipe.word_dropout_pct.0.into()),
        ("scheduled_sampling_pct", recipe.scheduled_sampling_pct.0.into()),
        ("encoder_lr", recipe.encoder_lr.0),
        ("freeze_encoder", recipe.freeze_encoder.0.into()),
    ]
}

/// Every value that the language's menus give a numeric field of bridge, decoder or recipe, ascending.
pub(crate) fn menu(field: &str) -> Option<&'static [f64]> {
    static MENUS: OnceLock<BTreeMap<String, Vec<f64>>> = OnceLock::new();
    let menus = MENUS.get_or_init(|| {
        let mut menus = BTreeMap::<String, Vec<f64>>::new();
        for section in SECTIONS {
            numeric_menus(&schema::language()["properties"][section], &mut menus);
        }
        for menu in menus.values_mut() {
            menu.sort_by(f64::total_cmp);
            menu.dedup();
        }
        menus
    });
    menus.get(field).map(Vec::as_slice)
}

/// Names of the fields that ranges can bound.
pub(crate) fn fields() -> Vec<&'static str> {
    const KNOWN: [&str; 19] = [
        "hidden",
        "embed",
        "dim",
        "layers",
        "heads",
        "ff",
        "dropout_pct",
        "lr",
        "weight_decay",
        "label_smoothing",
        "clip",
        "batch",
        "accumulate",
        "warmup_pct",
        "ema",
        "word_dropout_pct",
        "scheduled_sampling_pct",
        "encoder_lr",
        "freeze_encoder",
    ];
    KNOWN.into_iter().filter(|field| menu(field).is_some()).collect()
}

fn written(blueprint: &Blueprint) -> Value {
    serde_json::to_value(blueprint).unwrap_or_default()
}

fn strings(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(word) => {
            found.insert(word.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(map) => map.values().for_each(|item| strings(item, found)),
        _ => {}
    }
}

/// Every string that a menu of the schema offers.
fn menu_words(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("const", Value::String(word)) => {
                        found.insert(word.clone());
                    }
                    ("enum", Value::Array(_)) => strings(value, found),
                    _ => menu_words(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| menu_words(item, found)),
        _ => {}
    }
}

fn numeric_menus(schema: &Value, menus: &mut BTreeMap<String, Vec<f64>>) {
    for (field, inner) in schema["properties"].as_object().into_iter().flatten() {
        let numbers = inner["enum"].as_array().into_iter().flatten().filter_map(Value::as_f64);
        let numbers: Vec<f64> = numbers.collect();
        if !numbers.is_empty() {
            menus.entry(field.clone()).or_default().extend(numbers);
        }
    }
    for key in ["oneOf", "anyOf"] {
        schema[key].as_array().into_iter().flatten().for_each(|option| numeric_menus(option, menus));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn menus_and_words_are_those_of_the_language() {
        assert_eq!(menu("layers"), Some(&[1.0, 2.0, 3.0, 4.0, 6.0][..]));
        assert_eq!(menu("lr").and_then(|m| m.first()), Some(&0.0001));
        assert_eq!(menu("hiden"), None);
        assert_eq!(fields().len(), 19);
        assert!(is_known("cbam") && is_known("additive") && is_known("attention") && !is_known("cbamm"));
    }
}
