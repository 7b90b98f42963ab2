//! Variation of designs along the schema of the language: one choice made anew, or parts of two designs put together. What
//! comes out is always of the schema; whether its parts fit together is for the checker to say.

use crate::schema::{
    alternatives, bound, choices, fields, flatten, is_needed, same, sample, tag_of, validate,
};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value};

/// One way in which a design can become another.
pub(crate) struct Edit<'a> {
    /// Where, as a JSON pointer.
    pub at: String,
    /// The rule of what is there.
    pub rule: &'a Value,
    pub kind: Kind<'a>,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// Another entry of a menu.
    Choose,
    /// Another alternative; fields that both have stay.
    Switch,
    /// A field that may be left out, written.
    Add(&'a str),
    /// A field that may be left out, left out.
    Remove(&'a str),
    /// An item more.
    Insert,
    /// An item less.
    Drop,
}

/// How much more often an edit is drawn that changes what is there than one that writes another field: there are many
/// fields that may be left out, and most designs are best without most of them.
const PRESENT: f64 = 4.0;

/// How often a number goes to a neighbour on its menu rather than anywhere on it.
const NEIGHBOUR: f64 = 0.8;

/// A value of the schema that differs from `value` in one choice: a part of the top level is drawn first, then a choice within
/// it, then what becomes of it. `None` where the schema leaves no choice at all. `value` must be of the schema.
pub fn mutate(value: &Value, schema: &Value, rng: &mut impl Rng) -> Option<Value> {
    let parts: Vec<Vec<Edit>> = fields(schema)
        .filter_map(|(name, rule)| {
            let mut edits = Vec::new();
            list(value.get(name)?, rule, format!("/{name}"), &mut edits);
            (!edits.is_empty()).then_some(edits)
        })
        .collect();
    let weight = |edit: &&Edit| if matches!(edit.kind, Kind::Add(_)) { 1.0 } else { PRESENT };
    let part: Vec<&Edit> = parts.choose(rng)?.iter().collect();
    let edit = part.choose_weighted(rng, weight).ok()?;
    let mut varied = value.clone();
    edit.apply(varied.pointer_mut(&edit.at)?, rng);
    Some(varied)
}

/// A value of the schema whose top-level parts come from two others, some from each; one of them where they have no part
/// that differs. Both must be of the schema.
pub fn cross(a: &Value, b: &Value, schema: &Value, rng: &mut impl Rng) -> Value {
    let differs = |name: &&String| a.get(name) != b.get(name);
    let names: Vec<&String> = fields(schema).map(|(name, _)| name).filter(differs).collect();
    let mut crossed = a.clone();
    let Some(kept) = names.choose(rng) else { return crossed };
    for name in &names {
        if name != kept && rng.random_bool(0.5) {
            crossed[name.as_str()] = b[name.as_str()].clone();
        }
    }
    crossed
}

/// The alternative that an object is.
fn option_of<'a>(value: &Value, options: &'a [Value]) -> Option<&'a Value> {
    flatten(options).into_iter().find(|option| match tag_of(option) {
        Some((tag, values)) => value.get(tag).is_some_and(|found| values.contains(found)),
        None => false,
    })
}

/// Lists the edits of a value and of all that is in it.
pub(crate) fn list<'a>(value: &Value, rule: &'a Value, at: String, edits: &mut Vec<Edit<'a>>) {
    if let Some(menu) = choices(rule) {
        if menu.len() > 1 {
            edits.push(Edit { at, rule, kind: Kind::Choose });
        }
        return;
    }
    if let Some(options) = alternatives(rule) {
        if flatten(options).len() > 1 {
            edits.push(Edit { at: at.clone(), rule, kind: Kind::Switch });
        }
        if let Some(option) = option_of(value, options) {
            list(value, option, at, edits);
        }
        return;
    }
    if let Some(items) = value.as_array() {
        return list_items(items, rule, at, edits);
    }
    for (name, inner) in fields(rule) {
        let optional = !is_needed(rule, name);
        match value.get(name) {
            Some(found) => {
                if optional {
                    edits.push(Edit { at: at.clone(), rule, kind: Kind::Remove(name) });
                }
                list(found, inner, format!("{at}/{name}"), edits);
            }
            None if optional => edits.push(Edit { at: at.clone(), rule, kind: Kind::Add(name) }),
            None => {}
        }
    }
}

fn list_items<'a>(items: &[Value], rule: &'a Value, at: String, edits: &mut Vec<Edit<'a>>) {
    if let Some(inner) = rule.get("items") {
        for (i, item) in items.iter().enumerate() {
            list(item, inner, format!("{at}/{i}"), edits);
        }
    }
    let (least, most) = (bound(rule, "minItems", 0), bound(rule, "maxItems", usize::MAX));
    if items.len() > least {
        edits.push(Edit { at: at.clone(), rule, kind: Kind::Drop });
    }
    if items.len() < most {
        edits.push(Edit { at, rule, kind: Kind::Insert });
    }
}

impl Edit<'_> {
    fn apply(&self, place: &mut Value, rng: &mut impl Rng) {
        match self.kind {
            Kind::Choose => *place = another(place, &choices(self.rule).unwrap_or_default(), rng),
            Kind::Switch => switch(place, alternatives(self.rule).map_or(&[], |all| all), rng),
            Kind::Add(name) => place[name] = sample(&self.rule["properties"][name], rng),
            Kind::Remove(name) => {
                if let Some(object) = place.as_object_mut() {
                    object.remove(name);
                }
            }
            Kind::Insert => {
                let item = sample(&self.rule["items"], rng);
                if let Some(items) = place.as_array_mut() {
                    items.insert(rng.random_range(0..=items.len()), item);
                }
            }
            Kind::Drop => {
                if let Some(items) = place.as_array_mut() {
                    items.remove(rng.random_range(0..items.len()));
                }
            }
        }
    }
}

