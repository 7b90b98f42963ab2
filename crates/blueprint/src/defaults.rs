//! What a design says by leaving fields out.

use crate::schema::{alternatives, choices, fields, flatten, is_needed, tag_of};
use serde_json::Value;

/// The word of no part: a field that has it where it is left out adds nothing.
const NOTHING: &str = "none";

/// A word that a part of a design has because a field is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Where the field would stand, as a JSON pointer within the part.
    pub at: String,
    /// The word that it has.
    pub word: String,
    /// What may be written there instead.
    pub others: Vec<String>,
}

/// The words that fields of a part have where they are left out, by the part's rule; none of those that mean nothing at all.
pub fn left_out(part: &Value, rule: &Value) -> Vec<LeftOut> {
    let mut found = Vec::new();
    walk(part, rule, "", &mut found);
    found
}

fn walk(part: &Value, rule: &Value, at: &str, found: &mut Vec<LeftOut>) {
    match part {
        Value::Object(object) => {
            let Some(rule) = own_rule(part, rule) else { return };
            for (name, inner) in fields(rule) {
                match object.get(name) {
                    Some(value @ (Value::Object(_) | Value::Array(_))) => {
                        walk(value, inner, &format!("{at}/{name}"), found);
                    }
                    None if !is_needed(rule, name) => found.extend(unsaid(inner, format!("{at}/{name}"))),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                walk(item, &rule["items"], &format!("{at}/{i}"), found);
            }
        }
        _ => {}
    }
}

/// The rule of an object: of alternatives the one whose tag it has.
fn own_rule<'a>(part: &Value, rule: &'a Value) -> Option<&'a Value> {
    let Some(options) = alternatives(rule) else { return Some(rule) };
    flatten(options).into_iter().find(|option| {
        tag_of(option).is_some_and(|(tag, values)| part.get(tag).is_some_and(|found| values.contains(found)))
    })
}

/// What a field says where it is left out: the first word of its menu is its default.
fn unsaid(rule: &Value, at: String) -> Option<LeftOut> {
    let mut words = choices(rule)?.into_iter().filter_map(|word| word.as_str().map(str::to_owned));
    let word = words.next().filter(|word| word != NOTHING)?;
    Some(LeftOut { at, word, others: words.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::language;
    use serde_json::json;

    #[test]
    fn words_that_nobody_wrote_are_found_with_their_places() {
        let design = json!({
            "encoder": {"input": 64, "source": {"kind": "pretrained", "backbone": "any", "cut": "s16"},
                "blocks": [{"op": "residual", "body": [{"op": "conv", "out": 8, "kernel": 3, "stride": 1, "act": "relu"}]},
                    {"op": "depthwise", "kernel": 3, "stride": 1, "norm": "group", "act": "relu"}]},
            "bridge": {"dim": 64, "dropout_pct": 0, "scales": "global"},
            "decoder": {"family": "transformer", "memory": "grid", "dim": 64, "layers": 1, "heads": 1, "ff": 1,
                "dropout_pct": 0, "positions": "rotary"},
            "recipe": {"lr": 0.001, "schedule": "cosine", "weight_decay": 0.0, "label_smoothing": 0.0, "clip": 1.0,
                "batch": 16},
        });
        let found = left_out(&design, language());
        let mut said: Vec<(&str, &str)> = found.iter().map(|l| (l.at.as_str(), l.word.as_str())).collect();
        said.sort_unstable();
        // Neither places nor augmentation: nothing is what those are by default.
        assert_eq!(
            said,
            [
                ("/decoder/embeddings", "separate"),
                ("/decoder/ff_kind", "gelu"),
                ("/decoder/layer_weights", "separate"),
                ("/decoder/norm", "pre"),
                ("/encoder/blocks/0/body/0/norm", "batch"),
                ("/encoder/source/tune", "frozen"),
                ("/recipe/optimizer", "adamw"),
            ]
        );
        let norm = found.iter().find(|left| left.word == "batch").expect("found");
        assert_eq!(norm.others, ["layer", "group"]);
    }
}
