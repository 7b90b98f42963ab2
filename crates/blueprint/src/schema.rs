//! The language as a JSON schema, and what is done with it: validation, narrowing to what a contract allows, and
//! uniform sampling.
//!
//! One schema (derived from the types) serves the grammar of language models, the random architect and the reader of
//! hand-written designs. Only the keywords that our types produce are understood: `type`, `properties`, `required`,
//! `enum`, `const`, `oneOf`, `anyOf`, `items`, `minItems`, `maxItems`, `$ref`.

use crate::diagnostic::{Code, Diagnostic};
use crate::fits::Rule;
use crate::fix::{self, Fix};
use crate::language::Blueprint;
use rand::Rng;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// The schema of the whole language. Backbone names are free text here; [`Narrowing`] makes them a menu.
pub fn language() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| inline(schemars::schema_for!(Blueprint).to_value()))
}

/// Replaces every `$ref` by what it names and drops prose: grammars and validators need neither.
fn inline(root: Value) -> Value {
    let defs = root.get("$defs").cloned().unwrap_or_default();
    resolve(&root, &defs)
}

fn resolve(node: &Value, defs: &Value) -> Value {
    match node {
        Value::Object(map) => {
            if let Some(Value::String(name)) = map.get("$ref") {
                let key = name.trim_start_matches("#/$defs/");
                return resolve(&defs[key], defs);
            }
            let kept = map.iter().filter(|(key, _)| {
                !matches!(key.as_str(), "$defs" | "$schema" | "title" | "description" | "format")
            });
            // Inside `properties` the keys are field names, which may be any of the words above; ours are none of them.
            Value::Object(kept.map(|(key, value)| (key.clone(), resolve(value, defs))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| resolve(item, defs)).collect()),
        other => other.clone(),
    }
}

/// The alternatives of a `oneOf` or `anyOf`.
pub fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array)
}

/// The choices of an `enum`, a `const`, or a list of constants.
pub fn choices(schema: &Value) -> Option<Vec<Value>> {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Some(values.clone());
    }
    if let Some(value) = schema.get("const") {
        return Some(vec![value.clone()]);
    }
    let lists: Option<Vec<Vec<Value>>> = alternatives(schema)?.iter().map(choices).collect();
    lists.map(|lists| lists.concat())
}

pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Checks a value against a schema and lists every problem.
pub fn validate(value: &Value, schema: &Value) -> Vec<Diagnostic> {
    if std::ptr::eq(schema, language()) && language_rule().fits(value) {
        return Vec::new();
    }
    walk_all(value, schema)
}

/// The rule of the whole language.
pub(crate) fn language_rule() -> &'static Rule {
    static RULE: OnceLock<Rule> = OnceLock::new();
    RULE.get_or_init(|| Rule::new(language()))
}

/// As [`validate`], without the quick way.
pub(crate) fn walk_all(value: &Value, schema: &Value) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    walk(value, schema, "", &mut problems);
    problems
}

fn walk(value: &Value, schema: &Value, at: &str, problems: &mut Vec<Diagnostic>) {
    if let Some(menu) = choices(schema) {
        return walk_menu(value, &menu, at, problems);
    }
    if let Some(options) = alternatives(schema) {
        return walk_tagged(value, options, at, problems);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => walk_object(value, schema, at, problems),
        Some("array") => walk_array(value, schema, at, problems),
        Some("string") if value.is_string() => {}
        Some("string") => wrong_type(value, "a string", at, problems),
        other => {
            let message = format!("no rule for {}", other.unwrap_or("this value"));
            problems.push(Diagnostic::new(Code::WrongType, at, message, "leave it out"));
        }
    }
}

fn listed(menu: &[Value]) -> String {
    menu.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}

fn walk_menu(value: &Value, menu: &[Value], at: &str, problems: &mut Vec<Diagnostic>) {
    let replace = |value: &Value| Some(Fix::replace(at, value.clone()));
    let numeric = menu.iter().all(Value::is_number);
    if let Some(choice) = menu.iter().find(|choice| same(choice, value)) {
        if choice.is_u64() && !value.is_u64() {
            let message = format!("{value} is written with a fraction");
            let hint = format!("write {choice}");
            problems.push(Diagnostic::new(Code::WrongType, at, message, hint).mended_by(replace(choice)));
        }
        return;
    }
    let one_of = format!("choose one of: {}", listed(menu));
    if numeric && !value.is_number() {
        let quoted = value.as_str().and_then(|text| text.trim().parse::<f64>().ok());
        let meant = quoted.and_then(|n| menu.iter().find(|choice| choice.as_f64() == Some(n)));
        let meant =
            meant.cloned().or_else(|| quoted.and_then(serde_json::Number::from_f64).map(Value::Number));
        let message = format!("expected a number and found {}", brief(value));
        let hint = if meant.is_some() { format!("write it without quotes; {one_of}") } else { one_of };
        let fix = meant.as_ref().and_then(replace);
        problems.push(Diagnostic::new(Code::WrongType, at, message, hint).mended_by(fix));
        return;
    }
    let message = format!("{} is not on the menu", brief(value));
    let (hint, fix) = match (numeric, value.as_f64(), value.as_str()) {
        (true, Some(number), _) => {
            let (below, above) = fix::around(number, menu);
            let beside: Vec<&Value> = [below, above].into_iter().flatten().collect();
            (format!("use {}; {one_of}", fix::or_list(&beside)), fix::nearest(number, menu).and_then(replace))
        }
        (false, _, Some(word)) => named(word, menu, at, &one_of),
        _ => (one_of, None),
    };
    problems.push(Diagnostic::new(Code::NotOnMenu, at, message, hint).mended_by(fix));
}

