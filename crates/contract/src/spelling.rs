//! Every choice of words that a rule of the language leaves.

use capwright_blueprint::schema::{alternatives, choices, is_needed};
use serde_json::{Map, Value};

/// What a numeric field is given, by its name and its menu; `None` where nothing on the menu suits.
pub(crate) type Number<'a> = &'a dyn Fn(&str, &[Value]) -> Option<Value>;

/// Every value of a rule: each choice of words and of alternatives, one number in each numeric field, lists as short as can
/// be. Of fields that may be left out only words are written.
pub(crate) fn spellings(field: &str, rule: &Value, number: Number<'_>) -> Vec<Value> {
    if let Some(menu) = choices(rule) {
        let numeric = menu.iter().all(Value::is_number);
        return if numeric { number(field, &menu).into_iter().collect() } else { menu };
    }
    if let Some(options) = alternatives(rule) {
        return options.iter().flat_map(|option| spellings(field, option, number)).collect();
    }
    if let Some(item) = rule.get("items") {
        let least = rule["minItems"].as_u64().unwrap_or(0) as usize;
        let items = spellings(field, item, number).into_iter();
        return items.map(|item| Value::Array(vec![item; least])).collect();
    }
    let mut all = vec![Map::new()];
    for (name, inner) in rule["properties"].as_object().into_iter().flatten() {
        let ways = ways(rule, name, inner, number);
        all = all
            .iter()
            .flat_map(|so_far| ways.iter().map(move |way| with(so_far, name, way.as_ref())))
            .collect();
    }
    all.into_iter().map(Value::Object).collect()
}

/// What a field of an object is tried with; `None` leaves it out.
fn ways(rule: &Value, name: &str, inner: &Value, number: Number<'_>) -> Vec<Option<Value>> {
    if is_needed(rule, name) {
        return spellings(name, inner, number).into_iter().map(Some).collect();
    }
    // The first word of a menu is the default: to write it is to leave the field out.
    let words = choices(inner).unwrap_or_default().into_iter().skip(1).filter(Value::is_string);
    std::iter::once(None).chain(words.map(Some)).collect()
}

fn with(so_far: &Map<String, Value>, name: &str, value: Option<&Value>) -> Map<String, Value> {
    let mut next = so_far.clone();
    next.extend(value.map(|v| (name.to_owned(), v.clone())));
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_blueprint::language::{Block, Bridge, Decoder, Recipe, Source};
    use capwright_blueprint::schema::{language, smallest};
    use serde::de::DeserializeOwned;

    fn first(_: &str, menu: &[Value]) -> Option<Value> {
        menu.first().cloned()
    }

    /// Every object among a rule's alternatives.
    fn objects(rule: &Value) -> Vec<&Value> {
        alternatives(rule).map_or_else(|| vec![rule], |options| options.iter().flat_map(objects).collect())
    }

    /// Gives the number of fields that were looked at.
    fn first_words_are_defaults<T: DeserializeOwned + PartialEq + std::fmt::Debug>(rule: &Value) -> usize {
        let mut seen = 0;
        for object in objects(rule) {
            let plain = smallest(object);
            let read = |value: &Value| serde_json::from_value::<T>(value.clone()).expect("of the language");
            for (name, inner) in object["properties"].as_object().into_iter().flatten() {
                let words = choices(inner).unwrap_or_default();
                if is_needed(object, name) || !words.iter().any(Value::is_string) {
                    continue;
                }
                let mut written = plain.clone();
                written[name] = words[0].clone();
                assert_eq!(read(&written), read(&plain), "{name}");
                seen += 1;
            }
        }
        seen
    }

    /// A rule of sources in which backbones have a name.
    fn named(sources: &Value) -> Value {
        let mut named = sources.clone();
        for source in named["oneOf"].as_array_mut().into_iter().flatten() {
            if let Some(backbone) = source["properties"].get_mut("backbone") {
                *backbone = serde_json::json!({ "enum": ["any"] });
            }
        }
        named
    }

    #[test]
    fn the_first_word_of_what_may_be_left_out_is_its_default() {
        let sections = &language()["properties"];
        assert!(first_words_are_defaults::<Bridge>(&sections["bridge"]) >= 2);
        assert!(first_words_are_defaults::<Decoder>(&sections["decoder"]) >= 10);
        assert!(first_words_are_defaults::<Recipe>(&sections["recipe"]) >= 2);
        let encoder = &sections["encoder"]["properties"];
        assert!(first_words_are_defaults::<Source>(&named(&encoder["source"])) >= 1);
        let block = &encoder["blocks"]["items"];
        assert!(first_words_are_defaults::<Block>(block) >= 3);
    }

    #[test]
    fn every_choice_of_words_is_spelled_once() {
        let recipes = spellings("recipe", &language()["properties"]["recipe"], &first);
        assert_eq!(recipes.len(), 3 * 4 * 3, "schedules, optimizers, augmentations");
        for (i, recipe) in recipes.iter().enumerate() {
            assert!(!recipes[..i].contains(recipe), "{recipe}");
            assert!(serde_json::from_value::<Recipe>(recipe.clone()).is_ok(), "{recipe}");
        }
        let none = spellings("recipe", &language()["properties"]["recipe"], &|_: &str, _: &[Value]| None);
        assert!(none.is_empty(), "no number suits");
    }
}
