//! A finished model in use: captions for image files, scores on a set.

use crate::error::TrainError;
use crate::model_folder::{self, BACKBONE, DECODING, DESIGN, PREPROCESS, VOCABULARY, WEIGHTS};
use crate::network::{Input, Network};
use crate::score::score;
use crate::store;
use crate::vision::{FrozenNet, Weights};
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::{Design, Shape};
use capwright_caption_data::{ImageRecord, Preprocess, Vocabulary};
use capwright_contract::Decoding;
use capwright_study::Scores;
use half::f16;
use rayon::prelude::*;
use std::path::Path;

/// Images captioned at once.
const BATCH: usize = 16;

/// A model folder, loaded.
pub struct Captioner {
    network: Network,
    backbone: Option<FrozenNet>,
    vocabulary: Vocabulary,
    preprocess: Preprocess,
    decoding: Decoding,
}

/// Captions of a set and their scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// One for each image, in order.
    pub captions: Vec<String>,
    /// Scores against the images' references.
    pub scores: Scores,
}

impl Captioner {
    /// Loads a model folder; each file named in its `manifest.json` must have its sha256.
    ///
    /// # Errors
    /// [`TrainError`] that names the file that is missing, changed or does not fit.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, TrainError> {
        let folder = folder.as_ref();
        model_folder::verify(folder)?;
        let design: Design = store::read_json(&folder.join(DESIGN))?;
        let backbone = match &design.frozen {
            Some(frozen) => {
                let path = folder.join(BACKBONE);
                let weights = Weights::open(&path, &store::sha256(&path)?)?;
                Some(FrozenNet::load(&frozen.graph, &weights)?)
            }
            None => None,
        };
        let preprocess: Preprocess = store::read_json(&folder.join(PREPROCESS))?;
        let vocabulary = Vocabulary::load(folder.join(VOCABULARY))?;
        let decoding: Decoding = store::read_json(&folder.join(DECODING))?;
        let captioner = Self {
            network: Network::load(&folder.join(WEIGHTS), &design, &Device::flex())?,
            backbone,
            vocabulary,
            preprocess,
            decoding,
        };
        captioner.check(folder, &design)?;
        Ok(captioner)
    }

    fn check(&self, folder: &Path, design: &Design) -> Result<(), TrainError> {
        if self.vocabulary.len() != design.target.vocab {
            let reason =
                format!("it has {} words and the network {}", self.vocabulary.len(), design.target.vocab);
            return Err(TrainError::format(folder.join(VOCABULARY), reason));
        }
        if self.preprocess.size as usize != design.image_size {
            let reason =
                format!("images of {} pixels for a network of {}", self.preprocess.size, design.image_size);
            return Err(TrainError::format(folder.join(PREPROCESS), reason));
        }
        self.check_decoding(self.decoding)
    }

    fn check_decoding(&self, decoding: Decoding) -> Result<(), TrainError> {
        let most = self.network.design().target.max_words;
        if decoding.max_words == 0 || decoding.max_words > most || decoding.beam == 0 {
            let reason = format!("decoding needs a beam of at least 1 and 1 to {most} words");
            return Err(TrainError::Spec(reason));
        }
        Ok(())
    }

    /// How captions are decoded unless said otherwise.
    pub fn decoding(&self) -> Decoding {
        self.decoding
    }

    /// The design.
    pub fn design(&self) -> &Design {
        self.network.design()
    }

    /// A caption for each image file, in order.
    ///
    /// # Errors
    /// [`TrainError::Data`] that names the image that cannot be read.
    pub fn caption<P: AsRef<Path> + Sync>(&self, paths: &[P]) -> Result<Vec<String>, TrainError> {
        self.caption_with(paths, self.decoding)
    }

    /// [`Captioner::caption`] with another decoding.
    ///
    /// # Errors
    /// As there, and for a decoding that the model cannot do.
    pub fn caption_with<P: AsRef<Path> + Sync>(
        &self,
        paths: &[P],
        decoding: Decoding,
    ) -> Result<Vec<String>, TrainError> {
        self.check_decoding(decoding)?;
        let mut network = self.network.inner();
        let mut captions = Vec::with_capacity(paths.len());
        for part in paths.chunks(BATCH) {
            let words = network.decode(self.input(part)?, decoding);
            captions.extend(words.iter().map(|w| self.vocabulary.decode(w)));
        }
        Ok(captions)
    }

    /// Captions and scores of a set of images.
    ///
    /// # Errors
    /// As [`Captioner::caption_with`], and for an empty set.
    pub fn evaluate(&self, images: &[ImageRecord], decoding: Decoding) -> Result<Evaluation, TrainError> {
        let paths: Vec<&Path> = images.iter().map(|image| image.path.as_path()).collect();
        let captions = self.caption_with(&paths, decoding)?;
        let references: Vec<Vec<String>> = images.iter().map(|image| image.captions.clone()).collect();
        let scores = score(&captions, &references)?;
        Ok(Evaluation { captions, scores })
    }

    /// Images through preprocessing and the frozen part.
    fn input<P: AsRef<Path> + Sync>(&self, paths: &[P]) -> Result<Input, TrainError> {
        let values: Result<Vec<Vec<f32>>, TrainError> = paths.par_iter().map(|p| self.features(p)).collect();
        Ok(batch(&self.network, self.backbone.as_ref(), &values?))
    }

    fn features<P: AsRef<Path>>(&self, path: &P) -> Result<Vec<f32>, TrainError> {
        let side = self.preprocess.size as usize;
        let mut pixels = vec![0.0; 3 * side * side];
        self.preprocess.load_chw(path.as_ref(), &mut pixels)?;
        Ok(frozen_features(self.backbone.as_ref(), pixels))
    }
}

/// What the network reads for an image: features of the frozen part, or the pixels where there is none.
pub(crate) fn frozen_features(backbone: Option<&FrozenNet>, pixels: Vec<f32>) -> Vec<f32> {
    let Some(backbone) = backbone else { return pixels };
    // The feature cache keeps 16 bits: rounding the same way gives the very captions that were scored.
    let round = |x: f32| f16::from_f32(x).to_f32();
    backbone.forward_image(&pixels).into_iter().map(round).collect()
}

/// Images, each as [`frozen_features`] gives it, as one input.
pub(crate) fn batch(network: &Network, backbone: Option<&FrozenNet>, images: &[Vec<f32>]) -> Input {
    let side = network.design().image_size;
    let shape = backbone.map_or_else(|| Shape::new(3, side, side), FrozenNet::output_shape);
    let data = TensorData::new(images.concat(), [images.len(), shape.c, shape.h, shape.w]);
    let map = Tensor::<4>::from_data(data, &Device::flex());
    if !network.reads_tokens() {
        return Input::Map(map);
    }
    let cells = map.reshape([images.len(), shape.c, shape.h * shape.w]);
    Input::Tokens(cells.swap_dims(1, 2))
}
