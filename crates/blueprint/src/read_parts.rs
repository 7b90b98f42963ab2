//! What still fits together in a design with problems of structure: each sound part is checked beside parts that are
//! known to be right, so that no problem hides another and none is reported that is not there.

use crate::check::{Zoo, check};
use crate::design::Target;
use crate::diagnostic::Diagnostic;
use serde_json::Value;

/// A design without problems in any zoo, whose decoder reads one token whatever the encoder gives.
const RIGHT: &str = r#"{"encoder":{"input":32,"source":{"kind":"scratch","stem":8,
    "stages":[{"kind":"conv","out":8,"repeat":1}]},"blocks":[]},"bridge":{"dim":64,"dropout_pct":0},
    "decoder":{"family":"transformer","memory":"global","dim":64,"layers":1,"heads":1,"ff":1,"dropout_pct":0},
    "recipe":{"lr":0.001,"schedule":"constant","weight_decay":0.0,"label_smoothing":0.0,"clip":1.0,"batch":8}}"#;

/// Problems of composition in the parts that `problems` do not touch.
pub(crate) fn check_sound(
    value: &Value,
    problems: &[Diagnostic],
    zoo: &dyn Zoo,
    target: Target,
) -> Vec<Diagnostic> {
    let Ok(right) = serde_json::from_str::<Value>(RIGHT) else { return Vec::new() };
    let touched = |prefix: &str| {
        problems.iter().any(|p| {
            p.pointer.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let mut found = Vec::new();
    let mut whole = right.clone();
    for section in ["encoder", "bridge", "decoder", "recipe"] {
        let (at, Some(part)) = (format!("/{section}"), value.get(section)) else { continue };
        let mut alone = right.clone();
        if !touched(&at) {
            whole[section] = part.clone();
            alone[section] = part.clone();
        } else if let Some(sound) = (section == "encoder").then(|| first_blocks(part, &touched)).flatten() {
            alone[section] = sound;
        } else {
            continue;
        }
        found.extend(compose(&alone, zoo, target).into_iter().filter(|p| p.pointer.starts_with(&at)));
    }
    // Sound sections together: what only shows between them, such as a grid that is too fine for attention.
    for problem in compose(&whole, zoo, target) {
        if !found.contains(&problem) {
            found.push(problem);
        }
    }
    found
}

fn compose(value: &Value, zoo: &dyn Zoo, target: Target) -> Vec<Diagnostic> {
    let Ok(blueprint) = serde_json::from_value(value.clone()) else { return Vec::new() };
    check(blueprint, zoo, target).err().unwrap_or_default()
}

/// The encoder with the blocks before the first broken one; none where anything else in it is broken.
fn first_blocks(encoder: &Value, touched: &dyn Fn(&str) -> bool) -> Option<Value> {
    let fields = encoder.as_object()?;
    if fields.keys().any(|name| name != "blocks" && touched(&format!("/encoder/{name}"))) {
        return None;
    }
    let blocks = encoder.get("blocks")?.as_array()?;
    let sound = (0..blocks.len()).take_while(|i| !touched(&format!("/encoder/blocks/{i}"))).count();
    let mut part = encoder.clone();
    *part.get_mut("blocks")? = Value::Array(blocks.iter().take(sound.min(4)).cloned().collect());
    Some(part)
}
