//! What a contract leaves of the language: one schema for every architect.

use capwright_blueprint::schema::{self, Narrowing, choices, is_needed};
use capwright_contract::{Contract, Family, Range, meanings};
use rand::Rng;
use serde_json::{Value, json};

/// The designs that may be proposed under a contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    schema: Value,
}

impl Space {
    /// The language narrowed to the contract's components, ranges, and required and forbidden parts. A required block
    /// stays a matter of choice, since a schema cannot ask that a list holds one.
    pub fn new(contract: &Contract) -> Self {
        let parts = &contract.components;
        let allows = |family| parts.families.contains(&family);
        let narrowing = Narrowing {
            backbones: parts.backbones.clone().unwrap_or_default(),
            scratch: parts.scratch,
            sizes: parts.image_sizes.clone(),
            lstm: allows(Family::Lstm),
            gru: allows(Family::Gru),
            transformer: allows(Family::Transformer),
            convolution: allows(Family::Convolution),
        };
        let mut schema = narrowing.schema();
        for section in ["bridge", "decoder", "recipe"] {
            for (field, range) in &contract.ranges {
                keep_range(&mut schema["properties"][section], field, *range);
            }
        }
        for word in &parts.forbidden {
            for meaning in meanings(word) {
                remove_word(&mut schema, meaning);
            }
        }
        for word in &parts.required {
            require_word(&mut schema, &meanings(word));
        }
        Self { schema }
    }

    /// The JSON schema that constrains a model's output.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// A design drawn uniformly at each choice, as compact JSON; it need not fit together.
    pub fn sample(&self, rng: &mut impl Rng) -> String {
        schema::sample(&self.schema, rng).to_string()
    }
}

/// The alternatives of a node.
fn options(node: &mut Value) -> Option<&mut Vec<Value>> {
    let key = if node.get("oneOf").is_some() { "oneOf" } else { "anyOf" };
    node.get_mut(key)?.as_array_mut()
}

/// Keeps the values of a numeric field that a range holds; a menu of which nothing would be left stays. A field with a
/// default must then be written, since the default may lie outside.
fn keep_range(node: &mut Value, field: &str, range: Range) {
    if let Some(menu) = node["properties"].get_mut(field).and_then(|inner| inner["enum"].as_array_mut()) {
        let kept: Vec<Value> =
            menu.iter().filter(|v| v.as_f64().is_some_and(|x| range.holds(x))).cloned().collect();
        if !kept.is_empty() {
            let narrower = kept.len() < menu.len();
            *menu = kept;
            if narrower {
                require_field(node, field);
            }
        }
    }
    for option in options(node).into_iter().flatten() {
        keep_range(option, field, range);
    }
}

/// Takes from an object the freedom to leave a field out.
pub(crate) fn require_field(object: &mut Value, field: &str) {
    if let Some(required) = object["required"].as_array_mut()
        && !required.iter().any(|name| name == field)
    {
        required.push(json!(field));
    }
}

/// Whether a menu entry or a tagged alternative is that word.
fn is_word(option: &Value, word: &str) -> bool {
    option == word || only(option, word) || only(&option["properties"]["op"], word)
}

/// Whether a node allows that word and nothing else.
fn only(node: &Value, word: &str) -> bool {
    let alone = |key: &str| node[key].as_array().is_some_and(|all| all.len() == 1 && only(&all[0], word));
    node["const"] == word || node["enum"] == json!([word]) || alone("oneOf") || alone("anyOf")
}

/// The fields of an object that have a word where they are left out, and could have another.
fn unwritten(object: &Value, word: &str) -> Vec<String> {
    let fields = object["properties"].as_object().into_iter().flatten();
    let has = |rule: &Value| choices(rule).is_some_and(|menu| menu.len() > 1 && menu[0] == word);
    // To have nothing is to have no part.
    let found = fields.filter(|(name, rule)| word != "none" && !is_needed(object, name) && has(rule));
    found.map(|(name, _)| name.clone()).collect()
}

/// Takes a word off every menu that has another one. A field that had it by default must then be written.
fn remove_word(node: &mut Value, word: &str) {
    for field in unwritten(node, word) {
        require_field(node, &field);
    }
    match node {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                if let ("enum" | "oneOf" | "anyOf", Some(menu)) = (key.as_str(), inner.as_array_mut())
                    && menu.iter().any(|option| !is_word(option, word))
                {
                    menu.retain(|option| !is_word(option, word));
                }
                remove_word(inner, word);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| remove_word(item, word)),
        _ => {}
    }
}

