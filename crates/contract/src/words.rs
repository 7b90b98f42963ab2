//! The words and numbers of a design, as contracts name them: parts (`cbam`, `additive`, `resnet18`) and the numeric
//! fields of bridge, decoder and recipe (`hidden`, `lr`).

use crate::BACKBONES;
use capwright_blueprint::language::{Block, Bridge, Decoder, Encoder, Recipe};
use capwright_blueprint::{Blueprint, LeftOut, left_out, schema};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Words that stand for any of several parts.
const GROUPS: &[(&str, &[&str])] =
    &[("attention", &["additive", "dot", "multi_head", "adaptive", "top_down", "transformer"])];

/// Sections whose numbers a contract can bound.
const SECTIONS: [&str; 3] = ["bridge", "decoder", "recipe"];

/// A design or a part of one: what it is made of by name.
pub(crate) trait Worded {
    /// Its words: those that are written, and those that it has because fields are left out.
    fn said(&self) -> BTreeSet<String>;
}

macro_rules! worded {
    ($($part:ty: $rule:expr;)+) => {
        $(impl Worded for $part {
            fn said(&self) -> BTreeSet<String> {
                let (value, rule) = (value(self), $rule);
                let mut found: BTreeSet<String> =
                    left_out(&value, rule).into_iter().map(|left| left.word).collect();
                strings(&value, &mut found);
                found
            }
        })+
    };
}

worded! {
    Blueprint: schema::language();
    Encoder: section("encoder");
    Block: &section("encoder")["properties"]["blocks"]["items"];
    Bridge: section("bridge");
    Decoder: section("decoder");
    Recipe: section("recipe");
}

impl<A: Worded, B: Worded> Worded for (A, B) {
    fn said(&self) -> BTreeSet<String> {
        let mut found = self.0.said();
        found.extend(self.1.said());
        found
    }
}

fn section(name: &str) -> &'static Value {
    &schema::language()["properties"][name]
}

/// The words that a design has because it leaves fields out, with those fields.
pub(crate) fn unwritten(blueprint: &Blueprint) -> Vec<LeftOut> {
    left_out(&value(blueprint), schema::language())
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

/// Every word of the language and of its groups.
fn all() -> &'static BTreeSet<String> {
    static WORDS: OnceLock<BTreeSet<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let mut found = BTreeSet::new();
        menu_words(schema::language(), &mut found);
        found.extend(GROUPS.iter().map(|(group, _)| (*group).to_owned()));
        found
    })
}

/// Whether the language has that word.
pub(crate) fn is_known(word: &str) -> bool {
    all().contains(word)
}

/// Names of backbones that are no part of this program.
static OWN: OnceLock<BTreeSet<String>> = OnceLock::new();

/// Lets contracts name backbones of one's own; the first time counts.
pub fn know_backbones(names: impl IntoIterator<Item = String>) {
    OWN.get_or_init(|| names.into_iter().collect());
}

/// Every word that may stand for a part of a design: those of the language, and names of backbones.
pub(crate) fn nameable() -> impl Iterator<Item = &'static str> {
    let own = OWN.get().into_iter().flatten();
    all().iter().chain(own).map(String::as_str).chain(BACKBONES.iter().copied())
}

/// The numbers of bridge, decoder and recipe: JSON pointer, field, value.
pub(crate) fn numbers(blueprint: &Blueprint) -> Vec<(String, String, f64)> {
    let value = value(blueprint);
    let mut found = Vec::new();
    for section in SECTIONS {
        for (field, value) in value[section].as_object().into_iter().flatten() {
            if let Some(number) = value.as_f64() {
                found.push((format!("/{section}/{field}"), field.clone(), number));
            }
        }
    }
    for (field, number) in unwritten_numbers(&blueprint.recipe) {
        if value["recipe"].get(field).is_none() {
            found.push((format!("/recipe/{field}"), field.to_owned(), number));
        }
    }
    found
}

/// Numbers of a recipe that are not written where they have their default.
fn unwritten_numbers(recipe: &Recipe) -> [(&'static str, f64); 7] {
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

/// A part as it is written.
fn value(part: &impl Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
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
