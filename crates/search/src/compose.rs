//! Designs made of parts that are known to work: what evolution begins with.

use crate::space::Space;
use capwright_blueprint::schema::{language, sample, validate};
use capwright_blueprint::vary::mutate;
use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::Value;

/// How often a part of the others is a known one: what suits photos may not suit small drawings. A recipe always is: most drawn ones
/// spoil the design that they train.
const KNOWN: f64 = 0.25;

/// Places of the parts, as JSON pointers.
const SOURCE: &str = "/encoder/source";
const BLOCKS: &str = "/encoder/blocks";
const DECODER: &str = "/decoder";
const RECIPE: &str = "/recipe";

/// Known parts in the blueprint language; those that a contract does not allow are never used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// Values of `encoder.source`.
    pub sources: Vec<Value>,
    /// Values of `decoder`.
    pub decoders: Vec<Value>,
    /// Values of `recipe`.
    pub recipes: Vec<Value>,
    /// A whole design to begin with, in place of the parts.
    pub design: Option<Value>,
}

impl Parts {
    /// The parts that a space allows.
    pub(crate) fn within(self, space: &Space) -> Self {
        let fitting = |at: &str, parts: Vec<Value>| {
            let rule = rule(space.schema(), at);
            parts.into_iter().filter(|part| validate(part, rule).is_empty()).collect()
        };
        Self {
            sources: fitting(SOURCE, self.sources),
            decoders: fitting(DECODER, self.decoders),
            recipes: fitting(RECIPE, self.recipes),
            design: self.design.filter(|design| validate(design, language()).is_empty()),
        }
    }

    /// Whether they make a design by themselves.
    pub(crate) fn suffice(&self) -> bool {
        self.design.is_some() || !self.sources.is_empty() && !self.decoders.is_empty()
    }

    /// The design to begin with after so many edits, or one made of parts, `whole` of known ones alone; it need not fit together.
    pub(crate) fn found(&self, space: &Space, edits: usize, whole: bool, rng: &mut impl Rng) -> String {
        let Some(mut design) = self.design.clone() else { return self.compose(space, whole, rng) };
        // What the space leaves out of the language may stand in the design.
        let within = validate(&design, space.schema()).is_empty();
        let rules = if within { space.schema() } else { language() };
        for _ in 0..edits {
            design = mutate(&design, rules, rng).unwrap_or(design);
        }
        design.to_string()
    }

    /// A design drawn from the space, with known parts in place of some of its own, or of all, without blocks between them; it need not
    /// fit together.
    fn compose(&self, space: &Space, whole: bool, rng: &mut impl Rng) -> String {
        let mut design = sample(space.schema(), rng);
        let whole = whole && self.suffice();
        if whole && let Some(blocks) = design.pointer_mut(BLOCKS) {
            *blocks = Value::Array(Vec::new());
        }
        let known = if whole { 1.0 } else { KNOWN };
        for (at, parts, often) in
            [(SOURCE, &self.sources, known), (DECODER, &self.decoders, known), (RECIPE, &self.recipes, 1.0)]
        {
            if let Some(part) = parts.choose(rng).filter(|_| rng.random_bool(often))
                && let Some(place) = design.pointer_mut(at)
            {
                *place = part.clone();
            }
        }
        design.to_string()
    }
}

/// The rule of what stands at a place.
fn rule<'a>(schema: &'a Value, at: &str) -> &'a Value {
    at.split('/').skip(1).fold(schema, |rule, name| &rule["properties"][name])
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_contract::Contract;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::json;

    #[test]
    fn a_given_design_is_what_is_begun_with() {
        let space = Space::new(&Contract::from_toml("version = 1").expect("a contract"));
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let design = sample(space.schema(), &mut rng);
        let parts = Parts { design: Some(design.clone()), ..Parts::default() }.within(&space);
        assert_eq!(parts.found(&space, 0, true, &mut rng), design.to_string());
        assert_ne!(parts.found(&space, 2, true, &mut rng), design.to_string());
        let none = Parts { design: Some(json!({"encoder": 1})), ..Parts::default() };
        assert_eq!(none.within(&space).design, None);
    }

    #[test]
    fn what_a_contract_forbids_is_no_part() {
        let contract = Contract::from_toml("version = 1\n[components]\nfamilies = [\"gru\"]\nscratch = true");
        let space = Space::new(&contract.expect("a contract"));
        let decoder = |cell: &str| {
            json!({"family": "recurrent", "cell": cell, "embed": 192, "hidden": 384, "layers": 1, "image": "initial_state",
                "attention": "dot", "dropout_pct": 20})
        };
        let recipe = json!({"lr": 0.001, "schedule": "cosine", "weight_decay": 0.01, "label_smoothing": 0.1, "clip": 5.0,
            "batch": 16});
        let parts = Parts {
            sources: vec![json!({"kind": "no such"})],
            decoders: vec![decoder("gru"), decoder("lstm")],
            recipes: vec![recipe.clone()],
            design: None,
        };
        let parts = parts.within(&space);
        assert_eq!((parts.sources.len(), parts.decoders.as_slice()), (0, &[decoder("gru")][..]));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let designs: Vec<Value> = (0..40)
            .map(|_| serde_json::from_str(&parts.compose(&space, true, &mut rng)).expect("JSON"))
            .collect();
        assert!(designs.iter().all(|design| design["recipe"] == recipe));
        let known = designs.iter().filter(|design| design["decoder"] == decoder("gru")).count();
        assert!((3..25).contains(&known), "{known}");
        // With a source too, designs may be of known parts alone.
        let source =
            json!({"kind": "scratch", "stem": 16, "stages": [{"kind": "conv", "out": 32, "repeat": 1}]});
        let parts = Parts { sources: vec![source], ..parts }.within(&space);
        let designs: Vec<Value> = (0..40)
            .map(|i| serde_json::from_str(&parts.compose(&space, i < 20, &mut rng)).expect("JSON"))
            .collect();
        let whole = |design: &&Value| {
            design["encoder"]["source"] == parts.sources[0]
                && design["encoder"]["blocks"] == json!([])
                && design["decoder"] == decoder("gru")
        };
        assert!(designs[..20].iter().all(|design| whole(&design)));
        assert!(!designs[20..].iter().all(|design| whole(&design)));
    }
}
