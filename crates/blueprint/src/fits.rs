//! Whether a value is a blueprint at all, without saying why not: the quick way for the many that are.
//!
//! [`crate::schema::validate`] finds and words every problem; this says only whether there would be one.

use crate::schema::{alternatives, bound, choices, flatten, same, tag_of};
use serde_json::Value;

/// A schema ready to be asked often.
#[derive(Debug)]
pub(crate) enum Rule {
    /// One of these values.
    Menu(Vec<Value>),
    /// An object whose field `tag` says which rule is its own.
    Tagged { tag: String, options: Vec<(Vec<Value>, Rule)> },
    /// These fields and no other; a field with `true` must be there.
    Object(Vec<(String, bool, Rule)>),
    /// A list of so many.
    Array { least: usize, most: usize, item: Box<Rule> },
    /// Any text.
    Text,
    /// Nothing.
    Never,
}

impl Rule {
    pub(crate) fn new(schema: &Value) -> Self {
        if let Some(menu) = choices(schema) {
            return Self::Menu(menu);
        }
        if let Some(options) = alternatives(schema) {
            let tagged = |option| tag_of(option).map(|(tag, values)| (tag, values, Self::object(option)));
            let all: Vec<_> = flatten(options).into_iter().filter_map(tagged).collect();
            let tag = all.first().map(|(tag, ..)| tag.to_string()).unwrap_or_default();
            return Self::Tagged { tag, options: all.into_iter().map(|(_, v, rule)| (v, rule)).collect() };
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => Self::object(schema),
            Some("array") => Self::Array {
                least: bound(schema, "minItems", 0),
                most: bound(schema, "maxItems", usize::MAX),
                item: Box::new(schema.get("items").map_or(Self::Never, Self::new)),
            },
            Some("string") => Self::Text,
            _ => Self::Never,
        }
    }

    fn object(schema: &Value) -> Self {
        let required = schema.get("required").and_then(Value::as_array);
        let needed = |name: &str| required.is_none_or(|names| names.iter().any(|n| n.as_str() == Some(name)));
        let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        Self::Object(fields.map(|(name, inner)| (name.clone(), needed(name), Self::new(inner))).collect())
    }

    /// Whether validation would find nothing.
    pub(crate) fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Menu(menu) => menu
                .iter()
                .find(|choice| same(choice, value))
                .is_some_and(|choice| value.is_u64() || !choice.is_u64()),
            Self::Tagged { tag, options } => value
                .get(tag)
                .and_then(|found| options.iter().find(|(values, _)| values.contains(found)))
                .is_some_and(|(_, rule)| rule.fits(value)),
            Self::Object(fields) => value.as_object().is_some_and(|object| {
                let mut known = 0;
                let sound = fields.iter().all(|(name, needed, rule)| match object.get(name) {
                    Some(found) => {
                        known += 1;
                        rule.fits(found)
                    }
                    None => !needed,
                });
                sound && known == object.len()
            }),
            Self::Array { least, most, item } => value
                .as_array()
                .is_some_and(|all| (*least..=*most).contains(&all.len()) && all.iter().all(|v| item.fits(v))),
            Self::Text => value.is_string(),
            Self::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::{language, language_rule, sample, walk_all};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    /// Changes, drops or adds one thing somewhere in a value.
    fn damage(value: &mut Value, rng: &mut ChaCha8Rng) {
        let odd =
            [json!(3), json!(3.0), json!("relu"), json!(null), json!([]), json!({"op": "se"}), json!(64.0)];
        let pick = odd[rng.random_range(0..odd.len())].clone();
        match value {
            Value::Object(map) if !map.is_empty() && rng.random_bool(0.85) => {
                let key = map.keys().nth(rng.random_range(0..map.len())).cloned().unwrap();
                match rng.random_range(0..8) {
                    0 => drop(map.remove(&key)),
                    1 => drop(map.insert("extra".into(), pick)),
                    _ => damage(map.get_mut(&key).unwrap(), rng),
                }
            }
            Value::Array(all) if !all.is_empty() && rng.random_bool(0.85) => {
                let i = rng.random_range(0..all.len());
                match rng.random_range(0..6) {
                    0 => drop(all.remove(i)),
                    1 => all.push(all[i].clone()),
                    _ => damage(&mut all[i], rng),
                }
            }
            other => *other = pick,
        }
    }

    #[test]
    fn the_quick_way_and_the_wordy_way_agree() {
        let (mut rng, mut sound) = (ChaCha8Rng::seed_from_u64(3), 0);
        for i in 0..6000 {
            let mut value = sample(language(), &mut rng);
            for _ in 0..i % 3 {
                damage(&mut value, &mut rng);
            }
            let fits = language_rule().fits(&value);
            assert_eq!(fits, walk_all(&value, language()).is_empty(), "{value}");
            sound += usize::from(fits);
        }
        assert!((2000..5000).contains(&sound), "{sound} of 6000 are sound");
    }
}
