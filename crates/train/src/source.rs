//! Where a trial's images come from: cached features of the frozen backbone, or cached pixels.

use crate::error::TrainError;
use crate::extractor::{BackboneWeights, preprocess, weights_of};
use crate::network::Input;
use crate::vision::{FeatureCache, FeatureSpec, Features, FrozenNet, PixelCache, Pixels};
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::Design;
use capwright_blueprint::language;
use capwright_caption_data::{Augment, ImageRecord, Preprocess};
use capwright_study::TrialEvent;
use std::path::Path;

/// Least share of the area that a random part of an image keeps.
const LEAST_AREA: f64 = 0.5;

/// Inputs of a list of images.
pub enum Source {
    /// Features of the frozen parts.
    Features(Vec<Features>),
    /// Normalised images.
    Pixels(Pixels, Preprocess),
}

impl Source {
    /// Opens the cache below `root` for `images`, and computes what is missing.
    ///
    /// # Errors
    /// Where an image, the weights or the cache cannot be used.
    pub fn open(
        root: &Path,
        design: &Design,
        weights: &BackboneWeights,
        images: &[ImageRecord],
        emit: &mut dyn FnMut(TrialEvent),
    ) -> Result<Self, TrainError> {
        let preprocess = preprocess(design)?;
        let mut progress = |done, total| emit(TrialEvent::Features { done, total });
        if design.frozen.is_empty() {
            let preprocess = preprocess[0];
            let pixels = PixelCache::open_or_compute(root, preprocess.size, images, &mut progress)?;
            return Ok(Self::Pixels(pixels, preprocess));
        }
        let mut all = Vec::with_capacity(design.frozen.len());
        for (frozen, preprocess) in design.frozen.iter().zip(preprocess) {
            let weights = weights_of(weights, &frozen.name)?;
            let net = FrozenNet::load(&frozen.graph, weights)?;
            let spec = FeatureSpec {
                weights_sha256: weights.sha256().to_string(),
                backbone: frozen.name.clone(),
                cut: frozen.cut,
                cuts: frozen.cuts,
                side: frozen.graph.output_shape().h,
                preprocess,
            };
            all.push(FeatureCache::open_or_compute(root, &spec, images, &net, &mut progress)?);
        }
        Ok(Self::Features(all))
    }

    /// The input for some images, by their places in the list; `tokens`: in token order.
    pub fn input(&self, images: &[usize], tokens: bool, device: &Device) -> Input {
        match self {
            Self::Pixels(pixels, preprocess) => Input::Map(pixels.tensor(images, preprocess, device)),
            Self::Features(parts) if tokens => {
                let part = |features: &Features| {
                    let shape = [images.len(), features.shape().h * features.shape().w, features.shape().c];
                    Tensor::<3>::from_data(TensorData::new(features.tokens(images), shape), device)
                };
                Input::Tokens(joined(parts.iter().map(part).collect(), 2))
            }
            Self::Features(parts) => {
                Input::Map(joined(parts.iter().map(|part| part.tensor(images, device)).collect(), 1))
            }
        }
    }

    /// The input for some training images, varied by seed, epoch and place; `keeps` tells for each of the list whether it
    /// is not mirrored. Features stay as they are, since a design of features has no such recipe.
    pub fn varied(
        &self,
        images: &[usize],
        keeps: &[bool],
        kind: language::Augment,
        (seed, epoch): (u64, u32),
        device: &Device,
    ) -> Input {
        let Self::Pixels(pixels, preprocess) = self else { return self.input(images, false, device) };
        let augment = augment(kind);
        let vary = |place: usize, image: &[u8]| {
            let draw = (seed, u64::from(epoch), place as u64);
            augment
                .apply(image, preprocess.size, keeps[place], draw)
                .expect("a cached image fills its square")
        };
        Input::Map(pixels.varied(images, preprocess, device, &vary))
    }
}

/// What the language's word means.
fn augment(kind: language::Augment) -> Augment {
    match kind {
        language::Augment::None => Augment::default(),
        language::Augment::Flip => Augment { flip: true, ..Augment::default() },
        language::Augment::FlipCrop => Augment { flip: true, crop: Some(LEAST_AREA), ..Augment::default() },
    }
}

/// Parts side by side.
fn joined<const D: usize>(mut parts: Vec<Tensor<D>>, dim: usize) -> Tensor<D> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, dim) }
}
