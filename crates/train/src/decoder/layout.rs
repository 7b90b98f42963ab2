//! How references lie in tensors: packed one after the other, those of an image side by side, and padded.

use super::{CaptionBatch, Target};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Where words stand in packed and in padded order.
pub(crate) struct Layout {
    /// Images.
    pub images: usize,
    /// References an image, padded.
    pub references: usize,
    /// Steps, padded.
    pub steps: usize,
    /// Packed position of each padded one; padding points at 0.
    pub to_padded: Tensor<1, Int>,
    /// Padded position of each packed one.
    pub to_packed: Tensor<1, Int>,
    /// Word of each packed position.
    pub words: Vec<i64>,
    /// Its step.
    pub places: Vec<i64>,
    /// The image that it shows.
    pub shown: Vec<i64>,
    /// The word to be said there.
    pub targets: Vec<Target>,
}

/// Indices as a tensor.
pub(crate) fn ints(values: Vec<i64>, device: &Device) -> Tensor<1, Int> {
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}

impl Layout {
    /// The layout of a batch.
    pub fn new(batch: &CaptionBatch, device: &Device) -> Self {
        let mut order: Vec<usize> = (0..batch.rows.len()).collect();
        order.sort_by_key(|row| batch.rows[*row].image);
        let mut counts = vec![0usize; batch.images];
        batch.rows.iter().for_each(|row| counts[row.image] += 1);
        let (references, steps) = (counts.iter().copied().max().unwrap_or(0), batch.steps());
        let mut padded = vec![0i64; batch.images * references * steps];
        let mut all = Self {
            images: batch.images,
            references,
            steps,
            to_padded: ints(vec![0], device),
            to_packed: ints(vec![0], device),
            words: Vec::new(),
            places: Vec::new(),
            shown: Vec::new(),
            targets: Vec::new(),
        };
        let mut packed = Vec::with_capacity(batch.words());
        let mut taken = vec![0; batch.images];
        for r in order {
            let row = &batch.rows[r];
            let start = (row.image * references + taken[row.image]) * steps;
            taken[row.image] += 1;
            for t in 0..=row.words.len() {
                padded[start + t] = packed.len() as i64;
                packed.push((start + t) as i64);
                all.words.push(i64::from(batch.input(r, t)));
                all.places.push(t as i64);
                all.shown.push(row.image as i64);
                all.targets.push(batch.target(r, t));
            }
        }
        all.to_padded = ints(padded, device);
        all.to_packed = ints(packed, device);
        all
    }

    /// Packed words by image, with padding: `[images, references · steps, width]`.
    pub fn padded(&self, x: Tensor<2>) -> Tensor<3> {
        let width = x.dims()[1];
        x.select(0, self.to_padded.clone()).reshape([self.images, self.references * self.steps, width])
    }

    /// The reverse of [`Layout::padded`].
    pub fn packed(&self, x: Tensor<3>) -> Tensor<2> {
        let [images, length, width] = x.dims();
        x.reshape([images * length, width]).select(0, self.to_packed.clone())
    }
}
