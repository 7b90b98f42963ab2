use super::*;
use crate::{find, zoo};
use capwright_blueprint::Conv;
use serde_json::{Value, json};

fn tiny() -> Value {
    let conv = Conv { stride: 2, bias: true, ..Conv::same(3, 8, 3) };
    json!({
        "name": "tiny", "size": 64, "resize": 64, "filter": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        "sizes": {"least": 32, "most": 128, "step": 32}, "licence": "MIT", "source": "our lab",
        "graph": [
            {"name": "stem", "op": Op::Conv(conv), "inputs": ["input"]},
            {"name": "pool", "op": {"AvgPool": {"kernel": 4, "stride": 4, "padding": 0}}, "inputs": ["stem"]}
        ],
        "cuts": {"s8": "pool"}
    })
}

/// Everything that is wrong with an entry where one field has another value.
fn problems(at: &str, value: Value) -> Vec<String> {
    let mut entry = tiny();
    *entry.pointer_mut(at).unwrap() = value;
    Entry::read(&entry.to_string()).unwrap_err().0
}

#[test]
fn an_entry_is_a_backbone() {
    let entry = Entry::read(&tiny().to_string()).unwrap();
    let sha256 = "ab".repeat(32);
    let joining = Joining { entry, weights: "/tmp/tiny".into(), sha256: sha256.clone() };
    let backbone = joining.clone().backbone().unwrap();
    assert_eq!(backbone.parameters, 8 * 3 * 9 + 8);
    let built = backbone.graph(96).unwrap();
    assert_eq!(built.graph.shape(built.cuts[&Cut::S8]), Shape::new(8, 12, 12));
    assert!(backbone.graph(80).is_err() && backbone.graph(160).is_err());
    assert_eq!(backbone.weights().sha256.as_str(), sha256);
    assert!(Joining { sha256: "abcdabcd".into(), ..joining }.backbone().is_err());
}

#[test]
fn the_zoo_s_own_backbones_can_be_written_and_read() {
    for backbone in zoo() {
        let mut entry = Entry::of(backbone).unwrap();
        let built = entry.build(entry.size).unwrap();
        assert_eq!(built, backbone.graph(backbone.default_size).unwrap(), "{}", backbone.name);
        // Under a name of its own it could be added.
        entry.name = format!("my_{}", entry.name);
        let again = Entry::read(&serde_json::to_string(&entry).unwrap());
        assert_eq!(again.as_ref(), Ok(&entry), "{}", backbone.name);
    }
}

#[test]
fn what_is_wrong_is_told() {
    assert_eq!(
        problems("/name", json!("../x"))[0],
        "name: 1 to 64 small letters, digits and _, not \"../x\""
    );
    assert_eq!(problems("/name", json!("resnet18")), ["name: the zoo has its own resnet18"]);
    assert_eq!(problems("/graph/1/inputs", json!(["stam"]))[0], "pool: no step before it is called \"stam\"");
    assert_eq!(
        problems("/graph/0/op/Conv/stride", json!(0)),
        ["stem: kernels and strides must lie between 1 and 1024"]
    );
    assert_eq!(
        problems("/graph/0/op/Conv/groups", json!(2)),
        ["stem: groups must divide the channels that come in and go out"]
    );
    assert_eq!(
        problems("/cuts/s8", json!("stem")),
        ["cuts: a map of 8×32×32 for 64 pixels has no stride of 8"]
    );
    assert_eq!(problems("/cuts/s8", json!("input")), ["input: is no step that can be cut at"]);
    assert_eq!(problems("/std/0", json!(0.0)), ["std: numbers above 0"]);
    // All at once.
    let mut entry = tiny();
    (entry["name"], entry["size"], entry["top1"]) = (json!(""), json!(65), json!(101.0));
    entry["graph"][1]["name"] = json!("stem");
    assert!(Entry::read(&entry.to_string()).unwrap_err().0.len() >= 4);
    assert!(Entry::read("{\"name\": 1}").is_err() && Entry::read(&" ".repeat(MAX_ENTRY + 1)).is_err());
}

