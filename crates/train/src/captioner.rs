//! A finished model in use: captions for image files, scores on a set.

use crate::decode::{self, Model};
use crate::error::TrainError;
use crate::extractor::FeatureExtractor;
use crate::math::Dropout;
use crate::model_folder::{self, DECODING, DESIGN, PREPROCESS, VOCABULARY, WEIGHTS};
use crate::network::{Input, Network};
use crate::score::score;
use crate::sound;
use crate::store;
use crate::vision::{CacheError, Weights};
use burn::tensor::Device;
use capwright_blueprint::Design;
use capwright_caption_data::{Filter, Framing, ImageRecord, Preprocess, Vocabulary, load_rgb};
use capwright_contract::Decoding;
use capwright_study::Scores;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Most images captioned at once.
const BATCH: usize = 16;

/// Captions drawn at once, unless one image has more: what the decoder holds of each may take a megabyte.
const DRAWS: usize = 1024;

/// A model folder, loaded; or several of one vocabulary that caption together.
pub struct Captioner {
    /// At least one.
    members: Vec<Member>,
    vocabulary: Vocabulary,
    decoding: Decoding,
}

/// One model.
struct Member {
    network: Network,
    extractor: FeatureExtractor,
}

/// Captions of a set and their scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// One for each image, in order.
    pub captions: Vec<String>,
    /// Scores against the images' references.
    pub scores: Scores,
}

/// One of several captions of an image.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Said {
    /// The caption.
    pub caption: String,
    /// What captions of an image are ranked by: the log-probability under the length penalty.
    pub score: f64,
    /// Log-probability in nats, END included.
    pub log_probability: f64,
}

