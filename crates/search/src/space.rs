//! What a contract leaves of the language: one schema for every architect.

use capwright_blueprint::schema::{self, Narrowing};
use capwright_contract::{Contract, Family};
use rand::Rng;
use serde_json::Value;

/// The designs that may be proposed under a contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    schema: Value,
}

impl Space {
    /// The language narrowed to the contract's components.
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
        };
        Self { schema: narrowing.schema() }
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