/// A small file cannot ask for more memory than there is.
#[test]
fn steps_that_take_too_much_memory_are_refused() {
    let with = |op: Op, size: usize, most: usize| {
        let mut entry = tiny();
        (entry["size"], entry["resize"], entry["sizes"]["most"]) = (json!(size), json!(size), json!(most));
        let step = json!({"name": "more", "op": op, "inputs": ["input"]});
        entry["graph"].as_array_mut().unwrap().push(step);
        Entry::read(&entry.to_string()).map(drop).map_err(|error| error.0)
    };
    let depthwise = Op::Conv(Conv { stride: 65_536, groups: 3, ..Conv::same(3, 3, 1) });
    let told = "more: kernels and strides must lie between 1 and 1024";
    assert_eq!(with(depthwise, 64, 128), Err(vec![told.to_owned()]));

    let attending = |size, most| with(Op::Attend { heads: 1 }, size, most);
    let needs = "more: needs 1099511627776 values beside its maps, and may have 1073741824";
    assert_eq!(attending(64, 160), Ok(()));
    assert_eq!(attending(1024, 1024), Err(vec![needs.to_owned()]));
    let lower = format!("{needs} for images of 1024 pixels; lower sizes.most");
    assert_eq!(attending(64, 1024), Err(vec![lower.clone()]));
    assert_eq!(attending(64, 1030).unwrap_err().last(), Some(&lower), "beside what else is wrong");
}

/// Each step is small enough by itself.
#[test]
fn cuts_that_keep_too_much_at_once_are_refused() {
    let mut entry = tiny();
    entry["sizes"]["most"] = json!(64);
    let act = Op::Act(capwright_blueprint::Activation::Relu);
    let steps = [
        ("stem", Op::Conv(Conv::same(3, 1 << 14, 1)), vec!["input"]),
        ("one", act, vec!["stem"]),
        ("other", act, vec!["stem"]),
        ("sum", Op::Add, vec!["one", "other"]),
        ("pool", Op::AvgPool { kernel: 8, stride: 8, padding: 0 }, vec!["sum"]),
    ];
    entry["graph"] = steps.map(|(name, op, inputs)| json!({"name": name, "op": op, "inputs": inputs})).into();
    let told = "pool: a cut there has 201326592 values alive at once, and may have 134217728";
    assert_eq!(Entry::read(&entry.to_string()).unwrap_err().0, [told]);
    // In a chain each map is given back.
    entry["graph"][3] = json!({"name": "sum", "op": act, "inputs": ["one"]});
    assert!(Entry::read(&entry.to_string()).is_ok());
}

/// Numbers that overflow, divide by nothing or ask for too much are refused, wherever they stand.
#[test]
fn absurd_numbers_never_panic() {
    let absurd = [0_u64, 1, 2, 3, 255, 65_535, 65_536, 1 << 31, 1 << 32, u64::MAX];
    for name in
        ["swin_t", "inception_v3", "mobilenet_v3_small", "shufflenet_v2_x0_5", "vit_b_32", "densenet121"]
    {
        let mut entry = Entry::of(find(name).unwrap()).unwrap();
        entry.name = "mine".into();
        let whole = serde_json::to_value(&entry).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for at in numbers(&whole, "") {
            // One place of each kind is enough.
            let kind: String = at.chars().filter(|c| !c.is_ascii_digit()).collect();
            if !seen.insert(kind) {
                continue;
            }
            for value in absurd {
                let mut changed = whole.clone();
                *changed.pointer_mut(&at).unwrap() = json!(value);
                let _ = Entry::read(&changed.to_string());
            }
        }
    }
}

/// Pointers to all numbers in a value.
fn numbers(value: &Value, at: &str) -> Vec<String> {
    match value {
        Value::Number(_) => vec![at.to_owned()],
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(i, item)| numbers(item, &format!("{at}/{i}"))).collect()
        }
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, item)| numbers(item, &format!("{at}/{name}"))).collect()
        }
        _ => Vec::new(),
    }
}
