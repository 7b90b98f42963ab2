//! The schema in the form that OpenAI's strict structured outputs take, and the way back.
//!
//! There every object is closed, every property is required (an optional one may be null instead), alternatives are
//! `anyOf` and never stand at the root, and `oneOf` and `const` are avoided. Limits of early 2026: 5,000 properties,
//! 10 levels of objects, 1,000 enum values, 120,000 characters of names and values. List bounds are allowed.

use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The strict form of a schema, of which the keywords that the language of designs and our questions have are kept: types,
/// menus, alternatives, properties, and items with their bounds. What occurs more than once stands under `$defs`.
pub fn strict(schema: &Value) -> Value {
    let whole = closed(schema);
    let mut counts = HashMap::new();
    count(&whole, &mut counts);
    let mut names: Vec<String> = Vec::new();
    let mut defs = Map::new();
    let mut root = hoist(&whole, &counts, &mut names, &mut defs);
    if !defs.is_empty() {
        root["$defs"] = Value::Object(defs);
    }
    root
}

/// Takes an answer under the strict form back under the schema itself: a null field is one that was left out.
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, inner)| !inner.is_null());
            Value::Object(kept.map(|(name, inner)| (name, without_nulls(inner))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// As [`without_nulls`] for the text of an answer, which stays as it is where it has none, or is no JSON.
pub(crate) fn text_without_nulls(text: &str) -> String {
    let Ok(answer) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    let bare = without_nulls(answer.clone());
    if bare == answer { text.to_owned() } else { bare.to_string() }
}

/// An enum of one JSON type.
fn menu(values: Vec<Value>) -> Value {
    let kind = match &values[..] {
        all if all.iter().all(Value::is_string) => "string",
        all if all.iter().all(|v| v.is_u64() || v.is_i64()) => "integer",
        all if all.iter().all(Value::is_number) => "number",
        all if all.iter().all(Value::is_boolean) => "boolean",
        _ => return json!({ "enum": values }),
    };
    json!({ "type": kind, "enum": values })
}

/// An optional field: null stands for leaving it out, and so for its default, which is no choice of its own then.
fn or_null(mut schema: Value, default: Option<&Value>) -> Value {
    if let Some(choices) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        choices.retain(|choice| Some(choice) != default);
    }
    match schema {
        Value::Object(mut map) if map.contains_key("anyOf") => {
            if let Some(options) = map.get_mut("anyOf").and_then(Value::as_array_mut) {
                options.push(json!({ "type": "null" }));
            }
            Value::Object(map)
        }
        other => json!({ "anyOf": [other, { "type": "null" }] }),
    }
}

/// Closes objects, requires every field, and rewrites `oneOf` and `const`.
fn closed(schema: &Value) -> Value {
    if let Some(value) = schema.get("const") {
        return menu(vec![value.clone()]);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return menu(values.clone());
    }
    if let Some(options) = ["oneOf", "anyOf"].iter().find_map(|key| schema.get(*key)?.as_array()) {
        let mut flat = Vec::new();
        for option in options.iter().map(closed) {
            match option.get("anyOf").and_then(Value::as_array) {
                Some(inner) => flat.extend(inner.clone()),
                None => flat.push(option),
            }
        }
        if flat.iter().all(|option| option.get("enum").is_some()) {
            let all = flat.iter().filter_map(|option| option["enum"].as_array()).flatten().cloned();
            return menu(all.collect());
        }
        return json!({ "anyOf": flat });
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            let needed = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            let mut properties = Map::new();
            for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let optional = !needed.iter().any(|n| n.as_str() == Some(name));
                let field = closed(inner);
                let field = if optional { or_null(field, inner.get("default")) } else { field };
                properties.insert(name.clone(), field);
            }
            let required: Vec<&String> = properties.keys().collect();
            json!({ "type": "object", "required": required, "additionalProperties": false, "properties": properties })
        }
        Some("array") => {
            let mut list = json!({ "type": "array", "items": schema.get("items").map_or(json!({}), closed) });
            for bound in ["minItems", "maxItems"] {
                if let Some(limit) = schema.get(bound) {
                    list[bound] = limit.clone();
                }
            }
            list
        }
        Some(other) => json!({ "type": other }),
        None => schema.clone(),
    }
}

/// Whether a part is large enough to be shared.
fn large(schema: &Value) -> bool {
    schema.get("anyOf").is_some() || schema.get("type").is_some_and(|kind| kind == "object")
}

fn parts(schema: &Value) -> Vec<&Value> {
    let list = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::values);
    list.chain(fields).chain(schema.get("items")).collect()
}

fn count(schema: &Value, counts: &mut HashMap<String, usize>) {
    if large(schema) {
        *counts.entry(schema.to_string()).or_default() += 1;
    }
    parts(schema).into_iter().for_each(|part| count(part, counts));
}

