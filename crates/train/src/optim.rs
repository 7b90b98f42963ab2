//! AdamW (Loshchilov & Hutter 2019) with clipping to a global norm.
//!
//! `x ← x (1 − lr·decay) − lr · m̂ / (√v̂ + eps)`, β = (0.9, 0.999), eps 1e-8. Biases, norms, embeddings and positions
//! are not decayed.

use crate::error::TrainError;
use crate::math;
use crate::params::{Grads, Params};
use capwright_blueprint::Param;
use std::path::Path;

const BETAS: (f32, f32) = (0.9, 0.999);
const EPS: f64 = 1e-8;

/// The optimiser and its state.
pub struct AdamW {
    decay: f64,
    clip: f64,
    step: u64,
    first: Vec<Vec<f32>>,
    second: Vec<Vec<f32>>,
}

/// Whether weight decay applies: matrices and convolutions, but no table of embeddings.
fn decayed(params: &Params, id: usize) -> bool {
    let name = params.name(id);
    params.rank(id) > 1 && !name.ends_with("embed.weight") && !name.ends_with("position.weight")
}

impl AdamW {
    /// A fresh optimiser; `clip` is the largest global norm of gradients (infinity: none).
    pub fn new(params: &Params, decay: f64, clip: f64) -> Self {
        let zeros = || params.tensors().map(|(_, _, v)| vec![0.0; v.len()]).collect();
        Self { decay, clip, step: 0, first: zeros(), second: zeros() }
    }

    /// One step at learning rate `lr`; returns the gradients' norm before clipping. Where that norm is not finite,
    /// nothing is changed. Parameters without a gradient stay as they are.
    pub fn step(&mut self, params: &mut Params, grads: &Grads, lr: f64) -> f64 {
        let norm = grads.norm();
        if !norm.is_finite() {
            return norm;
        }
        self.step += 1;
        let scale = if norm > self.clip { self.clip / (norm + 1e-6) } else { 1.0 };
        let power = |beta: f32| 1.0 - f64::from(beta).powf(self.step as f64);
        let (fix_m, fix_v) = (power(BETAS.0), power(BETAS.1).sqrt());
        let (rate, eps) = (lr * fix_v / fix_m, EPS * fix_v);
        for id in 0..params.len() {
            let Some(gradient) = grads.get(id) else { continue };
            let shrink = if decayed(params, id) { 1.0 - lr * self.decay } else { 1.0 };
            let (m, v) = (&mut self.first[id], &mut self.second[id]);
            let x = params.values_mut(id);
            math::adamw(x, gradient, m, v, BETAS, rate as f32, eps as f32, shrink as f32, scale as f32);
        }
        norm
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// State as named tensors (`first.NAME`, `second.NAME`), for a checkpoint; the step count is kept beside them.
    pub fn tensors(&self, params: &Params) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let mut all = Vec::with_capacity(2 * self.first.len());
        for (label, moments) in [("first", &self.first), ("second", &self.second)] {
            for ((name, shape, _), values) in params.tensors().zip(moments) {
                all.push((format!("{label}.{name}"), shape.to_vec(), values.clone()));
            }
        }
        all
    }

    /// Restores the state from a checkpoint's tensors and step count.
    ///
    /// # Errors
    /// Where tensors are missing or have other shapes.
    pub fn restore(&mut self, params: &Params, path: &Path, step: u64) -> Result<(), TrainError> {
        let named = |label: &str| -> Vec<Param> {
            params.tensors().map(|(n, s, _)| Param::new(format!("{label}.{n}"), s)).collect()
        };
        self.first = crate::store::read(path, &named("first"))?;
        self.second = crate::store::read(path, &named("second"))?;
        self.step = step;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::tests::formula;
    use burn::tensor::Device;

    #[test]
    fn five_steps_are_those_of_pytorch() {
        let text = include_str!("../../../tests/fixtures/train/adamw.json");
        let theirs: serde_json::Value = serde_json::from_str(text).unwrap();
        let shapes: [(&str, &[usize]); 3] =
            [("a.weight", &[3, 2]), ("a.bias", &[3]), ("decoder.embed.weight", &[4, 2])];
        let wanted: Vec<Param> = shapes.iter().map(|(n, s)| Param::new(*n, s)).collect();
        let values = wanted.iter().enumerate().map(|(k, p)| formula(k, p.len())).collect();
        let mut params = Params::from_values(&wanted, values, &Device::flex());
        let mut optimiser = AdamW::new(&params, 0.05, 1.0);
        for step in 0..5 {
            let scaled = |n: usize, k: usize| formula(k, n).iter().map(|x| x * (step + 1) as f32).collect();
            let gradients = wanted.iter().enumerate().map(|(k, p)| Some(scaled(p.len(), 10 * step + k)));
            let norm = optimiser.step(&mut params, &Grads(gradients.collect()), 0.01);
            assert!((norm - theirs["norms"][step].as_f64().unwrap()).abs() < 1e-5);
        }
        for (name, _, ours) in params.tensors() {
            for (i, x) in ours.iter().enumerate() {
                assert!(
                    (f64::from(*x) - theirs["values"][name][i].as_f64().unwrap()).abs() < 1e-6,
                    "{name} {i}"
                );
            }
        }
    }

    #[test]
    fn clipping_limits_the_step_and_bad_gradients_change_nothing() {
        let wanted = [Param::new("a.weight", &[1, 2])];
        let mut params = Params::from_values(&wanted, vec![vec![1.0, -1.0]], &Device::flex());
        let mut optimiser = AdamW::new(&params, 0.0, 1.0);
        let norm = optimiser.step(&mut params, &Grads(vec![Some(vec![3.0, 4.0])]), 0.1);
        assert!((norm - 5.0).abs() < 1e-6);
        assert!((params.values("a.weight")[0] - 0.9).abs() < 1e-5);
        let before = params.values("a.weight").to_vec();
        assert!(optimiser.step(&mut params, &Grads(vec![Some(vec![f32::NAN, 1.0])]), 0.1).is_nan());
        assert_eq!(params.values("a.weight"), before);
        assert_eq!(optimiser.steps(), 1);
    }
}