/// Where some decoders can have one of the words: keeps those, and their menus that hold one to those words; otherwise
/// does so with the recipe.
fn require_word(schema: &mut Value, words: &[&str]) {
    let has = |option: &Value| words.iter().any(|word| mentions(option, word));
    let decoder = &mut schema["properties"]["decoder"];
    if !options(decoder).is_some_and(|all| all.iter().any(has)) {
        return keep_words(&mut schema["properties"]["recipe"], words);
    }
    for option in options(decoder).into_iter().flat_map(|all| {
        all.retain(has);
        all
    }) {
        // The family itself may be what is asked for.
        if !words.iter().any(|word| is_word(&option["properties"]["family"], word)) {
            keep_words(option, words);
        }
    }
}

/// Narrows each field of an object that can have one of the words to those words.
fn keep_words(object: &mut Value, words: &[&str]) {
    let fields = object["properties"].as_object().into_iter().flatten();
    let found = fields.filter(|(_, inner)| words.iter().any(|word| mentions(inner, word)));
    let names: Vec<String> = found.map(|(name, _)| name.clone()).collect();
    for name in names {
        let inner = &object["properties"][&name];
        let kept: Vec<&str> = words.iter().copied().filter(|word| mentions(inner, word)).collect();
        object["properties"][&name] = json!({ "enum": kept });
        require_field(object, &name);
    }
}

/// Whether a word stands on some menu of a node.
fn mentions(node: &Value, word: &str) -> bool {
    match node {
        Value::String(text) => text == word,
        Value::Array(items) => items.iter().any(|item| mentions(item, word)),
        Value::Object(map) => map.iter().any(|(key, inner)| key != "required" && mentions(inner, word)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_blueprint::read;
    use capwright_contract::{Clause, violations};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Fields that may be left out are drawn seldom: many draws show that the narrowing does something.
    const DRAWS: usize = 1_000;

    fn broken(toml: &str, clause: Clause) -> (usize, usize) {
        let contract = Contract::from_toml(&format!("version = 1\n{toml}")).expect("a contract");
        let (space, mut rng) = (Space::new(&contract), ChaCha8Rng::seed_from_u64(1));
        let cost = capwright_blueprint::Cost {
            params_total: 0,
            params_trainable: 0,
            macs_image: 0,
            macs_trained: 0,
            macs_token: 0,
            weight_bytes: 0,
        };
        let mut wrong = 0;
        for _ in 0..DRAWS {
            let blueprint = read(&space.sample(&mut rng)).expect("samples are blueprints");
            wrong += usize::from(violations(&blueprint, &cost, &contract).iter().any(|v| v.clause == clause));
        }
        let (open, mut rng) = (Space::new(&Contract::default()), ChaCha8Rng::seed_from_u64(1));
        let before = (0..DRAWS).filter(|_| {
            let blueprint = read(&open.sample(&mut rng)).expect("samples are blueprints");
            violations(&blueprint, &cost, &contract).iter().any(|v| v.clause == clause)
        });
        (before.count(), wrong)
    }

    #[test]
    fn what_a_contract_excludes_is_never_drawn() {
        for (toml, clause) in [
            ("[ranges.hidden]\nmin = 256\nmax = 320\n[ranges.lr]\nmax = 0.0005", Clause::Ranges),
            ("[components]\nforbidden = [\"cbam\", \"additive\", \"rotary\"]", Clause::Forbidden),
            ("[components]\nforbidden = [\"residual\", \"parallel\", \"repeat\"]", Clause::Forbidden),
            (
                "[components]\nforbidden = [\"adamw\", \"gelu\", \"learned\", \"batch\", \"separate\"]",
                Clause::Forbidden,
            ),
            ("[components]\nrequired = [\"attention\"]", Clause::Required),
            ("[components]\nrequired = [\"swiglu\", \"tied\"]", Clause::Required),
            ("[components]\nrequired = [\"adamw\"]", Clause::Required),
            ("[components]\nrequired = [\"lion\", \"cosine\"]", Clause::Required),
            ("[ranges.ema]\nmin = 0.99\n[ranges.warmup_pct]\nmin = 5", Clause::Ranges),
        ] {
            let (before, after) = broken(toml, clause);
            assert!(before > 20, "{toml}: {before}");
            assert_eq!(after, 0, "{toml}");
        }
    }
}