impl Captioner {
    /// Loads a model folder; its `manifest.json` must name each file of the model, and each must have its sha256.
    ///
    /// # Errors
    /// [`TrainError`] that names the file that is missing, changed or does not fit.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, TrainError> {
        let folder = folder.as_ref();
        let manifest = model_folder::verify(folder)?;
        let design: Design = store::read_json(&folder.join(DESIGN))?;
        sound::check(&design).map_err(|reason| {
            let reason = format!("it cannot be built: {reason}; copy the model folder again");
            TrainError::format(folder.join(DESIGN), reason)
        })?;
        let backbones = manifest.backbones(folder, design.frozen.len())?;
        let open = |(path, sha256): (PathBuf, &str)| Weights::open(path, sha256).map_err(TrainError::from);
        let weights: Result<Vec<Weights>, TrainError> = backbones.into_iter().map(open).collect();
        let preprocess: Vec<Preprocess> = store::read_json(&folder.join(PREPROCESS))?;
        check_preprocess(&preprocess, &design)
            .map_err(|reason| TrainError::format(folder.join(PREPROCESS), reason))?;
        let vocabulary = Vocabulary::load(folder.join(VOCABULARY))?;
        let decoding: Decoding = store::read_json(&folder.join(DECODING))?;
        let learned = folder.join(WEIGHTS);
        store::check_size(&learned, &[design.trainable(), design.trunk.buffers()].concat())?;
        let member = Member {
            network: Network::load(&learned, &design, &Device::flex())?,
            extractor: FeatureExtractor::new(&design, &weights?, preprocess)?,
        };
        let captioner = Self { members: vec![member], vocabulary, decoding };
        captioner.check(folder, &design)?;
        Ok(captioner)
    }

    /// Loads model folders whose models caption together: the distribution of each word is the mean of theirs. Images
    /// are decoded as the first model has it, with no more words than each is for.
    ///
    /// # Errors
    /// As [`Captioner::load`], and for each model that has another vocabulary than the first; no folder at all.
    pub fn ensemble<P: AsRef<Path>>(folders: &[P]) -> Result<Self, TrainError> {
        let Some((first, others)) = folders.split_first() else {
            return Err(TrainError::Ensemble("name a model".into()));
        };
        let (mut all, mut apart) = (Self::load(first)?, Vec::new());
        for folder in others {
            let next = Self::load(folder)?;
            match difference(&all.vocabulary, &next.vocabulary) {
                Some(difference) => apart.push(format!("{}: {difference}", folder.as_ref().display())),
                None => all.members.extend(next.members),
            }
        }
        if !apart.is_empty() {
            let reason = format!(
                "they need the vocabulary of {} ({}); take models of one study, or of one data set and --min-count",
                first.as_ref().display(),
                apart.join("; ")
            );
            return Err(TrainError::Ensemble(reason));
        }
        all.decoding.max_words = all.decoding.max_words.min(all.most_words());
        all.decoding.min_words = all.decoding.min_words.min(all.decoding.max_words);
        Ok(all)
    }

    fn check(&self, folder: &Path, design: &Design) -> Result<(), TrainError> {
        if self.vocabulary.len() != design.target.vocab {
            let reason =
                format!("it has {} words and the network {}", self.vocabulary.len(), design.target.vocab);
            return Err(TrainError::format(folder.join(VOCABULARY), reason));
        }
        self.check_decoding(&self.decoding)
    }

    fn check_decoding(&self, decoding: &Decoding) -> Result<(), TrainError> {
        let (faults, most) = (decoding.faults().into_iter(), self.most_words());
        let mut faults: Vec<String> = faults.map(|(field, reason)| format!("{field} {reason}")).collect();
        if decoding.max_words > most {
            faults
                .push(format!("max_words must not exceed {most}, the longest caption that the model is for"));
        }
        if faults.is_empty() { Ok(()) } else { Err(TrainError::Decoding(faults.join("; "))) }
    }

    /// The longest caption, in words or for models of pieces in pieces, that every model is for.
    pub fn most_words(&self) -> usize {
        self.members.iter().map(|m| m.network.design().target.max_words).min().unwrap_or_default()
    }

    /// How captions are decoded unless said otherwise.
    pub fn decoding(&self) -> Decoding {
        self.decoding
    }

    /// The design; of several models the first one's.
    pub fn design(&self) -> &Design {
        self.members[0].network.design()
    }

    /// A caption for each image file, in order.
    ///
    /// # Errors
    /// [`TrainError::Data`] that names the image that cannot be read, [`CacheError::Range`] for one of which a backbone makes what
    /// 16 bits cannot hold.
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
        let all = self.captions(paths, &decoding, 1)?;
        Ok(all
            .into_iter()
            .map(|said| said.into_iter().next().map(|s| s.caption).unwrap_or_default())
            .collect())
    }

    /// Captions for each image file: up to `n`, best first, or, where they are drawn, `n` in the order drawn. Draws go by
    /// the place of an image in the list.
    ///
    /// # Errors
    /// As [`Captioner::caption_with`].
    pub fn captions<P: AsRef<Path> + Sync>(
        &self,
        paths: &[P],
        decoding: &Decoding,
        n: usize,
    ) -> Result<Vec<Vec<Said>>, TrainError> {
        self.check_decoding(decoding)?;
        let (mut captions, mut streams) = (Vec::with_capacity(paths.len()), 0..);
        for part in paths.chunks(at_once(decoding, n)) {
            let mut models = Vec::with_capacity(self.members.len());
            for member in &self.members {
                let memory = member.network.memory(member.input(part)?, &mut Dropout::off()).into_data();
                models.push(Model::of(&member.network, memory));
            }
            let streams: Vec<u64> = streams.by_ref().take(part.len()).collect();
            for said in decode::captions(models, decoding, n, &streams) {
                captions.push(said.into_iter().map(|caption| self.said(caption)).collect());
            }
        }
        Ok(captions)
    }

    fn said(&self, caption: decode::Caption) -> Said {
        let decode::Caption { words, log_probability, score } = caption;
        Said { caption: self.vocabulary.decode(&words), score, log_probability }
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
}

