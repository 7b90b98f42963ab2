//! Resized images for encoders that are trained from scratch: 8 bits a value, kept on disk for all trials.

use super::chunks::{self, CacheError, ChunkStore, Chunks};
use super::eviction::Claim;
use super::photo;
use burn::tensor::{Device, Tensor, TensorData};
use capwright_caption_data::{ImageRecord, Preprocess};
use rayon::prelude::*;
use std::path::Path;

const VERSION: &[u8] = b"pixels 2: squash, antialiased bilinear, orientation applied";
/// Images between two progress reports.
const GROUP: usize = 64;

/// Opens or fills pixel caches; see [`PixelCache::open_or_compute`].
#[derive(Debug)]
pub struct PixelCache;

/// Resized images, mapped into memory.
#[derive(Debug)]
pub struct Pixels {
    chunks: Chunks,
    size: usize,
}

impl PixelCache {
    /// `images` squashed to `size` × `size` pixels, in that order, from the cache below `root`; what is missing is
    /// decoded. Several processes may do this at once and share the work.
    ///
    /// # Errors
    /// [`CacheError`] for an image that cannot be read or a cache that cannot be written.
    pub fn open_or_compute(
        root: &Path,
        size: u32,
        images: &[ImageRecord],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Pixels, CacheError> {
        // Squashed, and not normalised.
        let preprocess = Preprocess::imagenet(size);
        let chunks = store(root, size, images).fill(
            |range, out, done| {
                let mut count = 0;
                for group in images[range].chunks(GROUP) {
                    let loaded: Vec<_> = group.par_iter().map(|i| photo::load(i, &preprocess)).collect();
                    for pixels in loaded {
                        out.extend_from_slice(&pixels?);
                    }
                    count += group.len();
                    done(count);
                }
                Ok(())
            },
            progress,
        )?;
        Ok(Pixels { chunks, size: size as usize })
    }

    /// The set that [`PixelCache::open_or_compute`] opens.
    pub(crate) fn claim(root: &Path, size: u32, images: &[ImageRecord]) -> Result<Claim, CacheError> {
        store(root, size, images).claim()
    }
}

fn store(root: &Path, size: u32, images: &[ImageRecord]) -> ChunkStore {
    let side = size.to_le_bytes();
    let head = [VERSION, &side[..]];
    let key = chunks::key(head.into_iter().chain(images.iter().map(|i| &i.sha256[..])));
    let item_bytes = 3 * size as usize * size as usize;
    ChunkStore::new(root, &format!("pixels-{size}"), key, images.len(), item_bytes)
}

impl Pixels {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Side of an image in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Normalised images, `[images, 3, size, size]` row-major.
    ///
    /// # Panics
    /// For an index outside the list of images, or a `preprocess` of another size.
    pub fn batch(&self, images: &[usize], preprocess: &Preprocess) -> Vec<f32> {
        let n = preprocess.numel();
        let mut all = vec![0.0; images.len() * n];
        for (i, out) in images.iter().zip(all.chunks_exact_mut(n.max(1))) {
            preprocess.to_chw(self.chunks.item(*i), out);
        }
        all
    }

    /// As [`Pixels::tensor`], each image (its place in the batch, and its bytes) first passing `vary`.
    pub(crate) fn varied(
        &self,
        images: &[usize],
        preprocess: &Preprocess,
        device: &Device,
        vary: &dyn Fn(usize, &[u8]) -> Vec<u8>,
    ) -> Tensor<4> {
        let n = preprocess.numel();
        let mut all = vec![0.0; images.len() * n];
        for (i, out) in images.iter().zip(all.chunks_exact_mut(n.max(1))) {
            preprocess.to_chw(&vary(*i, self.chunks.item(*i)), out);
        }
        Tensor::from_data(TensorData::new(all, [images.len(), 3, self.size, self.size]), device)
    }

    /// [`Pixels::batch`] as a tensor.
    ///
    /// # Panics
    /// As [`Pixels::batch`].
    pub fn tensor(&self, images: &[usize], preprocess: &Preprocess, device: &Device) -> Tensor<4> {
        let shape = [images.len(), 3, self.size, self.size];
        Tensor::from_data(TensorData::new(self.batch(images, preprocess), shape), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_caption_data::{Dataset, SceneOptions, make_scenes};

    #[test]
    fn pixels_are_those_of_the_images() {
        let dir = tempfile::tempdir().unwrap();
        let options = SceneOptions { train: 2, val: 1, test: 1, size: 32, seed: 2 };
        make_scenes(dir.path().join("data"), &options).unwrap();
        let data = Dataset::load(dir.path().join("data")).unwrap();
        let preprocess = Preprocess::imagenet(48);
        let pixels = PixelCache::open_or_compute(dir.path(), 48, data.images(), &mut |_, _| {}).unwrap();
        assert_eq!((pixels.len(), pixels.size()), (4, 48));
        let mut expected = vec![0.0; preprocess.numel()];
        preprocess.load_chw(&data.images()[3].path, &mut expected).unwrap();
        let batch = pixels.batch(&[1, 3], &preprocess);
        assert_eq!(batch[expected.len()..], expected);
        assert_ne!(batch[..expected.len()], expected);
    }
}
