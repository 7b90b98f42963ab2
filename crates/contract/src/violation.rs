//! What a design breaks of a contract.

use crate::words::Worded;
use crate::{Clause, Contract, Family, words};
use capwright_blueprint::language::Source;
use capwright_blueprint::{Blueprint, Cost, LeftOut};
use serde::{Deserialize, Serialize};

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
        write!(f, "{}: {} ({})", self.clause, self.message, self.hint)
    }
}

/// Every clause that a design with that cost breaks, of those that need no measurement; empty if it may be trained.
pub fn violations(blueprint: &Blueprint, cost: &Cost, contract: &Contract) -> Vec<Violation> {
    let mut broken = over_budget(cost, contract);
    broken.extend(source(blueprint, contract));
    broken.extend(family(blueprint, contract));
    broken.extend(image_size(blueprint, contract));
    broken.extend(parts(blueprint, contract));
    broken.extend(ranges(blueprint, contract));
    broken
}

/// What a design spends of a budget.
pub fn spent(cost: &Cost, clause: Clause) -> Option<u64> {
    Some(match clause {
        Clause::ParamsTotal => cost.params_total,
        Clause::ParamsTrainable => cost.params_trainable,
        Clause::MacsImage => cost.macs_image,
        Clause::MacsTrained => cost.macs_trained,
        Clause::MacsToken => cost.macs_token,
        Clause::WeightBytes => cost.weight_bytes,
        _ => return None,
    })
}

fn advice(clause: Clause) -> &'static str {
    match clause {
        Clause::ParamsTotal => "choose a smaller backbone, an earlier cut, or narrower layers",
        Clause::ParamsTrainable => {
            "choose a smaller hidden width, embedding or number of layers, or fewer channels in trained blocks"
        }
        Clause::MacsImage => "choose a smaller image, a lighter backbone, or fewer channels",
        Clause::MacsTrained => {
            "start from a frozen backbone, or choose a smaller image, fewer channels or fewer trained blocks"
        }
        Clause::MacsToken => "choose a narrower or shallower decoder",
        _ => "choose a smaller backbone or narrower layers; each parameter takes 4 bytes",
    }
}

