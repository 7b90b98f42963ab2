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
use capwright_blueprint::memory::peak_values;
use capwright_blueprint::{Graph, MAX_ALIVE, NodeId, Op, Param, Shape, ShapeError};
use capwright_fetch::{BadSha, Sha};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// Bytes of an entry, at most.
pub const MAX_ENTRY: usize = 4 << 20;

/// Learned values, at most.
const MAX_VALUES: u64 = 1_000_000_000;

/// Values of an image that are alive at once, at most: of several cuts beside each other a design keeps the others meanwhile.
const MAX_CUT: u64 = MAX_ALIVE / 2;

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

/// What is wrong with the graph of an entry, for images of one side.
#[derive(Default)]
struct Faults {
    /// Steps and cuts that cannot be.
    wrong: Vec<ShapeError>,
    /// Steps that take too much memory, and cuts.
    large: Vec<ShapeError>,
}

impl Faults {
    fn all(self) -> impl Iterator<Item = ShapeError> {
        self.wrong.into_iter().chain(self.large)
    }
}

fn fault(step: &str, reason: impl Into<String>) -> ShapeError {
    ShapeError { node: step.to_owned(), reason: reason.into() }
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
        if (1..=MAX_SIZE).contains(&entry.size) {
            let (built, faults) = entry.lower(entry.size);
            let larger = entry.too_large(&faults);
            problems.extend(faults.all().map(|error| error.to_string()));
            problems.extend(entry.wrong_cuts(&built));
            problems.extend(larger);
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
        problems
    }

    /// The graph for images of that side, and all that is wrong with its steps and cuts. What reads a step that is wrong is left out.
    fn lower(&self, size: usize) -> (BackboneGraph, Faults) {
        let mut graph = Graph::new(Shape::new(3, size, size));
        let mut ids: HashMap<&str, Option<NodeId>> = HashMap::from([("input", Some(0))]);
        let mut faults = Faults::default();
        for step in self.graph.iter().take(MAX_NODES) {
            let unknown = step.inputs.iter().filter(|name| !ids.contains_key(name.as_str()));
            let unknown =
                unknown.map(|name| fault(&step.name, format!("no step before it is called {name:?}")));
            faults.wrong.extend(unknown);
            let inputs: Option<Vec<NodeId>> =
                step.inputs.iter().map(|name| ids.get(name.as_str()).copied().flatten()).collect();
            let added = inputs.and_then(|inputs| step.join(&mut graph, &inputs, &mut faults));
            if step.name.is_empty() || ids.insert(&step.name, added).is_some() {
                faults.wrong.push(fault(&step.name, "is the name of no step, or of two"));
            }
        }
        if graph.totals().parameters > MAX_VALUES {
            faults.wrong.push(fault("graph", format!("more than {MAX_VALUES} learned values")));
        }
        let mut cuts = BTreeMap::new();
        for (cut, name) in &self.cuts {
            match ids.get(name.as_str()) {
                Some(Some(id)) if *id > 0 => drop(cuts.insert(*cut, *id)),
                // Why it is not there has been said.
                Some(None) => {}
                _ => faults.wrong.push(fault(name, "is no step that can be cut at")),
            }
        }
        for id in cuts.values() {
            let alive = peak_values(&graph.cut(*id));
            if alive > MAX_CUT {
                let reason = format!("a cut there has {alive} values alive at once, and may have {MAX_CUT}");
                faults.large.push(fault(&graph.nodes()[*id].name, reason));
            }
        }
        (BackboneGraph { graph, cuts }, faults)
    }

    /// The graph, or the first thing that is wrong with it.
    pub(crate) fn build(&self, size: usize) -> Built {
        let (built, faults) = self.lower(size);
        faults.all().next().map_or(Ok(built), Err)
    }

    /// Steps that take too much memory for the largest images, and not yet for those that it was trained on. Whether shapes fit is asked
    /// for the sides of designs.
    fn too_large(&self, known: &Faults) -> Vec<String> {
        let Sizes { most, step, .. } = self.sizes;
        let largest = most - most.checked_rem(step).unwrap_or(0);
        if !(1..=MAX_SIZE).contains(&largest) {
            return Vec::new();
        }
        let new = |error: &ShapeError| !known.large.iter().any(|other| other.node == error.node);
        let large = self.lower(largest).1.large.into_iter().filter(new);
        large.map(|error| format!("{error} for images of {largest} pixels; lower sizes.most")).collect()
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

impl Step {
    /// Adds the step to a graph, unless something is wrong with it.
    fn join(&self, graph: &mut Graph, inputs: &[NodeId], faults: &mut Faults) -> Option<NodeId> {
        let shapes: Vec<Shape> = inputs.iter().map(|id| graph.shape(*id)).collect();
        let learned = || self.op.parameters("").iter().map(Param::len).fold(0, usize::saturating_add) as u64;
        let fits = self.op.sound(&shapes).and_then(|()| self.op.shape(&shapes));
        let fits = fits.and_then(|shape| match learned() {
            0..=MAX_VALUES => Ok(shape),
            _ => Err(format!("more than {MAX_VALUES} learned values")),
        });
        match fits.map(|shape| self.op.affordable(shapes[0], shape)) {
            Ok(Ok(())) => {
                graph.add(&self.name, self.op, inputs).map_err(|error| faults.wrong.push(error)).ok()
            }
            Ok(Err(reason)) => {
                faults.large.push(fault(&self.name, reason));
                None
            }
            Err(reason) => {
                faults.wrong.push(fault(&self.name, reason));
                None
            }
        }
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
            own: Some(Box::leak(Box::new(entry))),
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
mod tests;
