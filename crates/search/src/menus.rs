//! The grammar of a space: its schema with alternatives in place of choices that exclude each other, and menus that hold only what
//! can still fit, so that even a weak model stays mostly inside.
//!
//! What fits is asked of the judge, for designs that are as small as can be but for the choice in question: costs grow with
//! every width, so that what does not fit beside the smallest fits beside nothing. [`Space`] itself stays as it is: its schema
//! is what designs are drawn from and varied along, and one alternative for each tag serves that better.

use crate::judge::Judge;
use crate::space::{Space, require_field};
use capwright_blueprint::schema::{is_needed, smallest};
use capwright_llm::strict;
use serde_json::{Value, json};

/// A grammar with more menu entries than this, each shared part counted once, is not used: servers take no more (OpenAI's limit), and
/// compile it slowly.
const MOST_ENTRIES: usize = 1_000;

/// Smallest designs that probes are made from, at most.
const BASES: usize = 6;

/// The smallest designs of the space that the judge admits, from which probes are made.
struct Bases(Vec<Value>);

impl Space {
    /// The schema for a model that writes whole designs under this space.
    pub fn grammar(&self, judge: &Judge) -> Value {
        let bases = Bases(judge.smallest(BASES));
        let mut grammar = self.schema().clone();
        if bases.0.is_empty() {
            return grammar;
        }
        let sections = &mut grammar["properties"];
        let encoder = encoder(&sections["encoder"], &bases, judge);
        let decoder = decoder(&sections["decoder"], &bases, judge);
        // What may be left out of a bridge is for decoders that see all cells; the smallest designs have none.
        let bridge = narrowed(&sections["bridge"], true, &|bridge| bases.fit(judge, &[("/bridge", bridge)]));
        let recipe = recipe(&sections["recipe"], &bases, judge);
        for (name, narrower) in
            [("encoder", encoder), ("bridge", bridge), ("decoder", decoder), ("recipe", recipe)]
        {
            if let Some(narrower) = narrower {
                sections[name] = narrower;
            }
        }
        if entries(&strict(&grammar)) > MOST_ENTRIES { self.schema().clone() } else { grammar }
    }
}

impl Bases {
    /// Whether some base with these parts, by JSON pointer, in place of its own fits.
    fn fit(&self, judge: &Judge, parts: &[(&str, &Value)]) -> bool {
        self.0.iter().any(|base| {
            let mut design = base.clone();
            for (at, part) in parts {
                if let Some(place) = design.pointer_mut(at) {
                    *place = (*part).clone();
                }
            }
            judge.fits(&design.to_string())
        })
    }
}

