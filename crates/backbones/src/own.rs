//! Backbones of one's own: an entry and its graph as data, under the rules that the zoo's own keep.
//!
//! ```json
//! {"name": "tiny", "size": 64, "resize": 64, "filter": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
//!  "sizes": {"least": 32, "most": 128, "step": 32}, "licence": "MIT", "source": "our lab", "paper": "none", "top1": 0.0,
//!  "graph": [{"name": "stem", "op": {"Conv": {"input": 3, "output": 8, "kernel": 3, "width": 3, "stride": 2,
//!              "padding": {"top": 1, "bottom": 1, "left": 1, "right": 1}, "dilation": 1, "groups": 1, "bias": true}},
//!             "inputs": ["input"]},
//!            {"name": "pool", "op": {"AvgPool": {"kernel": 4, "stride": 4, "padding": 0}}, "inputs": ["stem"]}],
//!  "cuts": {"s8": "pool"}}
//! ```

use crate::builder::Built;
use crate::family::FAMILIES;
use crate::{
    Backbone, BackboneGraph, Filter, MAX_SIZE, Normalisation, Place, SizeError, TORCHVISION, WeightsManifest,
};
use capwright_blueprint::language::Cut;
use capwright_blueprint::{Graph, NodeId, Op, Shape, ShapeError};
use capwright_fetch::{BadSha, Sha};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// Bytes of an entry, at most.
pub const MAX_ENTRY: usize = 4 << 20;

/// Learned values, at most.
const MAX_VALUES: u64 = 1_000_000_000;

/// Values of one map for one image, at most.
const MAX_MAP: usize = 1 << 26;

/// Nodes of a graph, at most.
const MAX_NODES: usize = 10_000;

/// Bytes of a name, at most.
const MAX_NAME: usize = 64;

/// A backbone as a file says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name in the zoo: small letters, digits and `_`.
    pub name: String,
    /// Side of the images that it was trained on, in pixels.
    pub size: usize,
    /// Shorter side that a photo is brought to before these are cut from its middle.
    pub resize: usize,
    /// How.
    pub filter: Filter,
    /// Subtracted from pixels of 0..=1, a value a colour.
    pub mean: [f32; 3],
    /// What they are then divided by.
    pub std: [f32; 3],
    /// Sides that it can read.
    pub sizes: Sizes,
    /// Licence of the weights.
    pub licence: String,
    /// Where it comes from.
    pub source: String,
    /// The paper that describes it.
    #[serde(default)]
    pub paper: String,
    /// ImageNet-1k top-1 accuracy in percent; 0 where it is not known.
    #[serde(default)]
    pub top1: f32,
    /// The steps, each after those that it reads. `input` is the image, `[3, size, size]`.
    pub graph: Vec<Step>,
    /// The step whose map is taken, by stride.
    pub cuts: BTreeMap<Cut, String>,
}

/// Sides in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// The smallest.
    pub least: usize,
    /// The largest.
    pub most: usize,
    /// All are multiples of it.
    pub step: usize,
}

/// A step of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Begin of the names of its values in the weights file.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// The steps that it reads.
    pub inputs: Vec<String>,
}

/// What is wrong with an entry: everything, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct EntryError(pub Vec<String>);

impl Entry {
    /// A backbone of the zoo as an entry, for images of the size on which it was trained.
    pub fn of(backbone: &Backbone) -> Result<Self, SizeError> {
        let BackboneGraph { graph, cuts } = backbone.graph(backbone.default_size)?;
        let name = |id: &NodeId| graph.nodes()[*id].name.clone();
        let steps = graph.nodes().iter().skip(1);
        let Normalisation { mean, std } = backbone.normalisation;
        Ok(Self {
            name: backbone.name.into(),
            size: backbone.default_size,
            resize: backbone.resize,
            filter: backbone.filter,
            mean,
            std,
            sizes: Sizes { least: backbone.min_size, most: backbone.max_size, step: backbone.step },
            licence: backbone.licence.into(),
            source: backbone.upstream.into(),
            paper: backbone.paper.into(),
            top1: backbone.top1,
            graph: steps
                .map(|node| Step {
                    name: node.name.clone(),
                    op: node.op,
                    inputs: node.inputs.iter().map(name).collect(),
                })
                .collect(),
            cuts: cuts.iter().map(|(cut, id)| (*cut, name(id))).collect(),
        })
    }