/// Another entry of a menu; of a menu of numbers mostly the next larger or smaller one.
fn another(value: &Value, menu: &[Value], rng: &mut impl Rng) -> Value {
    let mut menu = menu.to_vec();
    if menu.iter().all(Value::is_number) {
        menu.sort_by(|a, b| a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()));
        if let Some(at) = menu.iter().position(|entry| same(entry, value))
            && rng.random_bool(NEIGHBOUR)
        {
            menu = menu[at.saturating_sub(1)..(at + 2).min(menu.len())].to_vec();
        }
    }
    menu.retain(|entry| !same(entry, value));
    menu.choose(rng).cloned().unwrap_or_else(|| value.clone())
}

/// Makes an object another alternative. Fields of the same name keep their value where it is on the new menu.
fn switch(value: &mut Value, options: &[Value], rng: &mut impl Rng) {
    let own = option_of(value, options);
    let all = flatten(options);
    let others: Vec<&Value> =
        all.into_iter().filter(|option| own.is_none_or(|own| !std::ptr::eq(own, *option))).collect();
    let Some(option) = others.choose(rng) else { return };
    let mut drawn = sample(option, rng);
    let tag = tag_of(option).map(|(tag, _)| tag);
    let kept = |name: &str, rule: &Value| {
        let old = value.get(name).filter(|_| Some(name) != tag)?;
        validate(old, rule).is_empty().then(|| old.clone())
    };
    let kept: Map<String, Value> =
        fields(option).filter_map(|(name, rule)| Some((name.clone(), kept(name, rule)?))).collect();
    if let Some(object) = drawn.as_object_mut() {
        object.extend(kept);
    }
    *value = drawn;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Narrowing;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeSet;

    fn schema() -> Value {
        let narrowing = Narrowing {
            backbones: vec!["mobilenet_v2".into(), "resnet18".into()],
            scratch: true,
            sizes: vec![96, 224],
            lstm: true,
            gru: true,
            transformer: true,
            convolution: true,
        };
        narrowing.schema()
    }

    /// The places in which two values differ.
    fn differences(a: &Value, b: &Value, at: &str, found: &mut Vec<String>) {
        match (a, b) {
            (Value::Object(x), Value::Object(y)) => {
                for name in x.keys().chain(y.keys().filter(|name| !x.contains_key(*name))) {
                    let (old, new) = (x.get(name), y.get(name));
                    match (old, new) {
                        (Some(old), Some(new)) => differences(old, new, &format!("{at}/{name}"), found),
                        _ => found.push(format!("{at}/{name}")),
                    }
                }
            }
            _ if a != b => found.push(at.to_owned()),
            _ => {}
        }
    }

    #[test]
    fn variations_are_of_the_schema_and_differ_in_one_place() {
        let (schema, mut rng) = (schema(), ChaCha8Rng::seed_from_u64(1));
        let mut sections = BTreeSet::new();
        let mut single = 0;
        for _ in 0..2_000 {
            let parent = sample(&schema, &mut rng);
            let child = mutate(&parent, &schema, &mut rng).expect("there are choices");
            assert_eq!(validate(&child, &schema), [], "{child}");
            let mut found = Vec::new();
            differences(&parent, &child, "", &mut found);
            assert!(!found.is_empty(), "nothing changed in {parent}");
            let section = |place: &String| place.split('/').nth(1).unwrap_or_default().to_owned();
            let of: BTreeSet<String> = found.iter().map(section).collect();
            assert_eq!(of.len(), 1, "{found:?}");
            single += usize::from(found.len() == 1);
            sections.extend(of);
        }
        // Only another alternative, or a list that moved, changes more than one field.
        assert!(single > 1_200, "{single}");
        assert_eq!(sections.len(), 4, "{sections:?}");
    }

    #[test]
    fn numbers_mostly_go_to_a_neighbour() {
        let menu: Vec<Value> = [64, 128, 256, 512, 768].map(Value::from).to_vec();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let near = (0..1_000)
            .filter(|_| [128, 512].map(Value::from).contains(&another(&256.into(), &menu, &mut rng)));
        let near = near.count();
        assert!((850..950).contains(&near), "{near}");
        assert_eq!(another(&64.into(), &[64.into()], &mut rng), 64);
    }

    #[test]
    fn another_decoder_keeps_what_both_have() {
        let schema = schema();
        let rule = &schema["properties"]["decoder"];
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let lstm = serde_json::json!({"family": "recurrent", "cell": "lstm", "embed": 256, "hidden": 512, "layers": 1,
            "image": "initial_state", "attention": "additive", "dropout_pct": 30});
        for _ in 0..50 {
            let mut decoder = lstm.clone();
            switch(&mut decoder, alternatives(rule).expect("families"), &mut rng);
            assert_ne!(decoder["family"], "recurrent");
            assert_eq!(decoder["dropout_pct"], 30, "{decoder}");
        }
    }

    #[test]
    fn children_of_two_have_parts_of_both() {
        let (schema, mut rng) = (schema(), ChaCha8Rng::seed_from_u64(4));
        let mut from_both = 0;
        for _ in 0..200 {
            let (a, b) = (sample(&schema, &mut rng), sample(&schema, &mut rng));
            let child = cross(&a, &b, &schema, &mut rng);
            for (name, _) in fields(&schema) {
                assert!(child[name] == a[name] || child[name] == b[name]);
            }
            from_both += usize::from(child != a);
            assert_ne!(child, b);
        }
        assert!(from_both > 150, "{from_both}");
        let a = sample(&schema, &mut rng);
        assert_eq!(cross(&a, &a, &schema, &mut rng), a);
    }
}
