//! Where a trial's images come from: cached features of the frozen backbone, or cached pixels.

use crate::error::TrainError;
use crate::network::Input;
use crate::vision::augment;
use crate::vision::{FeatureCache, FeatureSpec, Features, FrozenNet, PixelCache, Pixels, Weights};
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::Design;
use capwright_blueprint::language::Augment;
use capwright_caption_data::{ImageRecord, Preprocess};
use capwright_study::{TrialEvent, WeightsFile};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// Inputs of a list of images.
pub enum Source {
    /// Features of the frozen part.
    Features(Features),
    /// Normalised images.
    Pixels(Pixels, Preprocess),
}

/// How images are made ready for a design: its size, and the backbone's normalisation or ImageNet's.
///
/// # Errors
/// [`TrainError::Spec`] for a backbone that is not in the zoo.
pub fn preprocess(design: &Design) -> Result<Preprocess, TrainError> {
    let size = design.image_size as u32;
    let Some(frozen) = &design.frozen else { return Ok(Preprocess::imagenet(size)) };
    let backbone = capwright_backbones::find(&frozen.name)
        .ok_or_else(|| TrainError::Spec(format!("there is no backbone {} in the zoo", frozen.name)))?;
    Ok(Preprocess::new(size, backbone.normalisation.mean, backbone.normalisation.std))
}

/// Opens the weights of the frozen part.
///
/// # Errors
/// [`TrainError::Spec`] where none are named, [`TrainError::Weights`] where they cannot be used.
pub fn open_weights(design: &Design, weights: Option<&WeightsFile>) -> Result<Option<Weights>, TrainError> {
    let Some(frozen) = &design.frozen else { return Ok(None) };
    let file = weights.ok_or_else(|| {
        TrainError::Spec(format!("the design uses {} but no weights file is named", frozen.name))
    })?;
    Ok(Some(Weights::open(&file.path, &file.sha256)?))
}

impl Source {
    /// Opens the cache below `root` for `images`, and computes what is missing.
    ///
    /// # Errors
    /// Where an image, the weights or the cache cannot be used.
    pub fn open(
        root: &Path,
        design: &Design,
        weights: Option<&Weights>,
        images: &[ImageRecord],
        emit: &mut dyn FnMut(TrialEvent),
    ) -> Result<Self, TrainError> {
        let preprocess = preprocess(design)?;
        let mut progress = |done, total| emit(TrialEvent::Features { done, total });
        match (&design.frozen, weights) {
            (Some(frozen), Some(weights)) => {
                let net = FrozenNet::load(&frozen.graph, weights)?;
                let spec = FeatureSpec {
                    weights_sha256: weights.sha256().to_string(),
                    backbone: frozen.name.clone(),
                    cut: frozen.cut,
                    cuts: frozen.cuts,
                    preprocess,
                };
                let features = FeatureCache::open_or_compute(root, &spec, images, &net, &mut progress)?;
                Ok(Self::Features(features))
            }
            _ => {
                let pixels = PixelCache::open_or_compute(root, preprocess.size, images, &mut progress)?;
                Ok(Self::Pixels(pixels, preprocess))
            }
        }
    }

    /// The input for some images, by their places in the list; `tokens`: in token order.
    pub fn input(&self, images: &[usize], tokens: bool, device: &Device) -> Input {
        match self {
            Self::Pixels(pixels, preprocess) => Input::Map(pixels.tensor(images, preprocess, device)),
            Self::Features(features) if tokens => {
                let shape = features.shape();
                let data =
                    TensorData::new(features.tokens(images), [images.len(), shape.h * shape.w, shape.c]);
                Input::Tokens(Tensor::from_data(data, device))
            }
            Self::Features(features) => Input::Map(features.tensor(images, device)),
        }
    }

    /// The input for some training images, varied; with `sides`, an image is not mirrored. Features stay as they are,
    /// since a design of features has no such recipe.
    pub fn varied(
        &self,
        images: &[usize],
        sides: &[bool],
        kind: Augment,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Input {
        let Self::Pixels(pixels, preprocess) = self else { return self.input(images, false, device) };
        let side = pixels.size();
        let mut vary = |place: usize, image: &[u8]| augment::vary(image, side, kind, sides[place], rng);
        Input::Map(pixels.varied(images, preprocess, device, &mut vary))
    }
}
