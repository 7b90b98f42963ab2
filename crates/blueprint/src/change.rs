//! Single changes of a design along the schema of the language, listed: what a delta proposal or a repair chooses from.

use crate::schema::{alternatives, choices, flatten, smallest};
use crate::vary::{Edit, Kind, list};
use serde_json::Value;

/// One choice of a design made otherwise. What comes of it is of the schema; whether its parts fit together is for the checker to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where, as a JSON pointer.
    at: String,
    /// What stands there afterwards; `None` for a field that is left out or a list item that is dropped.
    to: Option<Value>,
}

impl Change {
    /// Where, as a JSON pointer.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// Makes the change in the design that it was listed for.
    pub fn apply(&self, design: &mut Value) {
        let Some((parent, last)) = self.at.rsplit_once('/') else { return };
        match (design.pointer_mut(parent), &self.to) {
            (Some(Value::Object(fields)), Some(to)) => {
                fields.insert(last.to_owned(), to.clone());
            }
            (Some(Value::Object(fields)), None) => {
                fields.shift_remove(last);
            }
            (Some(Value::Array(items)), to) => {
                let Ok(i) = last.parse::<usize>() else { return };
                match to {
                    Some(to) if i < items.len() => items[i] = to.clone(),
                    Some(to) => items.push(to.clone()),
                    None if i < items.len() => drop(items.remove(i)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// As a person would say it: `decoder.hidden = 512`, `without encoder.blocks.2`.
impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.at.trim_start_matches('/').replace('/', ".");
        match &self.to {
            Some(Value::String(word)) => write!(f, "{place} = {word}"),
            Some(to) => write!(f, "{place} = {to}"),
            None => write!(f, "without {place}"),
        }
    }
}

/// All single changes of a value of the schema: every other entry of every menu, those of fields that may be left out too, and
/// whatever may be left out; at the end of lists, the smallest item of every kind. Of numbers the nearest first.
pub fn changes(value: &Value, schema: &Value) -> Vec<Change> {
    let mut edits = Vec::new();
    list(value, schema, String::new(), &mut edits);
    edits.iter().flat_map(|edit| of(edit, value)).collect()
}

fn of(edit: &Edit<'_>, whole: &Value) -> Vec<Change> {
    let there = || whole.pointer(&edit.at);
    let to = |at: String, to: Value| Change { at, to: Some(to) };
    match edit.kind {
        Kind::Choose => {
            let mut menu = choices(edit.rule).unwrap_or_default();
            menu.retain(|entry| Some(entry) != there());
            if let Some(number) = there().and_then(Value::as_f64) {
                // Menus grow by factors.
                let far =
                    |entry: &Value| ((entry.as_f64().unwrap_or(0.0) + 1e-9) / (number + 1e-9)).ln().abs();
                menu.sort_by(|a, b| far(a).total_cmp(&far(b)));
            }
            menu.into_iter().map(|entry| to(edit.at.clone(), entry)).collect()
        }
        Kind::Add(name) => {
            let menu = choices(&edit.rule["properties"][name]).unwrap_or_default();
            menu.into_iter().map(|entry| to(format!("{}/{name}", edit.at), entry)).collect()
        }
        Kind::Remove(name) => vec![Change { at: format!("{}/{name}", edit.at), to: None }],
        Kind::Drop => {
            let items = there().and_then(Value::as_array).map_or(0, Vec::len);
            (0..items).map(|i| Change { at: format!("{}/{i}", edit.at), to: None }).collect()
        }
        Kind::Insert => {
            let end = there().and_then(Value::as_array).map_or(0, Vec::len);
            let rule = &edit.rule["items"];
            let options = alternatives(rule).map_or_else(|| vec![rule], |options| flatten(options));
            options.into_iter().map(|item| to(format!("{}/{end}", edit.at), smallest(item))).collect()
        }
        Kind::Switch => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{language, sample, validate};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeSet;

    #[test]
    fn every_change_is_of_the_schema_and_says_what_it_is() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let design = sample(language(), &mut rng);
            let all = changes(&design, language());
            assert!(all.len() > 60, "{}", all.len());
            for change in &all {
                let mut changed = design.clone();
                change.apply(&mut changed);
                assert_ne!(changed, design, "{change}");
                let problems = validate(&changed, language());
                assert_eq!(problems, [], "{change} of {design}");
            }
            let said: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
            assert_eq!(said.len(), all.len());
        }
    }

    #[test]
    fn changes_are_said_as_a_person_would() {
        let design = serde_json::json!({"encoder": {"input": 96, "source": {"kind": "scratch", "stem": 8,
            "stages": [{"kind": "conv", "out": 8, "repeat": 1}]}, "blocks": [{"op": "se", "reduction": 4}]},
            "bridge": {"dim": 64, "dropout_pct": 0}, "decoder": {"family": "top_down", "embed": 64, "hidden": 64,
            "dropout_pct": 0, "embeddings": "tied"}, "recipe": {"lr": 0.001, "schedule": "cosine", "weight_decay": 0.0,
            "label_smoothing": 0.0, "clip": 5.0, "batch": 8}});
        let said: Vec<String> = changes(&design, language()).iter().map(ToString::to_string).collect();
        for wanted in [
            "encoder.input = 64",
            "without encoder.blocks.0",
            "without decoder.embeddings",
            "decoder.embeddings = separate",
            "recipe.schedule = linear",
            "recipe.ema = 0.99",
            "recipe.lr = 0.0005",
        ] {
            assert!(said.iter().any(|s| s == wanted), "{wanted}: {said:?}");
        }
        let at = |wanted: &str| said.iter().position(|s| s == wanted);
        assert!(at("decoder.hidden = 96") < at("decoder.hidden = 768"));
    }
}
