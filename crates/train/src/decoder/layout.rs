//! How the words of a batch lie: caption after caption, those of an image side by side; in tensors also padded.

use super::{CaptionBatch, Target};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::ops::Range;

/// The words of a batch in the order in which they lie.
pub(crate) struct Words {
    /// The word that is read at each position.
    pub read: Vec<u32>,
    /// Its step in its caption.
    pub places: Vec<usize>,
    /// The word to be said there.
    pub targets: Vec<Target>,
    /// Where each caption lies.
    pub captions: Vec<Range<usize>>,
    /// Where the captions of each image lie.
    pub images: Vec<Range<usize>>,
}

impl Words {
    /// The words of a batch.
    pub fn new(batch: &CaptionBatch) -> Self {
        let mut order: Vec<usize> = (0..batch.rows.len()).collect();
        order.sort_by_key(|row| batch.rows[*row].image);
        let (read, places, targets, captions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut all = Self { read, places, targets, captions, images: vec![0..0; batch.images] };
        for row in order {
            let (start, image) = (all.read.len(), batch.rows[row].image);
            for t in 0..=batch.rows[row].words.len() {
                all.read.push(batch.input(row, t));
                all.places.push(t);
                all.targets.push(batch.target(row, t));
            }
            let end = all.read.len();
            all.captions.push(start..end);
            let own = &mut all.images[image];
            *own = if own.start == own.end { start..end } else { own.start..end };
        }
        all
    }

    /// The image that each word tells of.
    pub fn shown(&self) -> Vec<usize> {
        let of = |(image, words): (usize, &Range<usize>)| words.clone().map(move |_| image);
        self.images.iter().enumerate().flat_map(of).collect()
    }
}

/// Where words stand in packed and in padded order.
pub(crate) struct Layout {
    /// The packed words.
    pub words: Words,
    /// References an image, padded.
    pub references: usize,
    /// Steps, padded.
    pub steps: usize,
    /// Packed position of each padded one; padding points at 0.
    to_padded: Tensor<1, Int>,
    /// Padded position of each packed one.
    to_packed: Tensor<1, Int>,
}

/// Indices as a tensor.
pub(crate) fn ints(values: impl IntoIterator<Item = i64>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.into_iter().collect();
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}

impl Layout {
    /// The layout of a batch.
    pub fn new(batch: &CaptionBatch, device: &Device) -> Self {
        let words = Words::new(batch);
        let (shown, mut taken) = (words.shown(), vec![0usize; batch.images]);
        let number = |caption: &Range<usize>| {
            let image = shown[caption.start];
            taken[image] += 1;
            (image, taken[image] - 1)
        };
        let numbers: Vec<(usize, usize)> = words.captions.iter().map(number).collect();
        let (references, steps) = (taken.into_iter().max().unwrap_or(0), batch.steps());
        let mut to_padded = vec![0; batch.images * references * steps];
        let mut to_packed = vec![0; shown.len()];
        for (caption, (image, reference)) in words.captions.iter().zip(numbers) {
            let start = (image * references + reference) * steps;
            for (padded, packed) in (start..).zip(caption.clone()) {
                (to_padded[padded], to_packed[packed]) = (packed, padded);
            }
        }
        let [to_padded, to_packed] =
            [to_padded, to_packed].map(|all| ints(all.into_iter().map(|at| at as i64), device));
        Self { words, references, steps, to_padded, to_packed }
    }

    /// Images.
    pub fn images(&self) -> usize {
        self.words.images.len()
    }

    /// Packed words by image, with padding: `[images, references · steps, width]`.
    pub fn padded(&self, x: Tensor<2>) -> Tensor<3> {
        let width = x.dims()[1];
        x.select(0, self.to_padded.clone()).reshape([self.images(), self.references * self.steps, width])
    }

    /// The reverse of [`Layout::padded`].
    pub fn packed(&self, x: Tensor<3>) -> Tensor<2> {
        let [images, length, width] = x.dims();
        x.reshape([images * length, width]).select(0, self.to_packed.clone())
    }
}