/// Replaces every large part that occurs more than once by a reference.
fn hoist(
    schema: &Value,
    counts: &HashMap<String, usize>,
    names: &mut Vec<String>,
    defs: &mut Map<String, Value>,
) -> Value {
    let text = if large(schema) { schema.to_string() } else { String::new() };
    let shared = counts.get(&text).is_some_and(|times| *times > 1);
    if shared && let Some(known) = names.iter().position(|name| *name == text) {
        return json!({ "$ref": format!("#/$defs/part{known}") });
    }
    let mut out = schema.clone();
    if let Some(options) = out.get_mut("anyOf").and_then(Value::as_array_mut) {
        options.iter_mut().for_each(|option| *option = hoist(option, counts, names, defs));
    }
    if let Some(fields) = out.get_mut("properties").and_then(Value::as_object_mut) {
        fields.values_mut().for_each(|field| *field = hoist(field, counts, names, defs));
    }
    if let Some(items) = out.get_mut("items") {
        *items = hoist(items, counts, names, defs);
    }
    if !shared {
        return out;
    }
    defs.insert(format!("part{}", names.len()), out);
    names.push(text);
    json!({ "$ref": format!("#/$defs/part{}", names.len() - 1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_blueprint::schema;

    #[derive(Default)]
    struct Seen {
        properties: usize,
        values: usize,
        letters: usize,
        deepest: usize,
    }

    /// Walks a strict schema by the rules; `level` counts objects, through references as well.
    fn walk(node: &Value, root: &Value, level: usize, seen: &mut Seen) {
        if let Some(name) = node.get("$ref").and_then(Value::as_str) {
            return walk(root.pointer(&name[1..]).expect("a reference leads somewhere"), root, level, seen);
        }
        let map = node.as_object().expect("a schema is an object");
        for key in map.keys() {
            let known = [
                "type",
                "properties",
                "required",
                "additionalProperties",
                "enum",
                "anyOf",
                "items",
                "minItems",
                "maxItems",
                "$defs",
            ];
            assert!(known.contains(&key.as_str()), "{key} is not for strict schemas");
        }
        let object = map.get("type").is_some_and(|kind| kind == "object");
        let level = level + usize::from(object);
        seen.deepest = seen.deepest.max(level);
        if object {
            let names: Vec<&String> = node["properties"].as_object().unwrap().keys().collect();
            assert_eq!(node["required"], json!(names));
            assert_eq!(node["additionalProperties"], json!(false));
            seen.properties += names.len();
            seen.letters += names.iter().map(|name| name.len()).sum::<usize>();
        }
        if let Some(values) = map.get("enum").and_then(Value::as_array) {
            assert!(map.contains_key("type"), "an enum without a type: {node}");
            seen.values += values.len();
            seen.letters += values.iter().map(|value| value.to_string().len()).sum::<usize>();
        }
        parts(node).into_iter().for_each(|part| walk(part, root, level, seen));
    }

    #[test]
    fn the_language_keeps_every_rule_of_strict_mode() {
        let schema = strict(schema::language());
        assert_eq!(schema["type"], "object");
        let mut seen = Seen::default();
        walk(&schema, &schema, 0, &mut seen);
        println!(
            "{} properties, {} enum values, {} letters, {} levels",
            seen.properties, seen.values, seen.letters, seen.deepest
        );
        assert!(seen.properties > 50 && seen.properties <= 5000);
        assert!(seen.values <= 1000, "{} enum values", seen.values);
        assert!(seen.letters <= 120_000 && seen.deepest <= 10);
    }

    #[test]
    fn optional_fields_may_be_null_and_come_back_as_absent() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"enum": [1, 2]}, "b": {"const": "x"}, "c": {"oneOf": [{"type": "object", "properties": {}}]},
            "d": {"enum": [1, 2], "default": 1}}});
        let strict = strict(&schema);
        assert_eq!(strict["required"], json!(["a", "b", "c", "d"]));
        let other_than_default = json!({"type": "integer", "enum": [2]});
        assert_eq!(strict["properties"]["d"], json!({"anyOf": [other_than_default, {"type": "null"}]}));
        assert_eq!(strict["properties"]["a"], json!({"type": "integer", "enum": [1, 2]}));
        for name in ["b", "c"] {
            let options = strict["properties"][name]["anyOf"].as_array().unwrap();
            assert_eq!(options.last(), Some(&json!({"type": "null"})));
        }
        let answer = json!({"a": 1, "b": null, "list": [{"c": null, "d": 2}]});
        assert_eq!(without_nulls(answer), json!({"a": 1, "list": [{"d": 2}]}));
        assert_eq!(text_without_nulls("{\"b\": null, \"a\": [0.5, null]}"), "{\"a\":[0.5,null]}");
        for untouched in ["{ \"a\": 1.0 }", "[null]", "{\"b\": null", ""] {
            assert_eq!(text_without_nulls(untouched), untouched);
        }
    }
}
