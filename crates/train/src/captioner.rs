//! A finished model in use: captions for image files, scores on a set.

use crate::error::TrainError;
use crate::extractor::FeatureExtractor;
use crate::model_folder::{self, DECODING, DESIGN, PREPROCESS, VOCABULARY, WEIGHTS};
use crate::network::{Input, Network};
use crate::score::score;
use crate::store;
use crate::vision::Weights;
use burn::tensor::Device;
use capwright_blueprint::Design;
use capwright_caption_data::{ImageRecord, Preprocess, Vocabulary, load_rgb};
use capwright_contract::Decoding;
use capwright_study::Scores;
use rayon::prelude::*;
use std::path::Path;

/// Images captioned at once.
const BATCH: usize = 16;

/// A model folder, loaded.
pub struct Captioner {
    network: Network,
    extractor: FeatureExtractor,
    vocabulary: Vocabulary,
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
        let open = |i: usize| {
            let path = folder.join(model_folder::backbone(i));
            Ok(Weights::open(&path, &store::sha256(&path)?)?)
        };
        let weights: Result<Vec<Weights>, TrainError> = (0..design.frozen.len()).map(open).collect();
        let preprocess: Vec<Preprocess> = store::read_json(&folder.join(PREPROCESS))?;
        check_preprocess(&preprocess, &design)
            .map_err(|reason| TrainError::format(folder.join(PREPROCESS), reason))?;
        let vocabulary = Vocabulary::load(folder.join(VOCABULARY))?;
        let decoding: Decoding = store::read_json(&folder.join(DECODING))?;
        let captioner = Self {
            network: Network::load(&folder.join(WEIGHTS), &design, &Device::flex())?,
            extractor: FeatureExtractor::new(&design, &weights?, preprocess)?,
            vocabulary,
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

    /// Images as the network reads them.
    fn input<P: AsRef<Path> + Sync>(&self, paths: &[P]) -> Result<Input, TrainError> {
        let values: Result<Vec<Vec<f32>>, TrainError> = paths.par_iter().map(|p| self.features(p)).collect();
        Ok(self.extractor.batch(&self.network, &values?))
    }

    fn features<P: AsRef<Path>>(&self, path: &P) -> Result<Vec<f32>, TrainError> {
        Ok(self.extractor.extract(&load_rgb(path.as_ref(), self.extractor.side())?))
    }
}

/// One entry for each frozen part, or for the pixels, of the design's image size.
fn check_preprocess(all: &[Preprocess], design: &Design) -> Result<(), String> {
    let wanted = design.frozen.len().max(1);
    if all.len() != wanted {
        return Err(format!("it has {} entries for {wanted} encoders", all.len()));
    }
    match all.iter().find(|p| p.size as usize != design.image_size) {
        Some(p) => Err(format!("images of {} pixels for a network of {}", p.size, design.image_size)),
        None => Ok(()),
    }
}
