//! Where a trial's images come from: cached features of the frozen backbone, or cached pixels.

use crate::error::TrainError;
use crate::extractor::{BackboneWeights, backbone, own_graph, preprocess, weights_of};
use crate::network::Input;
use crate::vision::eviction::{Claim, Room};
use crate::vision::variants::augment;
use crate::vision::{
    CacheError, FeatureCache, FeatureSpec, Features, FrozenNet, PixelCache, Pixels, Variant,
};
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::language::Augment;
use capwright_blueprint::{Design, Frozen};
use capwright_caption_data::{ImageRecord, Preprocess};
use capwright_study::TrialEvent;
use std::path::Path;

/// Inputs of the training images, and of the validation images behind them.
pub enum Source {
    /// Features of the frozen parts.
    Features(Varied),
    /// Normalised images.
    Pixels(Pixels, Preprocess),
}

/// Features of each frozen part: of all images as they are, then of each further variant of the training images.
pub struct Varied {
    parts: Vec<Features>,
    images: usize,
    training: usize,
}

impl Source {
    /// Opens the cache below `root` for training and validation images, and computes what is missing. `kind` says which
    /// variants of the training images a frozen part sees. Sets of other trials make room for what is to come where the cache would
    /// be too large.
    ///
    /// # Errors
    /// Where an image, the weights or the cache cannot be used.
    pub fn open(
        root: &Path,
        design: &Design,
        weights: &BackboneWeights,
        (training, validation): (&[ImageRecord], &[ImageRecord]),
        kind: Augment,
        emit: &mut dyn FnMut(TrialEvent),
    ) -> Result<Self, TrainError> {
        let (room, preprocess) = (Room::told()?, preprocess(design)?);
        let images = [training, validation].concat();
        let mut progress = |done, total| emit(TrialEvent::Features { done, total });
        if design.frozen.is_empty() {
            let preprocess = preprocess[0];
            let claim = PixelCache::claim(root, preprocess.size, &images)?;
            room.make(root, claim.missing);
            let pixels = PixelCache::open_or_compute(root, preprocess.size, &images, &mut progress)?;
            room.make(root, 0);
            return Ok(Self::Pixels(pixels, preprocess));
        }
        let mut varied = Varied { parts: Vec::new(), images: images.len(), training: training.len() };
        let of_part = varied.place(Variant::of(kind).count(), 0);
        let total = of_part * design.frozen.len();
        let specs: Vec<FeatureSpec> = design
            .frozen
            .iter()
            .zip(preprocess)
            .map(|(frozen, preprocess)| spec_of(frozen, weights, preprocess))
            .collect::<Result<_, _>>()?;
        let lists = (&images[..], training);
        let mut claims: Vec<Claim> = Vec::new();
        for (frozen, spec) in design.frozen.iter().zip(&specs) {
            for (spec, list) in sets(spec, lists, kind) {
                claims.push(FeatureCache::claim(root, &spec, list, frozen.graph.output_shape())?);
            }
        }
        // All are held by now, so that none makes room for another.
        room.make(root, claims.iter().map(|claim| claim.missing).sum());
        for (i, (frozen, spec)) in design.frozen.iter().zip(&specs).enumerate() {
            let net = FrozenNet::load(&frozen.graph, weights_of(weights, &frozen.name)?)?;
            let mut progress = |done| progress(i * of_part + done, total);
            varied.parts.push(features(root, spec, lists, kind, &net, &mut progress)?);
        }
        // Others may have computed meanwhile.
        room.make(root, 0);
        Ok(Self::Features(varied))
    }

    /// The input for some images, by their places in the list; `tokens`: in token order.
    pub fn input(&self, images: &[usize], tokens: bool, device: &Device) -> Input {
        match self {
            Self::Pixels(pixels, preprocess) => Input::Map(pixels.tensor(images, preprocess, device)),
            Self::Features(Varied { parts, .. }) if tokens => {
                let part = |features: &Features| {
                    let shape = [images.len(), features.shape().h * features.shape().w, features.shape().c];
                    Tensor::<3>::from_data(TensorData::new(features.tokens(images), shape), device)
                };
                Input::Tokens(joined(parts.iter().map(part).collect(), 2))
            }
            Self::Features(Varied { parts, .. }) => {
                Input::Map(joined(parts.iter().map(|part| part.tensor(images, device)).collect(), 1))
            }
        }
    }