    /// Reads an entry and checks all of it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(text: &str) -> Result<Self, EntryError> {
        let one = |problem: String| EntryError(vec![problem]);
        if text.len() > MAX_ENTRY {
            return Err(one(format!("an entry of {} bytes; the limit is {MAX_ENTRY}", text.len())));
        }
        let entry: Self = serde_json::from_str(text).map_err(|error| one(error.to_string()))?;
        let mut problems = entry.facts();
        match entry.build(entry.size) {
            Ok(built) if problems.is_empty() => problems.extend(entry.wrong_cuts(&built)),
            Ok(_) => {}
            Err(error) => problems.push(error.to_string()),
        }
        if problems.is_empty() { Ok(entry) } else { Err(EntryError(problems)) }
    }

    /// What is wrong apart from shapes.
    fn facts(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut hold = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let named = (1..=MAX_NAME).contains(&self.name.len()) && self.name.chars().all(letter);
        hold(named, format!("name: 1 to {MAX_NAME} small letters, digits and _, not {:?}", self.name));
        let taken = FAMILIES.iter().flat_map(|family| family.backbones).any(|b| b.name == self.name);
        hold(!taken, format!("name: the zoo has its own {}", self.name));
        let Sizes { least, most, step } = self.sizes;
        let sides = 1 <= least && least <= most && most <= MAX_SIZE && step > 0;
        hold(sides, format!("sizes: from 1 to {MAX_SIZE} pixels in steps of at least 1"));
        let size = sides && (least..=most).contains(&self.size) && self.size.is_multiple_of(step);
        hold(size, format!("size: {} is none of `sizes`", self.size));
        hold((self.size..=4 * MAX_SIZE).contains(&self.resize), "resize: at least `size`".into());
        hold(self.mean.iter().all(|x| x.is_finite()), "mean: finite numbers".into());
        hold(self.std.iter().all(|x| x.is_finite() && *x > 0.0), "std: numbers above 0".into());
        hold((0.0..=100.0).contains(&self.top1), "top1: 0 to 100 percent".into());
        hold(!self.cuts.is_empty(), "cuts: at least one".into());
        hold((1..=MAX_NODES).contains(&self.graph.len()), format!("graph: 1 to {MAX_NODES} steps"));
        let mut before = HashMap::from([("input", 0)]);
        for (at, step) in self.graph.iter().enumerate() {
            if let Err(problem) = step.op.sound(step.inputs.len()) {
                hold(false, format!("graph/{at} ({}): {problem}", step.name));
            }
            for input in step.inputs.iter().filter(|input| !before.contains_key(input.as_str())) {
                hold(false, format!("graph/{at} ({}): no step before it is called {input:?}", step.name));
            }
            let new = !step.name.is_empty() && before.insert(&step.name, at + 1).is_none();
            hold(new, format!("graph/{at}: a second step called {:?}", step.name));
        }
        problems
    }

    /// The graph for images of that side.
    fn build(&self, size: usize) -> Built {
        let fail = |node: &str, reason: String| ShapeError { node: node.into(), reason };
        let mut graph = Graph::new(Shape::new(3, size, size));
        let mut ids: HashMap<&str, NodeId> = HashMap::from([("input", 0)]);
        for step in self.graph.iter().take(MAX_NODES) {
            step.op.sound(step.inputs.len()).map_err(|reason| fail(&step.name, reason))?;
            let inputs: Option<Vec<NodeId>> =
                step.inputs.iter().map(|name| ids.get(name.as_str()).copied()).collect();
            let inputs =
                inputs.ok_or_else(|| fail(&step.name, "reads what does not come before it".into()))?;
            let id = graph.add(&step.name, step.op, &inputs)?;
            if graph.shape(id).len() > MAX_MAP {
                return Err(fail(&step.name, format!("a map of {} is too large", graph.shape(id))));
            }
            ids.insert(&step.name, id);
        }
        if graph.totals().parameters > MAX_VALUES {
            return Err(fail("graph", format!("more than {MAX_VALUES} learned values")));
        }
        let cut = |(cut, name): (&Cut, &String)| {
            let id = ids.get(name.as_str()).copied().filter(|id| *id > 0);
            id.map(|id| (*cut, id)).ok_or_else(|| fail(name, "is no step that can be cut at".into()))
        };
        let cuts = self.cuts.iter().map(cut).collect::<Result<_, _>>()?;
        Ok(BackboneGraph { graph, cuts })
    }

    /// Cuts whose maps do not have the stride that they are named after; a cell may be lost where nothing is padded.
    fn wrong_cuts(&self, built: &BackboneGraph) -> Vec<String> {
        let wrong = |(cut, id): (&Cut, &NodeId)| {
            let (shape, stride) = (built.graph.shape(*id), cut.stride());
            let (most, least) = (self.size.div_ceil(stride), (self.size / stride).saturating_sub(3).max(1));
            let fits = shape.h == shape.w && (least..=most).contains(&shape.h);
            (!fits)
                .then(|| format!("cuts: a map of {shape} for {} pixels has no stride of {stride}", self.size))
        };
        built.cuts.iter().filter_map(wrong).collect()
    }
}

