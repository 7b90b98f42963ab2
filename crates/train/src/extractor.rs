//! What a network sees of an image: features of the frozen parts of its design, or the pixels where there are none.

use crate::error::TrainError;
use crate::network::{Input, Network};
use crate::vision::{FrozenNet, Weights};
use burn::tensor::{Device, Tensor, TensorData};
use capwright_backbones::{Backbone, find};
use capwright_blueprint::{Design, Shape};
use capwright_caption_data::Preprocess;
use capwright_study::TrialSpec;
use half::f16;
use std::collections::BTreeMap;

/// Weights of backbones by their names in the zoo.
pub type BackboneWeights = BTreeMap<String, Weights>;

/// The frozen parts of a design, each with the pixels that it wants; with no part, just the pixels.
pub struct FeatureExtractor {
    nets: Vec<FrozenNet>,
    preprocess: Vec<Preprocess>,
    shape: Shape,
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

fn backbone(name: &str) -> Result<&'static Backbone, TrainError> {
    find(name).ok_or_else(|| TrainError::Spec(format!("there is no backbone {name} in the zoo")))
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
        let parts = design.frozen.iter().zip(weights);
        let nets: Result<Vec<_>, _> = parts.map(|(part, w)| FrozenNet::load(&part.graph, w)).collect();
        Ok(Self { nets: nets?, preprocess, shape: design.trunk.input_shape() })
    }

    /// Side of the square image in pixels.
    pub fn side(&self) -> u32 {
        self.preprocess.first().map_or(0, |p| p.size)
    }

    /// What the network reads for an image of RGB pixels, `[side, side, 3]`: a map `[c, h, w]`.
    pub fn extract(&self, rgb: &[u8]) -> Vec<f32> {
        let mut pixels = vec![0.0; rgb.len()];
        if self.nets.is_empty() {
            self.preprocess.iter().for_each(|p| p.to_chw(rgb, &mut pixels));
            return pixels;
        }
        let mut map = Vec::with_capacity(self.shape.len());
        for (net, preprocess) in self.nets.iter().zip(&self.preprocess) {
            preprocess.to_chw(rgb, &mut pixels);
            map.extend(features(net, &pixels));
        }
        map
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