impl Member {
    /// Images as the network reads them.
    fn input<P: AsRef<Path> + Sync>(&self, paths: &[P]) -> Result<Input, TrainError> {
        let found: Vec<Result<Vec<f32>, TrainError>> = paths.par_iter().map(|p| self.features(p)).collect();
        // Of several images that cannot be read the first is told, whichever thread met one first.
        let values = found.into_iter().collect::<Result<Vec<Vec<f32>>, TrainError>>()?;
        Ok(self.extractor.batch(&self.network, &values))
    }

    fn features<P: AsRef<Path>>(&self, path: &P) -> Result<Vec<f32>, TrainError> {
        let path: &Path = path.as_ref();
        let map = self.extractor.extract(&load_rgb(path, self.extractor.side())?);
        // No caption could come of it.
        if let Some((backbone, cut)) = self.extractor.out_of_range(&map) {
            let (image, backbone) = (path.to_owned(), backbone.to_owned());
            return Err(CacheError::Range { image, backbone, cut }.into());
        }
        Ok(map)
    }
}

/// Images captioned at once: fewer where many captions are drawn for each. A beam has its width however many of it are told.
fn at_once(decoding: &Decoding, n: usize) -> usize {
    let drawn = if decoding.sample.is_some() { n.max(1) } else { 1 };
    (DRAWS / drawn).clamp(1, BATCH)
}

/// How a vocabulary is not the wanted one, in a few words.
fn difference(wanted: &Vocabulary, found: &Vocabulary) -> Option<String> {
    if wanted == found {
        return None;
    }
    let (a, b) = (wanted.words(), found.words());
    let at = a.iter().zip(b).position(|(a, b)| a != b);
    Some(match at {
        _ if a.len() != b.len() => format!("{} words instead of {}", b.len(), a.len()),
        Some(at) => format!("word {at} is {:?} instead of {:?}", b[at], a[at]),
        None => "one is of words and one of pieces".to_owned(),
    })
}

/// One entry for each frozen part, or for the pixels, of the design's image size.
fn check_preprocess(all: &[Preprocess], design: &Design) -> Result<(), String> {
    let wanted = design.frozen.len().max(1);
    if all.len() != wanted {
        return Err(format!("it has {} entries for {wanted} encoders", all.len()));
    }
    for Preprocess { size, framing, filter, .. } in all {
        if *size as usize != design.image_size {
            return Err(format!("images of {size} pixels for a network of {}", design.image_size));
        }
        if (*framing, *filter) != (Framing::default(), Filter::default()) {
            return Err(format!(
                "framing {framing:?} and filter {filter:?}, but models read images squashed and bilinear, as they were \
                 trained; leave out \"framing\" and \"filter\""
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use capwright_contract::Sampling;

    #[test]
    fn many_draws_are_of_fewer_images_at_once() {
        let drawn = Decoding { sample: Some(Sampling::default()), ..Decoding::of(1, 5) };
        assert_eq!([0, 1, 64, 100, 512, 1000, 5000].map(|n| at_once(&drawn, n)), [16, 16, 16, 10, 2, 1, 1]);
        assert_eq!(at_once(&Decoding::of(3, 5), 1000), 16, "of a beam no more are told than it has");
    }

    #[test]
    fn what_is_not_done_with_images_is_refused() {
        let (design, plain) = (testing::design(), Preprocess::imagenet(32));
        assert_eq!(check_preprocess(&[plain], &design), Ok(()));
        let refused = |all: &[Preprocess], wanted: &str| {
            let told = check_preprocess(all, &design).unwrap_err();
            assert!(told.contains(wanted), "{told}");
        };
        refused(&[plain; 2], "2 entries for 1 encoders");
        refused(&[Preprocess::imagenet(64)], "64 pixels for a network of 32");
        refused(&[Preprocess { filter: Filter::Bicubic, ..plain }], "filter Bicubic");
        let framing = Framing::CentreCrop { shorter_side: 36 };
        refused(&[Preprocess { framing, ..plain }], "framing CentreCrop { shorter_side: 36 }");
    }
}