/// The hint for a word that is not on the menu, and its fix where it is plain what was meant.
fn named(word: &str, menu: &[Value], at: &str, one_of: &str) -> (String, Option<Fix>) {
    match fix::alike(word, menu.iter().filter_map(Value::as_str)) {
        Some(found) => {
            let fix = found.sure.then(|| Fix::replace(at, found.name.into()));
            (format!("did you mean \"{}\"? {one_of}", found.name), fix)
        }
        None => (one_of.to_string(), None),
    }
}

fn wrong_type(value: &Value, wanted: &str, at: &str, problems: &mut Vec<Diagnostic>) {
    let message = format!("expected {wanted} and found {}", brief(value));
    problems.push(Diagnostic::new(Code::WrongType, at, message, format!("write {wanted} here")));
}

/// A value as it fits in a message.
pub(crate) fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The field that tells alternatives apart, and its value in one of them.
pub(crate) fn tag_of(option: &Value) -> Option<(&str, Vec<Value>)> {
    let properties = option.get("properties")?.as_object()?;
    ["op", "family", "kind"].iter().find_map(|tag| Some((*tag, choices(properties.get(*tag)?)?)))
}

/// Flattens alternatives within alternatives.
pub(crate) fn flatten(options: &[Value]) -> Vec<&Value> {
    let open = |option| alternatives(option).map_or_else(|| vec![option], |inner| flatten(inner));
    options.iter().flat_map(open).collect()
}

fn walk_tagged(value: &Value, options: &[Value], at: &str, problems: &mut Vec<Diagnostic>) {
    let Some(object) = value.as_object() else { return wrong_type(value, "an object", at, problems) };
    let options = flatten(options);
    let tagged: Vec<(&str, Vec<Value>, &Value)> =
        options.into_iter().filter_map(|o| tag_of(o).map(|(tag, values)| (tag, values, o))).collect();
    let Some((tag, ..)) = tagged.first() else { return };
    let menu = || tagged.iter().flat_map(|(_, values, _)| values.clone()).collect::<Vec<_>>();
    match object.get(*tag) {
        None => {
            let message = format!("field \"{tag}\" is missing");
            problems.push(Diagnostic::new(
                Code::MissingField,
                at,
                message,
                format!("one of: {}", listed(&menu())),
            ));
        }
        Some(found) => match tagged.iter().find(|(_, values, _)| values.contains(found)) {
            Some((_, _, option)) => walk_object(value, option, at, problems),
            None => walk_menu(found, &menu(), &format!("{at}/{tag}"), problems),
        },
    }
}

/// The fields of an object and their rules.
pub(crate) fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Whether a field must be written.
pub fn is_needed(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_none_or(|names| names.iter().any(|n| n.as_str() == Some(name)))
}

fn walk_object(value: &Value, schema: &Value, at: &str, problems: &mut Vec<Diagnostic>) {
    let Some(object) = value.as_object() else { return wrong_type(value, "an object", at, problems) };
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    for (name, inner) in properties {
        match object.get(name) {
            Some(found) => walk(found, inner, &format!("{at}/{name}"), problems),
            None if is_needed(schema, name) => {
                let message = format!("field \"{name}\" is missing");
                let hint = choices(inner)
                    .map_or("the field is required".to_string(), |menu| format!("one of: {}", listed(&menu)));
                problems.push(Diagnostic::new(Code::MissingField, at, message, hint));
            }
            None => {}
        }
    }
    for name in object.keys().filter(|name| !properties.contains_key(*name)) {
        problems.push(fix::unknown_field(at, name, object, schema));
    }
}

pub(crate) fn bound(schema: &Value, key: &str, otherwise: usize) -> usize {
    schema.get(key).and_then(Value::as_u64).map_or(otherwise, |n| n as usize)
}

fn walk_array(value: &Value, schema: &Value, at: &str, problems: &mut Vec<Diagnostic>) {
    let Some(items) = value.as_array() else { return wrong_type(value, "a list", at, problems) };
    let (least, most) = (bound(schema, "minItems", 0), bound(schema, "maxItems", usize::MAX));
    if items.len() < least || items.len() > most {
        let message = format!("the list has {} items", items.len());
        problems.push(Diagnostic::new(Code::ListLength, at, message, format!("{least} to {most} items")));
    }
    let inner = schema.get("items").cloned().unwrap_or_default();
    for (i, item) in items.iter().enumerate().take(most) {
        walk(item, &inner, &format!("{at}/{i}"), problems);
    }
}