    /// As [`Source::input`] for some training images, varied by seed, epoch and place; `keeps` tells for each training image
    /// whether it is not mirrored. Pixels are varied anew, of features one of the variants is taken.
    pub fn varied(
        &self,
        images: &[usize],
        keeps: &[bool],
        kind: Augment,
        (seed, epoch): (u64, u32),
        tokens: bool,
        device: &Device,
    ) -> Input {
        let (pixels, preprocess) = match self {
            Self::Pixels(pixels, preprocess) => (pixels, preprocess),
            Self::Features(varied) => {
                let shown =
                    |i: &usize| varied.place(Variant::drawn(kind, keeps[*i], (seed, epoch, *i)).number(), *i);
                return self.input(&images.iter().map(shown).collect::<Vec<_>>(), tokens, device);
            }
        };
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

impl Varied {
    /// Where the features of a training image lie, by the number of its variant.
    fn place(&self, variant: usize, image: usize) -> usize {
        match variant {
            0 => image,
            further => self.images + (further - 1) * self.training + image,
        }
    }
}

/// What decides the features of a frozen part, of images as they are.
fn spec_of(
    frozen: &Frozen,
    weights: &BackboneWeights,
    preprocess: Preprocess,
) -> Result<FeatureSpec, TrainError> {
    Ok(FeatureSpec {
        weights_sha256: weights_of(weights, &frozen.name)?.sha256().to_string(),
        backbone: frozen.name.clone(),
        graph_sha256: own_graph(backbone(&frozen.name)?, &frozen.graph),
        cut: frozen.cut,
        cuts: frozen.cuts,
        side: frozen.graph.output_shape().h,
        preprocess,
        variant: Variant::PLAIN,
    })
}

/// The sets of a frozen part, in the order of [`Varied`]: of all images as they are, and of training images in each further variant.
fn sets<'a>(
    plain: &FeatureSpec,
    (images, training): (&'a [ImageRecord], &'a [ImageRecord]),
    kind: Augment,
) -> impl Iterator<Item = (FeatureSpec, &'a [ImageRecord])> {
    Variant::of(kind).map(move |variant| {
        let list = if variant == Variant::PLAIN { images } else { training };
        (FeatureSpec { variant, ..plain.clone() }, list)
    })
}

/// Features of one frozen part, in the order of [`Varied`]; `progress` hears how many are there.
fn features(
    root: &Path,
    plain: &FeatureSpec,
    lists: (&[ImageRecord], &[ImageRecord]),
    kind: Augment,
    net: &FrozenNet,
    progress: &mut dyn FnMut(usize),
) -> Result<Features, CacheError> {
    let mut all: Option<Features> = None;
    for (spec, list) in sets(plain, lists, kind) {
        let before = all.as_ref().map_or(0, Features::len);
        let mut told = |done: usize, _: usize| progress(before + done);
        let more = FeatureCache::open_or_compute(root, &spec, list, net, &mut told)?;
        all = Some(match all {
            Some(all) => all.followed_by(more),
            None => more,
        });
    }
    Ok(all.expect("images are shown as they are, at least"))
}

/// Parts side by side.
fn joined<const D: usize>(mut parts: Vec<Tensor<D>>, dim: usize) -> Tensor<D> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, dim) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::features::tests::{by_hand, net, spec};
    use capwright_caption_data::{Dataset, SceneOptions, Split, make_scenes};

    const KIND: Augment = Augment::FlipCrop;

    /// Training images and, of two frozen parts side by side, their features with all variants; and what progress heard.
    fn source(root: &Path) -> (Vec<ImageRecord>, Source, Vec<usize>) {
        let options = SceneOptions { train: 12, val: 3, test: 1, size: 32, seed: 1 };
        make_scenes(root.join("data"), &options).unwrap();
        let data = Dataset::load(root.join("data")).unwrap();
        let training: Vec<ImageRecord> = data.records(Split::Train).cloned().collect();
        let images: Vec<ImageRecord> = training.iter().chain(data.records(Split::Val)).cloned().collect();
        let mut heard = Vec::new();
        let mut part = |backbone: &str| {
            let spec = FeatureSpec { backbone: backbone.into(), ..spec() };
            let lists = (&images[..], &training[..]);
            features(root, &spec, lists, KIND, &net(), &mut |done| heard.push(done)).unwrap()
        };
        let parts = vec![part("one"), part("another")];
        let varied = Varied { parts, images: images.len(), training: training.len() };
        (training, Source::Features(varied), heard)
    }

    fn values(input: Input) -> Vec<f32> {
        let Input::Map(map) = input else { panic!("a map") };
        map.into_data().try_to_vec::<f32>().unwrap()
    }

    #[test]
    fn each_image_is_shown_in_one_variant_whatever_the_batch() {
        let root = tempfile::tempdir().unwrap();
        let (training, source, heard) = source(root.path());
        assert_eq!((heard.first(), heard.iter().max()), (Some(&0), Some(&(15 + 3 * 12))));
        let device = Device::flex();
        let keeps: Vec<bool> = (0..12).map(|i| i % 3 == 0).collect();
        let show =
            |images: &[usize], epoch| values(source.varied(images, &keeps, KIND, (4, epoch), false, &device));
        let all: Vec<usize> = (0..12).collect();
        let mut seen = [0; 4];
        for epoch in 1..20 {
            let together = show(&all, epoch);
            for (i, shown) in together.chunks_exact(24).enumerate() {
                assert_eq!(show(&[i], epoch), shown, "image {i} in a batch of its own");
                let (one, another) = shown.split_at(12);
                assert_eq!(one, another, "both parts see one variant");
                let drawn = Variant::drawn(KIND, keeps[i], (4, epoch, i));
                assert_eq!(one, by_hand(&training[i], drawn), "{drawn:?} of image {i}");
                assert!(!keeps[i] || drawn.number().is_multiple_of(2), "image {i} keeps its sides");
                seen[drawn.number()] += 1;
            }
        }
        assert!(seen.iter().all(|n| *n > 20), "{seen:?}");
        let plain = values(source.input(&[3], false, &device));
        assert_eq!(plain[..12], by_hand(&training[3], Variant::PLAIN));
    }

    #[test]
    fn tokens_and_maps_show_the_same_variants() {
        let root = tempfile::tempdir().unwrap();
        let (_, source, _) = source(root.path());
        let (keeps, device) = ([false; 12], Device::flex());
        let show = |tokens| source.varied(&[5, 2, 9], &keeps, KIND, (1, 3), tokens, &device);
        let Input::Tokens(tokens) = show(true) else { panic!("tokens") };
        let tokens = tokens.into_data().try_to_vec::<f32>().unwrap();
        let map = values(show(false));
        for (i, value) in map.iter().enumerate() {
            let (image, channel, cell) = (i / 24, i % 24 / 4, i % 4);
            assert_eq!(tokens[image * 24 + cell * 6 + channel], *value);
        }
    }
}