fn over_budget(cost: &Cost, contract: &Contract) -> Vec<Violation> {
    let broken = contract.budgets.bounds().filter_map(|(clause, bound)| {
        let value = spent(cost, clause)?;
        (!clause.side().keeps(value as f64, bound.as_f64())).then(|| Violation {
            clause,
            bound: bound.to_string(),
            value: value.to_string(),
            message: format!("the design has {value} {}, at most {bound} are allowed", clause.noun()),
            hint: advice(clause).to_owned(),
        })
    });
    broken.collect()
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

fn source(blueprint: &Blueprint, contract: &Contract) -> Option<Violation> {
    let parts = &contract.components;
    let list = match &parts.backbones {
        None => "every backbone".to_owned(),
        Some(names) if names.is_empty() => "none".to_owned(),
        Some(names) => names.join(", "),
    };
    let source = &blueprint.encoder.source;
    if let Some(backbone) = source.backbones().into_iter().find(|name| !parts.allows_backbone(name)) {
        return Some(Violation {
            clause: Clause::Backbones,
            bound: list.clone(),
            value: backbone.to_owned(),
            message: format!("the backbone {backbone:?} is not allowed; allowed: {list}"),
            hint: if list == "none" {
                "use the source \"scratch\"".to_owned()
            } else {
                format!("use one of: {list}")
            },
        });
    }
    let scratch = matches!(source, Source::Scratch { .. }) && !parts.scratch;
    scratch.then(|| Violation {
        clause: Clause::Scratch,
        bound: "false".to_owned(),
        value: "true".to_owned(),
        message: "encoders trained from scratch are not allowed".to_owned(),
        hint: format!("use the source \"pretrained\" with one of: {list}"),
    })
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

fn parts(blueprint: &Blueprint, contract: &Contract) -> Vec<Violation> {
    let (required, forbidden) = (&contract.components.required, &contract.components.forbidden);
    if required.is_empty() && forbidden.is_empty() {
        return Vec::new();
    }
    let found = blueprint.said();
    let missing = required.iter().filter(|word| !words::has(&found, word)).map(|word| Violation {
        clause: Clause::Required,
        bound: word.clone(),
        value: "absent".to_owned(),
        message: format!("every design must have {word:?}"),
        hint: match words::members(word) {
            Some(members) => format!("use one of: {}", members.join(", ")),
            None => format!("add {word:?}"),
        },
    });
    let unwritten = words::unwritten(blueprint);
    let present = forbidden.iter().filter(|word| words::has(&found, word)).map(|word| Violation {
        clause: Clause::Forbidden,
        bound: word.clone(),
        value: "present".to_owned(),
        message: format!("no design may have {word:?}"),
        hint: match unwritten.iter().find(|left| left.word == *word) {
            Some(left) => instead(left, forbidden),
            None => format!("use something else than {word:?}"),
        },
    });
    missing.chain(present).collect()
}

/// What to do where a design has a forbidden word because it leaves a field out.
fn instead(left: &LeftOut, forbidden: &[String]) -> String {
    let LeftOut { at, word, others } = left;
    let allowed: Vec<&str> =
        others.iter().filter(|other| !forbidden.contains(other)).map(String::as_str).collect();
    if allowed.is_empty() {
        return format!("use something else than what has {at}, which is {word:?} where it is left out");
    }
    format!("{at} is {word:?} where it is left out; write one of: {}", allowed.join(", "))
}

fn ranges(blueprint: &Blueprint, contract: &Contract) -> Vec<Violation> {
    if contract.ranges.is_empty() {
        return Vec::new();
    }
    let broken = words::numbers(blueprint).into_iter().filter_map(|(pointer, field, value)| {
        let range = contract.ranges.get(&field).filter(|range| !range.holds(value))?;
        let fitting: Vec<String> =
            words::menu(&field)?.iter().filter(|v| range.holds(**v)).map(f64::to_string).collect();
        Some(Violation {
            clause: Clause::Ranges,
            bound: format!("{field} {range}"),
            value: value.to_string(),
            message: format!("{field} is {value} at {pointer}; it must be {range}"),
            hint: format!("use one of: {}", fitting.join(", ")),
        })
    });
    broken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Range;
    use crate::contract::tests::open_contract;

    const TEXT: &str = r#"{"encoder":{"input":224,"source":{"kind":"pretrained","backbone":"resnet18","cut":"s32"},
        "blocks":[]},"bridge":{"dim":256,"dropout_pct":10},"decoder":{"family":"recurrent",
        "cell":"gru","embed":256,"hidden":512,"layers":1,"image":"initial_state","attention":"dot","dropout_pct":30},
        "recipe":{"lr":0.001,"schedule":"cosine","weight_decay":0.01,"label_smoothing":0.1,"clip":3.0,"batch":32}}"#;

    fn blueprint() -> Blueprint {
        serde_json::from_str(TEXT).expect("a blueprint")
    }

    fn cost(n: u64) -> Cost {
        Cost {
            params_total: n,
            params_trainable: n,
            macs_image: n,
            macs_trained: n,
            macs_token: n,
            weight_bytes: n,
        }
    }

    fn broken(contract: &Contract) -> Vec<Clause> {
        violations(&blueprint(), &cost(10), contract).iter().map(|v| v.clause).collect()
    }

    #[test]
    fn everything_broken_is_said_at_once_and_bounds_are_inclusive() {
        let mut contract = open_contract();
        contract.components.families = vec![Family::Lstm, Family::Transformer];
        contract.budgets = crate::Budgets {
            params_total: Some(9),
            params_trainable: Some(10),
            macs_image: Some(9),
            macs_trained: Some(9),
            macs_token: Some(9),
            weight_bytes: Some(9),
        };
        use Clause::*;
        assert_eq!(
            broken(&contract),
            [ParamsTotal, MacsImage, MacsTrained, MacsToken, WeightBytes, Backbones, Families]
        );
    }

    #[test]
    fn parts_can_be_required_and_forbidden() {
        let mut contract = open_contract();
        contract.components.backbones = None;
        contract.components.required = ["attention", "dot", "resnet18"].map(str::to_owned).to_vec();
        assert_eq!(broken(&contract), []);
        contract.components.required.push("cbam".to_owned());
        contract.components.forbidden = ["gru", "se"].map(str::to_owned).to_vec();
        assert_eq!(broken(&contract), [Clause::Required, Clause::Forbidden]);
    }

    #[test]
    fn what_a_design_leaves_out_counts_as_what_it_is() {
        let mut contract = open_contract();
        contract.components.backbones = None;
        contract.components.required =
            ["frozen", "separate", "plain", "cells", "adamw"].map(str::to_owned).to_vec();
        assert_eq!(broken(&contract), []);
        // Nothing at all is no part, unless it is written.
        contract.components.required = vec!["none".to_owned()];
        assert_eq!(broken(&contract), [Clause::Required]);
        contract.components.required.clear();
        contract.components.forbidden = ["none", "gelu", "pre"].map(str::to_owned).to_vec();
        assert_eq!(broken(&contract), []);
        contract.components.forbidden = ["frozen", "separate", "all"].map(str::to_owned).to_vec();
        let found = violations(&blueprint(), &cost(10), &contract);
        let hints: Vec<&str> = found.iter().map(|v| v.hint.as_str()).collect();
        assert_eq!(
            hints,
            [
                "/encoder/source/tune is \"frozen\" where it is left out; write one of: last_stage, \
                 last_stage_with_statistics, all_with_statistics",
                "/decoder/embeddings is \"separate\" where it is left out; write one of: tied",
            ]
        );
        let mut forbidden = |text: &str, word: &str| {
            let blueprint: Blueprint = serde_json::from_str(text).expect("a blueprint");
            contract.components.forbidden = vec![word.to_owned()];
            !violations(&blueprint, &cost(10), &contract).is_empty()
        };
        let text = TEXT.replace(
            "\"blocks\":[]",
            r#""blocks":[{"op":"conv","out":8,"kernel":1,"stride":1,"act":"relu"}]"#,
        );
        assert!(forbidden(&text, "batch"));
        assert!(!forbidden(&text.replace("\"act\"", "\"norm\":\"layer\",\"act\""), "batch"));
    }

    #[test]
    fn ranges_hold_for_every_field_of_that_name() {
        let mut contract = open_contract();
        contract.components.backbones = None;
        contract.ranges.insert("hidden".to_owned(), Range { min: Some(512.0), max: Some(512.0) });
        contract.ranges.insert("heads".to_owned(), Range { min: Some(8.0), max: None });
        assert_eq!(broken(&contract), []);
        contract.ranges.insert("dropout_pct".to_owned(), Range { min: Some(20.0), max: None });
        contract.ranges.insert("lr".to_owned(), Range { min: None, max: Some(0.0005) });
        let found = violations(&blueprint(), &cost(10), &contract);
        let messages: Vec<&str> = found.iter().map(|v| v.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "dropout_pct is 10 at /bridge/dropout_pct; it must be at least 20",
                "lr is 0.001 at /recipe/lr; it must be at most 0.0005",
            ]
        );
        assert_eq!(found[0].hint, "use one of: 20, 30, 40, 50");
        contract.ranges = [("ema".to_owned(), Range { min: Some(0.99), max: None })].into();
        assert_eq!(broken(&contract), [Clause::Ranges], "a field that is left out has its default");
    }

    #[test]
    fn an_allowed_design_breaks_nothing_and_scratch_can_be_forbidden() {
        let mut blueprint = blueprint();
        let mut contract = open_contract();
        contract.components.backbones = Some(vec!["resnet18".to_owned()]);
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
}
