//! A captioner with random values, for measuring time: its captions mean nothing and have a given length.

use crate::error::TrainError;
use crate::extractor::{FeatureExtractor, preprocess};
use crate::math::Dropout;
use crate::network::Network;
use crate::params::Params;
use crate::vision::{Weights, weights::Tensor32};
use burn::tensor::{Device, TensorData};
use capwright_blueprint::{Design, Graph, Param};
use capwright_caption_data::{RgbImage, Vocabulary};
use capwright_contract::Decoding;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What END is made less likely by, in nats: hypotheses then reach the longest length.
const NEVER: f32 = -30.0;

/// A design with random values, run as [`crate::Captioner`] runs a trained one.
pub struct Untrained {
    network: Network,
    extractor: FeatureExtractor,
}

impl Untrained {
    /// The design with values drawn from `seed`, the frozen part's too: times do not depend on them.
    ///
    /// # Errors
    /// [`TrainError::Weights`] for a frozen graph that the host engine cannot load.
    pub fn new(design: &Design, seed: u64) -> Result<Self, TrainError> {
        let params = endless(&design.trainable(), seed);
        let weights: Vec<Weights> =
            design.frozen.iter().map(|part| random_weights(&part.graph, seed)).collect();
        let extractor = FeatureExtractor::new(design, &weights, preprocess(design)?)?;
        Ok(Self { network: Network::with_params(design, params), extractor })
    }

    /// Memory of a decoded photo.
    ///
    /// # Errors
    /// A photo that cannot be resized.
    pub fn encode(&mut self, photo: &RgbImage) -> Result<TensorData, TrainError> {
        let input = self.input(photo)?;
        Ok(self.network.memory(input, &mut Dropout::off()).into_data())
    }

    /// Words for a decoded photo: as many as `decoding` allows.
    ///
    /// # Errors
    /// A photo that cannot be resized, or more words than the design is for.
    pub fn caption(&mut self, photo: &RgbImage, decoding: Decoding) -> Result<Vec<u32>, TrainError> {
        if decoding.max_words > self.network.design().target.max_words {
            return Err(TrainError::Spec("more words than the design is for".into()));
        }
        let input = self.input(photo)?;
        Ok(self.network.decode(input, decoding).pop().unwrap_or_default())
    }

    fn input(&self, photo: &RgbImage) -> Result<crate::Input, TrainError> {
        let squashed = photo.squash(self.extractor.side()).map_err(|e| TrainError::Spec(e.to_string()))?;
        Ok(self.extractor.batch(&self.network, &[self.extractor.extract(&squashed)]))
    }
}

/// A photo of noise, 500 × 375 pixels as many photos of caption data have.
pub(crate) fn photo() -> RgbImage {
    let (width, height) = (500, 375);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    RgbImage { width, height, pixels: (0..3 * width * height).map(|_| rng.random()).collect() }
}

/// First values by [`Params::init`], with END made unlikely.
pub(crate) fn endless(wanted: &[Param], seed: u64) -> Params {
    let drawn = Params::init(wanted, seed, &Device::flex());
    let mut values: Vec<Vec<f32>> = drawn.tensors().map(|(_, _, values)| values.to_vec()).collect();
    if let Some(i) = wanted.iter().position(|p| p.name == "decoder.out.bias")
        && let Some(end) = values[i].get_mut(Vocabulary::EOS as usize)
    {
        *end = NEVER;
    }
    Params::from_values(wanted, values, &Device::flex())
}

/// Values of a frozen graph that keep the size of what passes through (He et al. 2015), norms that change nothing.
pub(crate) fn random_weights(graph: &Graph, seed: u64) -> Weights {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |p: Param| {
        let values = if p.shape.len() > 1 {
            let bound = (6.0 / p.shape[1..].iter().product::<usize>().max(1) as f32).sqrt();
            (0..p.len()).map(|_| rng.random_range(-bound..bound)).collect()
        } else if p.name.ends_with("weight") || p.name.ends_with("running_var") {
            vec![1.0; p.len()]
        } else {
            vec![0.0; p.len()]
        };
        (p.name, Tensor32 { shape: p.shape, values })
    };
    Weights::from_tensors(graph.parameters().into_iter().chain(graph.buffers()).map(&mut draw))
}
