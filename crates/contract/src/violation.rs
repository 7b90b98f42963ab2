//! What a design breaks of a contract.

use crate::{Contract, Family};
use capwright_blueprint::language::Source;
use capwright_blueprint::{Blueprint, Cost};
use serde::{Deserialize, Serialize};

/// A clause of the contract that a design can break, named as in its TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Clause {
    /// Learned values, frozen ones included.
    #[serde(rename = "budgets.params_total")]
    ParamsTotal,
    /// Learned values that training changes.
    #[serde(rename = "budgets.params_trainable")]
    ParamsTrainable,
    /// Multiply-accumulates for one image.
    #[serde(rename = "budgets.macs_image")]
    MacsImage,
    /// Multiply-accumulates for one word.
    #[serde(rename = "budgets.macs_token")]
    MacsToken,
    /// Bytes of weights and buffers.
    #[serde(rename = "budgets.weight_bytes")]
    WeightBytes,
    /// Allowed backbones.
    #[serde(rename = "components.backbones")]
    Backbones,
    /// Encoders from scratch.
    #[serde(rename = "components.scratch")]
    Scratch,
    /// Allowed decoder families.
    #[serde(rename = "components.families")]
    Families,
    /// Allowed image sizes.
    #[serde(rename = "components.image_sizes")]
    ImageSizes,
}

impl Clause {
    /// The clause as printed: `budgets.params_total`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ParamsTotal => "budgets.params_total",
            Self::ParamsTrainable => "budgets.params_trainable",
            Self::MacsImage => "budgets.macs_image",
            Self::MacsToken => "budgets.macs_token",
            Self::WeightBytes => "budgets.weight_bytes",
            Self::Backbones => "components.backbones",
            Self::Scratch => "components.scratch",
            Self::Families => "components.families",
            Self::ImageSizes => "components.image_sizes",
        }
    }
}

/// One clause that a design breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The clause.
    pub clause: Clause,
    /// What it allows.
    pub bound: String,
    /// What the design has.
    pub value: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.clause.as_str(), self.message, self.hint)
    }
}

/// Every clause that a design with that cost breaks; empty if it may be trained.
pub fn violations(blueprint: &Blueprint, cost: &Cost, contract: &Contract) -> Vec<Violation> {
    let mut broken = over_budget(cost, contract);
    broken.extend(source(blueprint, contract));
    broken.extend(family(blueprint, contract));
    broken.extend(image_size(blueprint, contract));
    broken
}

fn image_size(blueprint: &Blueprint, contract: &Contract) -> Option<Violation> {
    let (allowed, size) = (&contract.components.image_sizes, blueprint.encoder.input.0);
    if allowed.is_empty() || allowed.contains(&size) {
        return None;
    }
    let list = allowed.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    Some(Violation {
        clause: Clause::ImageSizes,
        bound: list.clone(),
        value: size.to_string(),
        message: format!("images of {size} pixels are not allowed"),
        hint: format!("use one of: {list}"),
    })
}

/// A budget: its clause, bound, value, noun and hint.
type Row = (Clause, Option<u64>, u64, &'static str, &'static str);

fn over_budget(cost: &Cost, contract: &Contract) -> Vec<Violation> {
    let b = &contract.budgets;
    let rows: [Row; 5] = [
        (
            Clause::ParamsTotal,
            b.params_total,
            cost.params_total,
            "parameters in total",
            "choose a smaller backbone, an earlier cut, or narrower layers",
        ),
        (
            Clause::ParamsTrainable,
            b.params_trainable,
            cost.params_trainable,
            "trainable parameters",
            "choose a smaller hidden width, embedding or number of layers, or fewer channels in trained blocks",
        ),
        (
            Clause::MacsImage,
            b.macs_image,
            cost.macs_image,
            "multiply-accumulates per image",
            "choose a smaller image, a lighter backbone, or fewer channels",
        ),
        (
            Clause::MacsToken,
            b.macs_token,
            cost.macs_token,
            "multiply-accumulates per word",
            "choose a narrower or shallower decoder",
        ),
        (
            Clause::WeightBytes,
            b.weight_bytes,
            cost.weight_bytes,
            "bytes of weights",
            "choose a smaller backbone or narrower layers; each parameter takes 4 bytes",
        ),
    ];
    rows.into_iter()
        .filter_map(|(clause, bound, value, noun, hint)| {
            let bound = bound.filter(|bound| value > *bound)?;
            Some(Violation {
                clause,
                bound: bound.to_string(),
                value: value.to_string(),
                message: format!("the design has {value} {noun}, at most {bound} are allowed"),
                hint: hint.to_owned(),
            })
        })
        .collect()
}

