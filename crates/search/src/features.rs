//! Designs as numbers that a predictor can compare.

use capwright_blueprint::{Blueprint, Cost};
use serde_json::Value;
use std::collections::BTreeMap;

/// Parts of a design whose weight in the comparison is learned apart: encoder, bridge, decoder, recipe, and the costs.
pub const GROUPS: usize = 5;

const SECTIONS: [&str; GROUPS - 1] = ["encoder", "bridge", "decoder", "recipe"];

/// Items of one kind in a list, above which more make no difference.
const MANY: f64 = 2.0;

/// How the designs of a study are read: every place that any of them has, and what stands there.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    places: BTreeMap<String, Place>,
}

#[derive(Debug, Clone, PartialEq)]
struct Place {
    group: usize,
    /// Whether it is a number of items, of which none is as good as any.
    counted: bool,
    /// Numbers that were seen there, in rising order, each once: a menu's steps count alike, whatever lies between its values.
    numbers: Vec<f64>,
    /// Words that were seen there.
    words: Vec<String>,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq)]
enum Mark {
    Number(f64),
    Word(String),
    /// Items of one kind in a list.
    Count(f64),
}

/// A design by the places of a [`Reading`].
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    values: Vec<Feature>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Feature {
    group: usize,
    held: Held,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Held {
    Nothing,
    /// From 0 to 1.
    Number(f64),
    /// Place among the words that were seen; none for another.
    Word(Option<usize>),
}

impl Reading {
    /// How these designs are read.
    pub fn of<'a>(designs: impl Iterator<Item = (&'a Blueprint, &'a Cost)>) -> Self {
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        for (name, (group, mark)) in designs.flat_map(|(blueprint, cost)| marks(blueprint, cost)) {
            let counted = matches!(mark, Mark::Count(_));
            let empty = Place { group, counted, numbers: Vec::new(), words: Vec::new() };
            let place = places.entry(name).or_insert(empty);
            match mark {
                Mark::Number(number) => place.numbers.push(number),
                Mark::Word(word) if !place.words.contains(&word) => place.words.push(word),
                Mark::Word(_) | Mark::Count(_) => {}
            }
        }
        for place in places.values_mut() {
            place.numbers.sort_by(f64::total_cmp);
            place.numbers.dedup();
        }
        Self { places }
    }

    /// A design; what stands at places that no design had is not seen.
    pub fn read(&self, blueprint: &Blueprint, cost: &Cost) -> Features {
        let marks = marks(blueprint, cost);
        let held = |(name, place): (&String, &Place)| {
            let held = match marks.get(name) {
                None if place.counted => Held::Number(0.0),
                None => Held::Nothing,
                Some((_, Mark::Number(number))) => place.number(*number),
                Some((_, Mark::Word(word))) => Held::Word(place.words.iter().position(|known| known == word)),
                Some((_, Mark::Count(count))) => Held::Number(count.min(MANY) / MANY),
            };
            Feature { group: place.group, held }
        };
        Features { values: self.places.iter().map(held).collect() }
    }
}

impl Place {
    /// Where a number stands among those that were seen; one between two of them counts as the upper.
    fn number(&self, number: f64) -> Held {
        let below = self.numbers.partition_point(|known| *known < number);
        Held::Number((below as f64 / (self.numbers.len().max(2) - 1) as f64).min(1.0))
    }
}

impl Features {
    /// How far two designs are apart in each group: 1 for each word that differs and each number that only one has, less for numbers
    /// that are near. All these are distances of negative type, which kernels need.
    pub fn apart(&self, other: &Self) -> [f64; GROUPS] {
        let mut apart = [0.0; GROUPS];
        for (own, other) in self.values.iter().zip(&other.values) {
            apart[own.group] += match (own.held, other.held) {
                (Held::Nothing, Held::Nothing) => 0.0,
                (Held::Number(a), Held::Number(b)) => (a - b).abs(),
                (Held::Word(a), Held::Word(b)) if a == b => 0.0,
                _ => 1.0,
            };
        }
        apart
    }
}

/// All that stands in a design, by its place.
fn marks(blueprint: &Blueprint, cost: &Cost) -> BTreeMap<String, (usize, Mark)> {
    let mut marks = BTreeMap::new();
    let design = serde_json::to_value(blueprint).unwrap_or_default();
    for (group, section) in SECTIONS.iter().enumerate() {
        walk(&design[section], section, group, &mut marks);
    }
    if let Ok(Value::Object(costs)) = serde_json::to_value(cost) {
        costs.iter().for_each(|(name, value)| walk(value, name, SECTIONS.len(), &mut marks));
    }
    marks
}

fn walk(value: &Value, at: &str, group: usize, marks: &mut BTreeMap<String, (usize, Mark)>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| walk(inner, &format!("{at}/{name}"), group, marks));
        }
        // Lists are short, and what lies in them counts more than where.
        Value::Array(items) => {
            for item in items {
                let kind = ["op", "kind"].iter().find_map(|tag| item[tag].as_str()).unwrap_or("item");
                let (_, count) = marks.entry(format!("{at}/{kind}")).or_insert((group, Mark::Count(0.0)));
                if let Mark::Count(count) = count {
                    *count += 1.0;
                }
            }
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            marks.insert(at.to_owned(), (group, Mark::Number(number)));
        }
        Value::String(word) => {
            marks.insert(at.to_owned(), (group, Mark::Word(word.clone())));
        }
        Value::Bool(truth) => {
            marks.insert(at.to_owned(), (group, Mark::Word(truth.to_string())));
        }
        Value::Null => {}
    }
}
