//! What a network sees of an image: features of the frozen parts of its design, or the pixels where there are none.

use crate::error::TrainError;
use crate::network::{Input, Network};
use crate::vision::{FrozenNet, Weights, WeightsError};
use burn::tensor::{Device, Tensor, TensorData};
use capwright_backbones::{Backbone, find};
use capwright_blueprint::language::Cut;
use capwright_blueprint::{Design, Frozen, Graph, Shape};
use capwright_caption_data::Preprocess;
use capwright_study::TrialSpec;
use half::f16;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Weights of backbones by their names in the zoo.
pub type BackboneWeights = BTreeMap<String, Weights>;

/// The frozen parts of a design, each with the pixels that it wants; with no part, just the pixels.
pub struct FeatureExtractor {
    parts: Vec<Part>,
    preprocess: Vec<Preprocess>,
    shape: Shape,
}

/// A frozen part, and where it comes from.
struct Part {
    net: FrozenNet,
    backbone: String,
    cut: Cut,
}

/// How images are made ready: for each frozen part, or for the pixels that the trunk reads. The size is the design's, the
/// normalisation the backbone's, or ImageNet's for encoders from scratch.
///
/// # Errors
/// [`TrainError::Spec`] for a backbone that is not in the zoo.
pub fn preprocess(design: &Design) -> Result<Vec<Preprocess>, TrainError> {
    let size = design.image_size as u32;
    let of = |name: &str| {
        let normalisation = backbone(name)?.normalisation;
        Ok(Preprocess::new(size, normalisation.mean, normalisation.std))
    };
    if !design.frozen.is_empty() {
        return design.frozen.iter().map(|part| of(&part.name)).collect();
    }
    Ok(vec![design.tuned.as_deref().map_or_else(|| Ok(Preprocess::imagenet(size)), of)?])
}

/// The backbone of that name.
///
/// # Errors
/// [`TrainError::Spec`] where the zoo has none.
pub fn backbone(name: &str) -> Result<&'static Backbone, TrainError> {
    find(name).ok_or_else(|| TrainError::Spec(format!("there is no backbone {name} in the zoo")))
}

/// sha256, in hex, of a graph with steps of a backbone, where that is one of one's own.
pub fn own_graph(backbone: &Backbone, graph: &Graph) -> Option<String> {
    let text = || serde_json::to_vec(graph.nodes()).expect("nodes are plain data");
    backbone.is_own().then(|| Sha256::digest(text()).iter().map(|b| format!("{b:02x}")).collect())
}

/// [`own_graph`] of each part of a design that has one, frozen or trained.
pub fn own_graphs(design: &Design) -> Vec<String> {
    let frozen = design.frozen.iter().map(|part| (part.name.as_str(), &*part.graph));
    let tuned = design.tuned.iter().map(|name| (name.as_str(), &design.trunk));
    frozen.chain(tuned).filter_map(|(name, graph)| own_graph(find(name)?, graph)).collect()
}

/// Opens the weights that a trial names, for each backbone of its design.
///
/// # Errors
/// [`TrainError::Spec`] where one is not named, [`TrainError::Weights`] where one cannot be used.
pub fn open_weights(spec: &TrialSpec) -> Result<BackboneWeights, TrainError> {
    let names = spec.blueprint.encoder.source.backbones();
    if let Some(name) = names.get(spec.weights.len()) {
        return Err(TrainError::Spec(format!("the design uses {name} but no weights file is named for it")));
    }
    let open = |(name, file): (&str, &capwright_study::WeightsFile)| {
        Ok((name.to_owned(), Weights::of(backbone(name)?, &file.path, &file.sha256)?))
    };
    names.into_iter().zip(&spec.weights).map(open).collect()
}

/// The weights of a backbone.
///
/// # Errors
/// [`TrainError::Spec`] where they are not there.
pub fn weights_of<'a>(all: &'a BackboneWeights, name: &str) -> Result<&'a Weights, TrainError> {
    all.get(name).ok_or_else(|| TrainError::Spec(format!("the weights of {name} are missing")))
}