/// Menu entries of a schema.
fn entries(schema: &Value) -> usize {
    match schema {
        Value::Object(map) => {
            let own = map.get("enum").and_then(Value::as_array).map_or(0, Vec::len);
            own + map.values().map(entries).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(entries).sum(),
        _ => 0,
    }
}

/// The choices of a menu.
fn menu(rule: &Value) -> Vec<Value> {
    capwright_blueprint::schema::choices(rule).unwrap_or_default()
}

/// The alternatives of a node, or itself as the only one.
fn options(rule: &Value) -> Vec<Value> {
    capwright_blueprint::schema::alternatives(rule).cloned().unwrap_or_else(|| vec![rule.clone()])
}

/// With one field of an object set.
fn with(object: &Value, field: &str, value: &Value) -> Value {
    let mut object = object.clone();
    object[field] = value.clone();
    object
}

/// Takes from the menus of an object what does not fit beside the smallest of the rest; `None` where the smallest itself does
/// not fit.
fn pruned(object: &Value, fits: &dyn Fn(&Value) -> bool) -> Option<Value> {
    narrowed(object, false, fits)
}

/// As [`pruned`], on request of those fields alone that must be written.
fn narrowed(object: &Value, needed_only: bool, fits: &dyn Fn(&Value) -> bool) -> Option<Value> {
    let least = smallest(object);
    if !fits(&least) {
        return None;
    }
    let mut narrower = object.clone();
    let names: Vec<String> = object["properties"].as_object()?.keys().cloned().collect();
    for name in names {
        let choices = menu(&object["properties"][&name]);
        if choices.is_empty() || (needed_only && !is_needed(object, &name)) {
            continue;
        }
        let kept: Vec<&Value> = choices.iter().filter(|value| fits(&with(&least, &name, value))).collect();
        if kept.is_empty() {
            narrower["properties"].as_object_mut()?.shift_remove(&name);
        } else if kept.len() < choices.len() {
            narrower["properties"][&name] = json!({ "enum": kept });
        }
    }
    Some(narrower)
}

/// An object in which two menus exclude some of each other's entries, as alternatives that have no such pairs: entries of `a` that go
/// with the same entries of `b` stay together. A field that may be left out counts as one more entry.
fn split(object: &Value, a: &str, b: &str, fits: &dyn Fn(&Value) -> bool) -> Vec<Value> {
    let properties = &object["properties"];
    if properties.get(a).is_none() || properties.get(b).is_none() {
        return vec![object.clone()];
    }
    let (base, absent) = (smallest(object), !is_needed(object, b));
    let mut groups: Vec<(Vec<Value>, bool, Vec<Value>)> = Vec::new();
    for value in menu(&properties[a]) {
        let first = with(&base, a, &value);
        let partners: Vec<Value> =
            menu(&properties[b]).into_iter().filter(|partner| fits(&with(&first, b, partner))).collect();
        let alone = absent && fits(&first);
        if partners.is_empty() && !alone {
            continue;
        }
        match groups.iter_mut().find(|(_, a, p)| *a == alone && *p == partners) {
            Some((values, ..)) => values.push(value),
            None => groups.push((vec![value], alone, partners)),
        }
    }
    let option = |(values, alone, partners): (Vec<Value>, bool, Vec<Value>)| {
        let mut option = object.clone();
        option["properties"][a] = json!({ "enum": values });
        if partners.is_empty() {
            leave_out(&mut option, b);
        } else {
            option["properties"][b] = json!({ "enum": partners });
        }
        if !alone {
            require_field(&mut option, b);
        }
        option
    };
    groups.into_iter().map(option).collect()
}

fn leave_out(object: &mut Value, field: &str) {
    if let Some(fields) = object["properties"].as_object_mut() {
        fields.shift_remove(field);
    }
}

fn any_of(mut options: Vec<Value>) -> Option<Value> {
    match options.len() {
        0 => None,
        1 => options.pop(),
        _ => Some(json!({ "anyOf": options })),
    }
}

/// Image sizes with the sources that can read and afford them: sources of the same sizes stand together.
fn encoder(rule: &Value, bases: &Bases, judge: &Judge) -> Option<Value> {
    let sources = options(&rule["properties"]["source"]);
    let mut sizes_of: Vec<(Value, Vec<Value>)> = Vec::new();
    for size in menu(&rule["properties"]["input"]) {
        let fits =
            |source: &Value| bases.fit(judge, &[("/encoder/input", &size), ("/encoder/source", source)]);
        let here = sources.iter().flat_map(|source| match source["properties"].get("backbone") {
            Some(_) => pretrained(source, &fits),
            None => pruned(source, &fits).into_iter().collect(),
        });
        for source in here {
            match sizes_of.iter_mut().find(|(known, _)| *known == source) {
                Some((_, sizes)) => sizes.push(size.clone()),
                None => sizes_of.push((source, vec![size.clone()])),
            }
        }
    }
    let mut groups: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
    for (source, sizes) in sizes_of {
        match groups.iter_mut().find(|(known, _)| *known == sizes) {
            Some((_, sources)) => sources.push(source),
            None => groups.push((sizes, vec![source])),
        }
    }
    let option = |(sizes, sources): (Vec<Value>, Vec<Value>)| {
        let mut option = rule.clone();
        option["properties"]["input"] = json!({ "enum": sizes });
        option["properties"]["source"] = any_of(merged(merged(sources, "cut"), "backbone"))?;
        Some(option)
    };
    any_of(groups.into_iter().filter_map(option).collect())
}

/// Each backbone with each of its cuts, alone or with another one beside it.
fn pretrained(rule: &Value, fits: &dyn Fn(&Value) -> bool) -> Vec<Value> {
    let backbones = menu(&rule["properties"]["backbone"]);
    let mut found = Vec::new();
    for (backbone, cut) in
        backbones.iter().flat_map(|b| menu(&rule["properties"]["cut"]).into_iter().map(move |cut| (b, cut)))
    {
        let mut own = rule.clone();
        own["properties"]["backbone"] = json!({ "enum": [backbone] });
        own["properties"]["cut"] = json!({ "enum": [cut] });
        let mut alone = own.clone();
        leave_out(&mut alone, "beside");
        found.extend(pruned(&alone, fits));
        let Some(other) = rule["properties"].get("beside") else { continue };
        ["tune", "cuts"].iter().for_each(|field| leave_out(&mut own, field));
        let base = smallest(&own);
        let seconds = backbones.iter().filter(|second| *second != backbone).filter_map(|second| {
            let mut other = other.clone();
            other["properties"]["backbone"] = json!({ "enum": [second] });
            pruned(&other, &|beside| fits(&with(&base, "beside", beside)))
        });
        if let Some(seconds) = any_of(merged(seconds.collect(), "backbone")) {
            own["properties"]["beside"] = seconds;
            require_field(&mut own, "beside");
            found.push(own);
        }
    }
    found
}

/// Alternatives that differ in the menu of one field alone, as one; those without the field as they are.
fn merged(options: Vec<Value>, field: &str) -> Vec<Value> {
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    let (options, others): (Vec<Value>, Vec<Value>) =
        options.into_iter().partition(|option| option["properties"].get(field).is_some());
    for mut option in options {
        let choices = menu(&option["properties"][field]);
        option["properties"][field] = Value::Null;
        match groups.iter_mut().find(|(known, _)| *known == option) {
            Some((_, all)) => all.extend(choices),
            None => groups.push((option, choices)),
        }
    }
    let whole = |(mut option, choices): (Value, Vec<Value>)| {
        option["properties"][field] = json!({ "enum": choices });
        option
    };
    groups.into_iter().map(whole).chain(others).collect()
}

fn decoder(rule: &Value, bases: &Bases, judge: &Judge) -> Option<Value> {
    let fits = |decoder: &Value| bases.fit(judge, &[("/decoder", decoder)]);
    let mut found = Vec::new();
    for option in options(rule) {
        let Some(option) = pruned(&option, &fits) else { continue };
        let apart = split(&option, "cell", "attention", &fits);
        let apart = apart.into_iter().flat_map(|o| split(&o, "dim", "heads", &fits));
        for mut option in apart {
            // Tied embeddings are as wide as states and context together, of which the latter is the bridge's: no menu can say so.
            if option["properties"].get("hidden").is_some() {
                leave_out(&mut option, "embeddings");
            }
            found.push(option);
        }
    }
    any_of(found)
}

/// Learning rates with the optimizers that they are for.
fn recipe(rule: &Value, bases: &Bases, judge: &Judge) -> Option<Value> {
    let fits = |recipe: &Value| bases.fit(judge, &[("/recipe", recipe)]);
    any_of(split(rule, "lr", "optimizer", &fits))
}
