//! Running statistics of batch norms.

use capwright_blueprint::{Graph, Param};
use std::collections::HashMap;

/// Weight of a new batch in the running statistics, as in PyTorch.
const MOMENTUM: f32 = 0.1;

/// Running mean and variance of each batch norm of a graph, by buffer name.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    entries: Vec<(String, Vec<usize>, Vec<f32>)>,
    index: HashMap<String, usize>,
}

impl Stats {
    /// Means of 0 and variances of 1 for every batch norm of `graph`.
    pub fn new(graph: &Graph) -> Self {
        let start = |p: &Param| vec![if p.name.ends_with("running_var") { 1.0 } else { 0.0 }; p.len()];
        let wanted = graph.buffers();
        let values = wanted.iter().map(start).collect();
        Self::from_values(&wanted, values)
    }

    /// Given values, one vector for each of `wanted` ([`Graph::buffers`]), of its length.
    ///
    /// # Panics
    /// Where numbers or lengths differ: a bug of the caller.
    pub fn from_values(wanted: &[Param], values: Vec<Vec<f32>>) -> Self {
        assert_eq!(wanted.len(), values.len(), "one vector a buffer");
        let mut entries = Vec::with_capacity(wanted.len());
        for (param, values) in wanted.iter().zip(values) {
            assert_eq!(param.len(), values.len(), "{}", param.name);
            entries.push((param.name.clone(), param.shape.clone(), values));
        }
        let index = entries.iter().enumerate().map(|(i, e)| (e.0.clone(), i)).collect();
        Self { entries, index }
    }

    /// Name, shape and values of each buffer, in the order of [`Graph::buffers`].
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        self.entries.iter().map(|(name, shape, values)| (name.as_str(), &shape[..], &values[..]))
    }

    /// Values of the buffer of that name.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.index.get(name).map(|i| &self.entries[*i].2[..])
    }

    /// Replaces the values of a buffer.
    pub(crate) fn set(&mut self, name: &str, values: Vec<f32>) {
        if let Some(i) = self.index.get(name) {
            self.entries[*i].2 = values;
        }
    }

    /// Moves all statistics towards those of another network of the same graph.
    pub(crate) fn follow(&mut self, other: &Self, share: f32) {
        for (own, (.., values)) in self.entries.iter_mut().zip(other.tensors()) {
            crate::math::follow(&mut own.2, values, share);
        }
    }

    /// Moves a running statistic towards that of a batch times `factor`.
    pub(super) fn update(&mut self, name: &str, batch: &[f32], factor: f32) {
        if let Some(i) = self.index.get(name) {
            let running = self.entries[*i].2.iter_mut();
            running.zip(batch).for_each(|(r, b)| *r += MOMENTUM * (b * factor - *r));
        }
    }
}
