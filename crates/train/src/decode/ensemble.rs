//! Several models of one vocabulary that speak as one.

use crate::decoder::Session;
use crate::math::log_sum_exp;
use crate::network::Network;
use crate::params::Params;
use burn::tensor::TensorData;
use capwright_blueprint::DecoderSpec;

/// A decoder and what it has seen.
pub struct Model<'a> {
    /// The decoder.
    pub spec: &'a DecoderSpec,
    /// Its values.
    pub params: &'a Params,
    /// Memory of the images, `[images, tokens, dim]`.
    pub memory: TensorData,
}

impl<'a> Model<'a> {
    /// The decoder of a network.
    pub fn of(network: &'a Network, memory: TensorData) -> Self {
        Self { spec: &network.design().decoder, params: &network.params, memory }
    }
}

/// Decoding in progress by all models, row by row the same words.
pub(super) struct Ensemble<'a> {
    sessions: Vec<Session<'a>>,
    /// Images at the start.
    pub images: usize,
    /// Words of the vocabulary.
    pub vocab: usize,
}

impl<'a> Ensemble<'a> {
    /// One row for each image.
    pub fn new(models: Vec<Model<'a>>) -> Self {
        let sizes = |m: &Model<'_>| (m.memory.shape()[0], m.params.values("decoder.out.bias").len());
        let (images, vocab) = models.first().map_or((0, 0), sizes);
        assert!(models.iter().all(|m| sizes(m) == (images, vocab)), "models of the same images and words");
        let sessions = models.into_iter().map(|m| Session::new(m.spec, m.params, m.memory)).collect();
        Self { sessions, images, vocab }
    }

    /// Reads one word a row and returns the logits of the next, `[rows, vocabulary]`; of several models, the logarithm of
    /// the mean of their probabilities.
    pub fn step(&mut self, words: &[u32]) -> Vec<f32> {
        let mut all: Vec<Vec<f32>> = self.sessions.iter_mut().map(|session| session.step(words)).collect();
        if all.len() == 1 {
            return all.pop().unwrap_or_default();
        }
        let mut mean = Vec::with_capacity(words.len() * self.vocab);
        for row in 0..words.len() {
            let rows: Vec<&[f32]> = all.iter().map(|l| &l[row * self.vocab..][..self.vocab]).collect();
            mean.extend(log_mean_exp(&rows));
        }
        mean
    }

    /// Keeps the given rows, in that order; a row may be repeated.
    pub fn select(&mut self, rows: &[usize]) {
        self.sessions.iter_mut().for_each(|session| session.select(rows));
    }
}

/// Logarithms of the mean of the distributions that some logits stand for.
fn log_mean_exp<'a>(rows: &'a [&'a [f32]]) -> impl Iterator<Item = f32> + 'a {
    let totals: Vec<f64> = rows.iter().map(|row| log_sum_exp(row)).collect();
    let width = rows.first().map_or(0, |row| row.len());
    (0..width).map(move |word| {
        let each = || rows.iter().zip(&totals).map(|(row, total)| f64::from(row[word]) - total);
        let top = each().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = each().map(|log| (log - top).exp()).sum();
        (top + (sum / rows.len() as f64).ln()) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_averaged() {
        let (a, b) = ([0.3f32, -1.0, 2.0, -200.0], [1.0f32, 4.0, -3.0, -190.0]);
        let share = |row: &[f32], i: usize| {
            let sum: f64 = row.iter().map(|v| f64::from(*v).exp()).sum();
            f64::from(row[i]).exp() / sum
        };
        for (i, log) in log_mean_exp(&[&a, &b]).enumerate() {
            let mean = f64::midpoint(share(&a, i), share(&b, i));
            assert!((f64::from(log) - mean.ln()).abs() < 1e-5, "{i}: {log} {}", mean.ln());
        }
    }
}