/// What a contract leaves of the language.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Narrowing {
    /// Backbones on the menu; none removes pretrained encoders.
    pub backbones: Vec<String>,
    /// Whether encoders may be trained from scratch.
    pub scratch: bool,
    /// Image sizes on the menu; empty leaves all.
    pub sizes: Vec<u32>,
    /// Whether LSTM decoders are allowed, top-down ones too.
    pub lstm: bool,
    /// Whether GRU decoders are allowed.
    pub gru: bool,
    /// Whether Transformer decoders are allowed.
    pub transformer: bool,
    /// Whether convolutional decoders are allowed.
    pub convolution: bool,
}

impl Narrowing {
    /// The schema of the language with menus that hold only what is allowed.
    pub fn schema(&self) -> Value {
        let mut schema = language().clone();
        let encoder = &mut schema["properties"]["encoder"]["properties"];
        if !self.sizes.is_empty() {
            encoder["input"] = json!({ "enum": self.sizes });
        }
        keep(&mut encoder["source"], "kind", |kind| match kind {
            "pretrained" => !self.backbones.is_empty(),
            _ => self.scratch,
        });
        for option in encoder["source"]["oneOf"].as_array_mut().into_iter().flatten() {
            let Some(fields) = option["properties"].as_object_mut() else { continue };
            if let Some(name) = fields.get_mut("backbone") {
                *name = json!({ "enum": self.backbones });
            }
            // A backbone beside another needs another.
            if self.backbones.len() < 2 {
                fields.remove("beside");
            } else if let Some(beside) = fields.get_mut("beside") {
                beside["properties"]["backbone"] = json!({ "enum": self.backbones });
            }
        }
        let decoder = &mut schema["properties"]["decoder"];
        keep(decoder, "family", |family| match family {
            "transformer" => self.transformer,
            "convolution" => self.convolution,
            // Two LSTMs.
            "top_down" => self.lstm,
            _ => self.lstm || self.gru,
        });
        for option in decoder["oneOf"].as_array_mut().into_iter().flatten() {
            if option["properties"].get("cell").is_some() {
                let cells = [("lstm", self.lstm), ("gru", self.gru)];
                let names: Vec<&str> = cells.iter().filter(|c| c.1).map(|c| c.0).collect();
                option["properties"]["cell"] = json!({ "enum": names });
            }
        }
        schema
    }
}

/// Keeps the alternatives whose tag passes.
fn keep(schema: &mut Value, tag: &str, pass: impl Fn(&str) -> bool) {
    if let Some(options) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        options.retain(|option| {
            option["properties"]
                .get(tag)
                .and_then(choices)
                .is_none_or(|values| values.first().and_then(Value::as_str).is_none_or(&pass))
        });
    }
}

/// The value with the smallest numbers, the first words and alternatives, and the shortest lists; no field that may be left out.
pub fn smallest(schema: &Value) -> Value {
    if let Some(menu) = choices(schema) {
        let number = |v: &&Value| v.as_f64().unwrap_or(0.0);
        return menu.iter().min_by(|a, b| number(a).total_cmp(&number(b))).cloned().unwrap_or_default();
    }
    if let Some(options) = alternatives(schema) {
        return options.first().map(smallest).unwrap_or_default();
    }
    if let Some(inner) = schema.get("items") {
        return Value::Array(vec![smallest(inner); bound(schema, "minItems", 0)]);
    }
    let needed = fields(schema).filter(|(name, _)| is_needed(schema, name));
    Value::Object(needed.map(|(name, inner)| (name.clone(), smallest(inner))).collect())
}

/// How often a field that may be left out is drawn. There are many of them, most designs are best without most of them,
/// and a search of few trials must not spend them all on unusual recipes.
const OPTIONAL: f64 = 0.1;

/// A value drawn uniformly at each choice of the schema: list lengths, alternatives, menu entries. Fields that may be left
/// out mostly are.
pub fn sample(schema: &Value, rng: &mut impl Rng) -> Value {
    if let Some(menu) = choices(schema) {
        return menu.get(rng.random_range(0..menu.len().max(1))).cloned().unwrap_or_default();
    }
    if let Some(options) = alternatives(schema) {
        let options = flatten(options);
        return sample(options[rng.random_range(0..options.len())], rng);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            let mut object = Map::new();
            for (name, inner) in fields(schema) {
                if is_needed(schema, name) || rng.random_bool(OPTIONAL) {
                    object.insert(name.clone(), sample(inner, rng));
                }
            }
            Value::Object(object)
        }
        Some("array") => {
            let least = bound(schema, "minItems", 0);
            let length = rng.random_range(least..=bound(schema, "maxItems", least).max(least));
            let inner = schema.get("items").cloned().unwrap_or_default();
            Value::Array((0..length).map(|_| sample(&inner, rng)).collect())
        }
        _ => Value::String(String::new()),
    }
}
