//! Features of a frozen backbone, computed once for each variant of an image and kept on disk for all trials.
//!
//! An item is token-major, `[tokens, c]` in 16-bit floats, tokens row by row: that is what the bridge reads, and a
//! mean over tokens or a choice of tokens touches contiguous memory. ReLU6 features lie in 0..=6, where 16 bits keep
//! three decimal digits.

use super::chunks::{self, CacheError, ChunkStore, Chunks};
use super::eviction::Claim;
use super::frozen::FrozenNet;
use super::photo;
use super::variants::Variant;
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::Shape;
use capwright_blueprint::language::Cut;
use capwright_caption_data::{DataError, ImageRecord, Preprocess};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use std::path::Path;

/// Changes whenever pixels or features would come out differently for the same inputs.
const VERSION: &[u8] = b"features 3: columns by rows";
/// Images between two progress reports.
const GROUP: usize = 16;

/// What decides the values of features, together with the images.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSpec {
    /// Full sha256 of the weights in hex.
    pub weights_sha256: String,
    /// Name of the backbone in the zoo.
    pub backbone: String,
    /// sha256 of the graph in hex, of a backbone of one's own: the name of any other says which graph it is.
    pub graph_sha256: Option<String>,
    /// Where it is cut.
    pub cut: Cut,
    /// How many cuts stand side by side.
    pub cuts: usize,
    /// Cells on a side of the map, which may be pooled further than the cut.
    pub side: usize,
    /// Image size and pixel normalisation.
    pub preprocess: Preprocess,
    /// How the images are shown.
    pub variant: Variant,
}

/// Opens or fills feature caches; see [`FeatureCache::open_or_compute`].
#[derive(Debug)]
pub struct FeatureCache;

/// Features of a list of images, mapped into memory.
#[derive(Debug)]
pub struct Features {
    /// One list after the other.
    lists: Vec<Chunks>,
    shape: Shape,
}

impl FeatureSpec {
    fn key(&self, images: &[ImageRecord]) -> [u8; 32] {
        let p = self.preprocess;
        let cut = [self.cut as u8, self.cuts as u8, self.side as u8];
        let size = p.size.to_le_bytes();
        let norm: Vec<u8> = p.mean.iter().chain(&p.std).flat_map(|v| v.to_le_bytes()).collect();
        let (rule, backbone) = (format!("{:?} {:?}", p.framing, p.filter), self.backbone.as_bytes());
        let head =
            [VERSION, rule.as_bytes(), self.weights_sha256.as_bytes(), backbone, &cut[..], &size, &norm];
        // Only where they say something: caches without them keep their keys.
        let (graph, variant) = (&self.graph_sha256, self.variant.key());
        let parts = graph.iter().chain(&variant).map(String::as_bytes).chain(head);
        chunks::key(parts.chain(images.iter().map(|i| &i.sha256[..])))
    }

    /// Where the features of these images lie, if maps have that shape.
    fn store(&self, root: &Path, images: &[ImageRecord], shape: Shape) -> ChunkStore {
        let kind = format!("features-{}-{}", self.backbone, self.preprocess.size);
        ChunkStore::new(root, &kind, self.key(images), images.len(), 2 * shape.len())
    }
}

impl FeatureCache {
    /// Features of `images`, in that order, from the cache below `root`; what is missing is computed with `net`.
    ///
    /// Several processes may do this at once and share the work. `progress` hears how many images are done, and of
    /// how many. Images are decoded and run in parallel on rayon's current pool.
    ///
    /// # Errors
    /// [`CacheError`] for an image that cannot be read, features that 16 bits cannot hold, a cache that cannot be written, or a
    /// network that does not read images of the size in `spec`.
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
        let chunks = spec.store(root, images, shape).fill(
            |range, out, done| {
                let mut count = 0;
                for group in images[range].chunks(GROUP) {
                    let maps: Result<Vec<Vec<u8>>, CacheError> =
                        group.par_iter().map(|image| compute(image, spec, net)).collect();
                    maps?.iter().for_each(|map| out.extend_from_slice(map));
                    count += group.len();
                    done(count);
                }
                Ok(())
            },
            progress,
        )?;
        Ok(Features { lists: vec![chunks], shape })
    }

    /// The set that [`FeatureCache::open_or_compute`] opens for a network that makes maps of that shape.
    pub(crate) fn claim(
        root: &Path,
        spec: &FeatureSpec,
        images: &[ImageRecord],
        shape: Shape,
    ) -> Result<Claim, CacheError> {
        spec.store(root, images, shape).claim()
    }
}

/// Features of one image as they are stored.
fn compute(image: &ImageRecord, spec: &FeatureSpec, net: &FrozenNet) -> Result<Vec<u8>, CacheError> {
    let preprocess = &spec.preprocess;
    let mut pixels = vec![0.0; preprocess.numel()];
    let whole = photo::load(image, preprocess)?;
    let shown = spec
        .variant
        .apply(&whole, preprocess.size, &image.sha256)
        .map_err(|source| DataError::Image { path: image.path.clone(), source })?;
    preprocess.to_chw(&shown, &mut pixels);
    let map = net.forward_image(&pixels);
    let mut tokens = vec![0.0; map.len()];
    let (c, cells) = (net.output_shape().c, net.output_shape().h * net.output_shape().w);
    transpose(&map, &mut tokens, c, cells);
    let halves = halves(&tokens).ok_or_else(|| CacheError::Range {
        image: image.path.clone(),
        backbone: spec.backbone.clone(),
        cut: spec.cut,
    })?;
    Ok(halves.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// Features in the 16 bits that are kept of them; none where one becomes infinite or was no number.
fn halves(map: &[f32]) -> Option<Vec<f16>> {
    let mut halves = vec![f16::ZERO; map.len()];
    halves.convert_from_f32_slice(map);
    halves.iter().all(|x| x.is_finite()).then_some(halves)
}

/// Whether features can be kept in 16 bits.
pub fn can_be_kept(map: &[f32]) -> bool {
    halves(map).is_some()
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
        self.lists.iter().map(Chunks::len).sum()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// These, and behind them those of another list: images of that list have their places from [`Features::len`] on.
    ///
    /// # Panics
    /// For features of another shape: a bug of the caller.
    pub(crate) fn followed_by(mut self, others: Self) -> Self {
        assert_eq!(self.shape, others.shape, "features of one backbone have one shape");
        self.lists.extend(others.lists);
        self
    }

    fn item(&self, mut i: usize) -> &[u8] {
        for list in &self.lists {
            if i < list.len() {
                return list.item(i);
            }
            i -= list.len();
        }
        panic!("an image outside the list of {}", self.len())
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
            let (pairs, _) = self.item(*i).as_chunks::<2>();
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

#[cfg(test)]
pub(crate) mod tests;
