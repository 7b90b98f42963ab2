//! Image files as they were when their data set was read: what a cache holds is named by the digests of then.

use super::chunks::CacheError;
use capwright_caption_data::{DataError, ImageLimits, ImageRecord, Preprocess, decode};

/// The square that a backbone sees of an image, [`Preprocess::apply`] of its file.
///
/// # Errors
/// [`CacheError::Changed`] where the file has another content by now, [`CacheError::Data`] where it cannot be read, decoded or resized.
pub(super) fn load(image: &ImageRecord, preprocess: &Preprocess) -> Result<Vec<u8>, CacheError> {
    let bytes = image.content()?.ok_or_else(|| CacheError::Changed(image.path.clone()))?;
    let failed = |source| DataError::Image { path: image.path.clone(), source };
    let whole = decode(&bytes, &ImageLimits::default()).map_err(failed)?;
    Ok(preprocess.apply(&whole).map_err(failed)?)
}

#[cfg(test)]
mod tests {
    use super::super::features::tests::{net, spec};
    use super::super::{FeatureCache, PixelCache};
    use super::*;
    use capwright_caption_data::{Dataset, SceneOptions, make_scenes};
    use std::fs;

    #[test]
    fn an_image_is_what_the_data_set_makes_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let options = SceneOptions { train: 1, val: 1, test: 0, size: 32, seed: 3 };
        make_scenes(dir.path().join("data"), &options).unwrap();
        let data = Dataset::load(dir.path().join("data")).unwrap();
        let (image, preprocess) = (&data.images()[0], Preprocess::imagenet(24));
        assert_eq!(load(image, &preprocess).unwrap(), preprocess.load_rgb(&image.path).unwrap());
        fs::remove_file(&image.path).unwrap();
        assert!(matches!(load(image, &preprocess), Err(CacheError::Data(DataError::Read { .. }))));
    }

    #[test]
    fn a_file_that_changed_since_the_data_were_read_comes_into_no_cache() {
        let dir = tempfile::tempdir().unwrap();
        let options = SceneOptions { train: 2, val: 1, test: 0, size: 32, seed: 3 };
        make_scenes(dir.path().join("data"), &options).unwrap();
        let data = Dataset::load(dir.path().join("data")).unwrap();
        let (images, spec, net) = (data.images(), spec(), net());
        let [first, second] = [0, 1].map(|i: usize| fs::read(&images[i].path).unwrap());
        let open = || {
            let root = dir.path();
            let pixels = PixelCache::open_or_compute(root, 32, images, &mut |_, _| {}).map(|p| p.len());
            let features = FeatureCache::open_or_compute(root, &spec, images, &net, &mut |_, _| {});
            [pixels, features.map(|f| f.len())]
        };
        fs::write(&images[1].path, &first).unwrap();
        for opened in open() {
            let told = opened.unwrap_err();
            assert!(matches!(&told, CacheError::Changed(path) if *path == images[1].path), "{told}");
        }
        fs::write(&images[1].path, &second).unwrap();
        assert!(open().into_iter().all(|opened| opened.is_ok_and(|count| count == 3)));
        let pixels = PixelCache::open_or_compute(dir.path(), 32, images, &mut |_, _| {}).unwrap();
        let mut expected = vec![0.0; spec.preprocess.numel()];
        spec.preprocess.load_chw(&images[1].path, &mut expected).unwrap();
        assert_eq!(pixels.batch(&[1], &spec.preprocess), expected);
    }
}