impl FeatureExtractor {
    /// The frozen parts with their weights, one for each.
    ///
    /// # Errors
    /// [`TrainError::Weights`] where weights do not fit their part.
    pub fn new<'a>(
        design: &Design,
        weights: impl IntoIterator<Item = &'a Weights>,
        preprocess: Vec<Preprocess>,
    ) -> Result<Self, TrainError> {
        let load = |(part, weights): (&Frozen, &Weights)| {
            let net = FrozenNet::load(&part.graph, weights)?;
            Ok(Part { net, backbone: part.name.clone(), cut: part.cut })
        };
        let parts: Result<Vec<Part>, WeightsError> = design.frozen.iter().zip(weights).map(load).collect();
        Ok(Self { parts: parts?, preprocess, shape: design.trunk.input_shape() })
    }

    /// Side of the square image in pixels.
    pub fn side(&self) -> u32 {
        self.preprocess.first().map_or(0, |p| p.size)
    }

    /// What the network reads for an image of RGB pixels, `[side, side, 3]`: a map `[c, h, w]`.
    pub fn extract(&self, rgb: &[u8]) -> Vec<f32> {
        let mut pixels = vec![0.0; rgb.len()];
        if self.parts.is_empty() {
            self.preprocess.iter().for_each(|p| p.to_chw(rgb, &mut pixels));
            return pixels;
        }
        let mut map = Vec::with_capacity(self.shape.len());
        for (part, preprocess) in self.parts.iter().zip(&self.preprocess) {
            preprocess.to_chw(rgb, &mut pixels);
            map.extend(features(&part.net, &pixels));
        }
        map
    }

    /// Of what was extracted from an image the first part, by backbone and cut, that is infinite or no number in 16 bits.
    pub fn out_of_range(&self, map: &[f32]) -> Option<(&str, Cut)> {
        let mut rest = map;
        self.parts.iter().find_map(|part| {
            let (own, others) = rest.split_at(part.net.output_shape().len());
            rest = others;
            own.iter().any(|x| !x.is_finite()).then_some((part.backbone.as_str(), part.cut))
        })
    }

    /// Images, each as [`FeatureExtractor::extract`] gives it, as one input of `network`.
    pub fn batch(&self, network: &Network, images: &[Vec<f32>]) -> Input {
        let shape = self.shape;
        let data = TensorData::new(images.concat(), [images.len(), shape.c, shape.h, shape.w]);
        let map = Tensor::<4>::from_data(data, &Device::flex());
        if !network.reads_tokens() {
            return Input::Map(map);
        }
        let cells = map.reshape([images.len(), shape.c, shape.h * shape.w]);
        Input::Tokens(cells.swap_dims(1, 2))
    }
}

/// Features of an image, rounded to the 16 bits that the feature cache keeps: the captions are then the very ones that were
/// scored.
pub(crate) fn features(net: &FrozenNet, pixels: &[f32]) -> Vec<f32> {
    net.forward_image(pixels).into_iter().map(|x| f16::from_f32(x).to_f32()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::vision::features::tests::{net, scaled, spec};
    use capwright_backbones::{Entry, Joining, zoo};

    #[test]
    fn features_out_of_range_are_those_of_a_part() {
        let part = |backbone: &str, net| Part { net, backbone: backbone.into(), cut: Cut::S16 };
        let with = |second: FrozenNet| FeatureExtractor {
            parts: vec![part("one", net()), part("other", second)],
            preprocess: vec![spec().preprocess; 2],
            shape: Shape::new(6, 2, 2),
        };
        let white = vec![255; 3 * 32 * 32];
        let told = |extractor: FeatureExtractor| {
            let map = extractor.extract(&white);
            extractor.out_of_range(&map).map(|(backbone, cut)| (backbone.to_owned(), cut))
        };
        assert_eq!(told(with(net())), None);
        assert_eq!(told(with(scaled(1e6))), Some(("other".to_owned(), Cut::S16)));
    }

    #[test]
    fn only_a_backbone_of_one_s_own_is_known_by_its_graph() {
        let known = find("mobilenet_v3_small").unwrap();
        let built = |backbone: &Backbone| backbone.graph(known.default_size).unwrap().graph;
        let graph = built(known);
        assert!(zoo().iter().all(|backbone| own_graph(backbone, &graph).is_none()));
        assert!(own_graphs(&testing::design_over_tokens()).is_empty());
        let entry = Entry { name: "mine".into(), ..Entry::of(known).unwrap() };
        let joining = Joining { entry, weights: "weights".into(), sha256: "ab".repeat(32) };
        let mine = joining.backbone().unwrap();
        let digest = |graph: &Graph| own_graph(&mine, graph).unwrap();
        assert_eq!(digest(&graph), digest(&built(&mine)));
        // The same tensors by name and shape.
        let edited = graph.with_fixed_norms();
        assert_eq!(edited.parameters(), graph.parameters());
        assert_ne!(digest(&graph), digest(&edited));
    }
}
