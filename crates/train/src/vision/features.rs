//! Features of a frozen backbone, computed once for each image and kept on disk for all trials.
//!
//! An item is token-major, `[tokens, c]` in 16-bit floats, tokens row by row: that is what the bridge reads, and a
//! mean over tokens or a choice of tokens touches contiguous memory. ReLU6 features lie in 0..=6, where 16 bits keep
//! three decimal digits.

use super::chunks::{self, CacheError, ChunkStore, Chunks};
use super::frozen::FrozenNet;
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::Shape;
use capwright_blueprint::language::Cut;
use capwright_caption_data::{ImageRecord, Preprocess};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use std::path::Path;

/// Changes whenever pixels or features would come out differently for the same inputs.
const VERSION: &[u8] = b"features 1: squash, antialiased bilinear";
/// Images between two progress reports.
const GROUP: usize = 16;

/// What decides the values of features, together with the images.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSpec {
    /// Full sha256 of the weights in hex.
    pub weights_sha256: String,
    /// Name of the backbone in the zoo.
    pub backbone: String,
    /// Where it is cut.
    pub cut: Cut,
    /// Image size and pixel normalisation.
    pub preprocess: Preprocess,
}

/// Opens or fills feature caches; see [`FeatureCache::open_or_compute`].
#[derive(Debug)]
pub struct FeatureCache;

/// Features of a list of images, mapped into memory.
#[derive(Debug)]
pub struct Features {
    chunks: Chunks,
    shape: Shape,
}

impl FeatureSpec {
    fn key(&self, images: &[ImageRecord]) -> [u8; 32] {
        let p = self.preprocess;
        let cut = [self.cut as u8];
        let size = p.size.to_le_bytes();
        let norm: Vec<u8> = p.mean.iter().chain(&p.std).flat_map(|v| v.to_le_bytes()).collect();
        let head = [VERSION, self.weights_sha256.as_bytes(), self.backbone.as_bytes(), &cut, &size, &norm];
        chunks::key(head.into_iter().chain(images.iter().map(|i| &i.sha256[..])))
    }
}

impl FeatureCache {
    /// Features of `images`, in that order, from the cache below `root`; what is missing is computed with `net`.
    ///
    /// Several processes may do this at once and share the work. `progress` hears how many images are done, and of
    /// how many. Images are decoded and run in parallel on rayon's current pool.
    ///
    /// # Errors
    /// [`CacheError`] for an image that cannot be read, a cache that cannot be written, or a network that does not
    /// read images of the size in `spec`.
    pub fn open_or_compute(
        root: &Path,
        spec: &FeatureSpec,
        images: &[ImageRecord],
        net: &FrozenNet,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Features, CacheError> {
        let (side, shape) = (spec.preprocess.size as usize, net.output_shape());
        if net.input_shape() != Shape::new(3, side, side) {
            let has = net.input_shape();
            return Err(CacheError::Network(format!("it reads {has}, but images are 3×{side}×{side}")));
        }
        let kind = format!("features-{}-{side}", spec.backbone);
        let store = ChunkStore::new(root, &kind, spec.key(images), images.len(), 2 * shape.len());
        let chunks = store.fill(
            |range, out, done| {
                let mut count = 0;
                for group in images[range].chunks(GROUP) {
                    let maps: Result<Vec<Vec<u8>>, CacheError> =
                        group.par_iter().map(|image| compute(image, &spec.preprocess, net)).collect();
                    maps?.iter().for_each(|map| out.extend_from_slice(map));
                    count += group.len();
                    done(count);
                }
                Ok(())
            },
            progress,
        )?;
        Ok(Features { chunks, shape })
    }
}

/// Features of one image as they are stored.
fn compute(image: &ImageRecord, preprocess: &Preprocess, net: &FrozenNet) -> Result<Vec<u8>, CacheError> {
    let mut pixels = vec![0.0; preprocess.numel()];
    preprocess.load_chw(&image.path, &mut pixels)?;
    let map = net.forward_image(&pixels);
    let mut tokens = vec![0.0; map.len()];
    let (c, cells) = (net.output_shape().c, net.output_shape().h * net.output_shape().w);
    transpose(&map, &mut tokens, c, cells);
    let mut halves = vec![f16::ZERO; tokens.len()];
    halves.convert_from_f32_slice(&tokens);
    Ok(halves.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// `to[column][row] = from[row][column]`.
fn transpose(from: &[f32], to: &mut [f32], rows: usize, columns: usize) {
    for (row, values) in from.chunks_exact(columns.max(1)).enumerate() {
        values.iter().enumerate().for_each(|(column, v)| to[column * rows + row] = *v);
    }
}

impl Features {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of the feature map of one image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Tokens of images, `[images, tokens, c]` row-major.
    ///
    /// # Panics
    /// For an index outside the list of images.
    pub fn tokens(&self, images: &[usize]) -> Vec<f32> {
        let n = self.shape.len();
        let mut all = vec![0.0; images.len() * n];
        let mut halves = vec![f16::ZERO; n];
        for (i, out) in images.iter().zip(all.chunks_exact_mut(n.max(1))) {
            let (pairs, _) = self.chunks.item(*i).as_chunks::<2>();
            halves.iter_mut().zip(pairs).for_each(|(h, b)| *h = f16::from_le_bytes(*b));
            halves.convert_to_f32_slice(out);
        }
        all
    }

    /// Feature maps of images, `[images, c, h, w]` row-major.
    ///
    /// # Panics
    /// For an index outside the list of images.
    pub fn batch(&self, images: &[usize]) -> Vec<f32> {
        let (tokens, n) = (self.tokens(images), self.shape.len());
        let mut all = vec![0.0; tokens.len()];
        for (from, to) in tokens.chunks_exact(n.max(1)).zip(all.chunks_exact_mut(n.max(1))) {
            transpose(from, to, self.shape.h * self.shape.w, self.shape.c);
        }
        all
    }

    /// [`Features::batch`] as a tensor.
    ///
    /// # Panics
    /// For an index outside the list of images.
    pub fn tensor(&self, images: &[usize], device: &Device) -> Tensor<4> {
        let shape = [images.len(), self.shape.c, self.shape.h, self.shape.w];
        Tensor::from_data(TensorData::new(self.batch(images), shape), device)
    }
}