fn source(blueprint: &Blueprint, contract: &Contract) -> Option<Violation> {
    let allowed = &contract.components.backbones;
    let list = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
    match &blueprint.encoder.source {
        Source::Pretrained { backbone, .. } if !allowed.contains(backbone) => Some(Violation {
            clause: Clause::Backbones,
            bound: list.clone(),
            value: backbone.clone(),
            message: format!("the backbone {backbone:?} is not allowed; allowed: {list}"),
            hint: if allowed.is_empty() {
                "use the source \"scratch\"".to_owned()
            } else {
                format!("use one of: {list}")
            },
        }),
        Source::Scratch { .. } if !contract.components.scratch => Some(Violation {
            clause: Clause::Scratch,
            bound: "false".to_owned(),
            value: "true".to_owned(),
            message: "encoders trained from scratch are not allowed".to_owned(),
            hint: format!("use the source \"pretrained\" with one of: {list}"),
        }),
        Source::Pretrained { .. } | Source::Scratch { .. } => None,
    }
}

fn family(blueprint: &Blueprint, contract: &Contract) -> Option<Violation> {
    let allowed = &contract.components.families;
    let found = Family::of(blueprint);
    if allowed.contains(&found) {
        return None;
    }
    let list = allowed.iter().map(Family::to_string).collect::<Vec<_>>().join(", ");
    Some(Violation {
        clause: Clause::Families,
        bound: list.clone(),
        value: found.to_string(),
        message: format!("{found} decoders are not allowed"),
        hint: format!("use one of: {list}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::tests::open_contract;

    const TEXT: &str = r#"{"encoder":{"input":224,"source":{"kind":"pretrained","backbone":"resnet18","cut":"s32"},
        "blocks":[]},"bridge":{"dim":256,"dropout_pct":10},"decoder":{"family":"recurrent",
        "cell":"gru","embed":256,"hidden":512,"layers":1,"image":"initial_state","attention":"dot","dropout_pct":30},
        "recipe":{"lr":0.001,"schedule":"cosine","weight_decay":0.01,"label_smoothing":0.1,"clip":3.0,"batch":32}}"#;

    fn cost(n: u64) -> Cost {
        Cost { params_total: n, params_trainable: n, macs_image: n, macs_token: n, weight_bytes: n }
    }

    #[test]
    fn everything_broken_is_said_at_once_and_bounds_are_inclusive() {
        let blueprint: Blueprint = serde_json::from_str(TEXT).expect("a blueprint");
        let mut contract = open_contract();
        contract.components.families = vec![Family::Lstm, Family::Transformer];
        contract.budgets = crate::Budgets {
            params_total: Some(9),
            params_trainable: Some(10),
            macs_image: Some(9),
            macs_token: Some(9),
            weight_bytes: Some(9),
        };
        let found: Vec<Clause> =
            violations(&blueprint, &cost(10), &contract).iter().map(|v| v.clause).collect();
        use Clause::*;
        assert_eq!(found, [ParamsTotal, MacsImage, MacsToken, WeightBytes, Backbones, Families]);
    }

    #[test]
    fn an_allowed_design_breaks_nothing_and_scratch_can_be_forbidden() {
        let mut blueprint: Blueprint = serde_json::from_str(TEXT).expect("a blueprint");
        let mut contract = open_contract();
        contract.components.backbones.push("resnet18".to_owned());
        assert_eq!(violations(&blueprint, &cost(10), &contract), []);
        blueprint.encoder.source = serde_json::from_str(
            r#"{"kind":"scratch","stem":16,"stages":[{"kind":"conv","out":32,"repeat":1}]}"#,
        )
        .expect("a source");
        assert_eq!(violations(&blueprint, &cost(10), &contract), []);
        contract.components.scratch = false;
        let broken = violations(&blueprint, &cost(10), &contract);
        assert_eq!(broken.len(), 1);
        assert_eq!(broken[0].clause, Clause::Scratch);
    }

    #[test]
    fn clauses_are_written_as_they_are_printed() {
        let all = [
            Clause::ParamsTotal,
            Clause::ParamsTrainable,
            Clause::MacsImage,
            Clause::MacsToken,
            Clause::WeightBytes,
            Clause::Backbones,
            Clause::Scratch,
            Clause::Families,
        ];
        for clause in all {
            assert_eq!(serde_json::to_value(clause).expect("serialises"), clause.as_str());
        }
    }
}