/// An entry that joined, for as long as the program runs.
#[derive(Debug)]
pub(crate) struct Own(Entry);

impl Own {
    pub(crate) fn build(&self, size: usize) -> Built {
        self.0.build(size)
    }
}

/// A backbone that is to join the zoo.
#[derive(Debug, Clone, PartialEq)]
pub struct Joining {
    /// What it is.
    pub entry: Entry,
    /// Its weights.
    pub weights: String,
    /// The sha256 of these: 64 hexadecimal digits.
    pub sha256: String,
}

impl Joining {
    /// As the zoo holds it. What it points to stays in memory: entries join once, when a program begins.
    ///
    /// # Errors
    /// Where the sha256 is none.
    pub fn backbone(self) -> Result<Backbone, BadSha> {
        let Self { entry, weights, sha256 } = self;
        if !Sha::new(&sha256)?.is_full() {
            return Err(BadSha(sha256));
        }
        let keep = |text: String| -> &'static str { text.leak() };
        let built = entry.build(entry.size).expect("an entry that was read");
        Ok(Backbone {
            name: keep(entry.name.clone()),
            normalisation: Normalisation { mean: entry.mean, std: entry.std },
            default_size: entry.size,
            resize: entry.resize,
            filter: entry.filter,
            min_size: entry.sizes.least,
            step: entry.sizes.step,
            max_size: entry.sizes.most,
            parameters: built.graph.totals().parameters,
            top1: entry.top1,
            paper: keep(entry.paper.clone()),
            upstream: keep(entry.source.clone()),
            tag: "own",
            licence: keep(entry.licence.clone()),
            weights: WeightsManifest {
                file_name: keep(format!("{}.safetensors", entry.name)),
                sha256: keep(sha256),
                places: Box::leak(Box::new([Place::Local(keep(weights))])),
            },
            own: Some(Box::leak(Box::new(Own(entry)))),
            ..TORCHVISION
        })
    }
}

static JOINED: OnceLock<Vec<Backbone>> = OnceLock::new();

/// Lets backbones join the zoo. Once, before the zoo is first asked for: `false` where it is too late.
pub fn join(backbones: Vec<Backbone>) -> bool {
    JOINED.set(backbones).is_ok()
}

/// Those that joined.
pub(crate) fn joined() -> &'static [Backbone] {
    JOINED.get_or_init(Vec::new)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            problems("/graph/1/inputs", json!(["stam"]))[0],
            "graph/1 (pool): no step before it is called \"stam\""
        );
        assert_eq!(
            problems("/graph/0/op/Conv/stride", json!(0))[0],
            "graph/0 (stem): counts must lie between 1 and 65536"
        );
        assert_eq!(problems("/graph/0/op/Conv/groups", json!(2)).len(), 2);
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
}
