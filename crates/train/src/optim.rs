//! Optimisers, with clipping to a global norm.
//!
//! With the clipped gradient g, the learning rate lr and the weight decay λ, for each value x:
//!
//! - AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), β = (0.9, 0.999), eps 1e-8:
//!   `m ← β₁ m + (1 - β₁) g`, `v ← β₂ v + (1 - β₂) g²`, `x ← x (1 - lr λ) - lr m̂ / (√v̂ + eps)` with
//!   `m̂ = m / (1 - β₁ᵗ)` and `v̂ = v / (1 - β₂ᵗ)`.
//! - Adam (Kingma and Ba 2015, arXiv 1412.6980), PyTorch's weight decay: the same with `g ← g + λ x` first and without
//!   `1 - lr λ`.
//! - SGD with momentum 0.9 (Sutskever et al. 2013, in PyTorch's form without Nesterov): `m ← 0.9 m + g + λ x`,
//!   `x ← x - lr m`.
//! - Lion (Chen et al. 2023, arXiv 2302.06675), β = (0.9, 0.99):
//!   `x ← x (1 - lr λ) - lr sign(β₁ m + (1 - β₁) g)`, `m ← β₂ m + (1 - β₂) g`.
//!
//! Matrices and convolutions are decayed; biases, norms, scales, embeddings, places and tables of biases are not.
//! Parameters without a gradient stay as they are; t counts the steps of the encoder and those of the rest apart, since
//! the encoder may be frozen at the start.

use crate::error::TrainError;
use crate::math;
use crate::params::{Grads, PLACES, Params};
use capwright_blueprint::Param;
use capwright_blueprint::language::{OptimizerKind, Recipe};
use std::path::Path;

const BETAS: (f32, f32) = (0.9, 0.999);
const EPS: f64 = 1e-8;
const MOMENTUM: f32 = 0.9;
const LION_BETAS: (f32, f32) = (0.9, 0.99);

/// The optimiser and its state.
pub struct Optimizer {
    kind: OptimizerKind,
    decay: f64,
    clip: f64,
    encoder_rate: f64,
    steps: Steps,
    first: Vec<Vec<f32>>,
    /// Empty for rules with one moment.
    second: Vec<Vec<f32>>,
}

/// Steps taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Steps {
    /// In all.
    pub all: u64,
    /// With gradients for the encoder.
    pub encoder: u64,
}

/// Whether weight decay applies to a parameter of that name and rank: to matrices and convolutions, which are a layer's `weight`, but
/// to no table of embeddings or places. What else has a rank is called by a name of its own: `class_token`, `pos_embedding`,
/// `relative_position_bias_table`, `layer_scale`.
fn decayed(name: &str, rank: usize) -> bool {
    let (layer, leaf) = name.rsplit_once('.').unwrap_or(("", name));
    rank > 1 && leaf.contains("weight") && layer != "decoder.embed" && !PLACES.contains(&layer)
}

/// Whether a parameter belongs to the trained part of the encoder.
fn of_encoder(params: &Params, id: usize) -> bool {
    params.name(id).starts_with("encoder.")
}

impl Optimizer {
    /// A fresh optimiser; `clip` is the largest global norm of gradients (infinity: none).
    pub fn new(params: &Params, kind: OptimizerKind, decay: f64, clip: f64) -> Self {
        let zeros = || params.tensors().map(|(_, _, v)| vec![0.0; v.len()]).collect();
        let two = matches!(kind, OptimizerKind::Adamw | OptimizerKind::Adam);
        let second = if two { zeros() } else { Vec::new() };
        Self { kind, decay, clip, encoder_rate: 1.0, steps: Steps::default(), first: zeros(), second }
    }

    /// A fresh optimiser as a recipe has it.
    pub fn of_recipe(params: &Params, recipe: &Recipe) -> Self {
        let fresh = Self::new(params, recipe.optimizer, recipe.weight_decay.0, recipe.clip.0);
        Self { encoder_rate: recipe.encoder_lr.0, ..fresh }
    }

    /// One step at learning rate `lr`; returns the gradients' norm before clipping. Where that norm is not finite,
    /// nothing is changed. Parameters without a gradient stay as they are.
    pub fn step(&mut self, params: &mut Params, grads: &Grads, lr: f64) -> f64 {
        let norm = grads.norm();
        if !norm.is_finite() {
            return norm;
        }
        self.steps.all += 1;
        let encoder = (0..params.len()).any(|id| of_encoder(params, id) && grads.get(id).is_some());
        self.steps.encoder += u64::from(encoder);
        let scale = if norm > self.clip { self.clip / (norm + 1e-6) } else { 1.0 };
        for id in 0..params.len() {
            if let Some(gradient) = grads.get(id) {
                self.update(params, id, gradient, lr, scale as f32);
            }
        }
        norm
    }

    fn update(&mut self, params: &mut Params, id: usize, gradient: &[f32], lr: f64, scale: f32) {
        let (lr, step) = match of_encoder(params, id) {
            true => (lr * self.encoder_rate, self.steps.encoder),
            false => (lr, self.steps.all),
        };
        let decay = if decayed(params.name(id), params.rank(id)) { self.decay } else { 0.0 };
        let shrink = (1.0 - lr * decay) as f32;
        let power = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
        let (fix_m, fix_v) = (power(BETAS.0), power(BETAS.1).sqrt());
        let (rate, eps) = ((lr * fix_v / fix_m) as f32, (EPS * fix_v) as f32);
        let m = &mut self.first[id];
        let x = params.values_mut(id);
        match self.kind {
            OptimizerKind::Adamw => {
                math::adamw(x, gradient, m, &mut self.second[id], BETAS, rate, eps, shrink, scale);
            }
            OptimizerKind::Adam => {
                math::adam(x, gradient, m, &mut self.second[id], BETAS, rate, eps, decay as f32, scale);
            }
            OptimizerKind::Sgd => math::sgd(x, gradient, m, MOMENTUM, lr as f32, decay as f32, scale),
            OptimizerKind::Lion => math::lion(x, gradient, m, LION_BETAS, lr as f32, shrink, scale),
        }
    }

    /// Steps taken.
    pub fn steps(&self) -> Steps {
        self.steps
    }

    /// State as named tensors (`first.NAME`, and `second.NAME` for Adam and AdamW), for a checkpoint; the step counts
    /// are kept beside them.
    pub fn tensors<'a>(&'a self, params: &'a Params) -> Vec<(String, &'a [usize], &'a [f32])> {
        let mut all = Vec::with_capacity(2 * self.first.len());
        for (label, moments) in [("first", &self.first), ("second", &self.second)] {
            for ((name, shape, _), values) in params.tensors().zip(moments) {
                all.push((format!("{label}.{name}"), shape, &values[..]));
            }
        }
        all
    }

    /// Restores the state from a checkpoint's tensors and step counts.
    ///
    /// # Errors
    /// Where tensors are missing or have other shapes.
    pub fn restore(&mut self, params: &Params, path: &Path, steps: Steps) -> Result<(), TrainError> {
        let named = |label: &str| -> Vec<Param> {
            params.tensors().map(|(n, s, _)| Param::new(format!("{label}.{n}"), s)).collect()
        };
        self.first = crate::store::read(path, &named("first"))?;
        if !self.second.is_empty() {
            self.second = crate::store::read(path, &named("second"))?;
        }
        self.steps = steps;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::tests::formula;
    use burn::tensor::Device;
    use capwright_backbones::find;
    use capwright_blueprint::TUNED;

    const KINDS: [(&str, OptimizerKind); 4] = [
        ("adamw", OptimizerKind::Adamw),
        ("adam", OptimizerKind::Adam),
        ("sgd", OptimizerKind::Sgd),
        ("lion", OptimizerKind::Lion),
    ];

    fn five_steps(kind: OptimizerKind, theirs: &serde_json::Value) {
        let shapes: [(&str, &[usize]); 3] =
            [("a.weight", &[3, 2]), ("a.bias", &[3]), ("decoder.embed.weight", &[4, 2])];
        let wanted: Vec<Param> = shapes.iter().map(|(n, s)| Param::new(*n, s)).collect();
        let values = wanted.iter().enumerate().map(|(k, p)| formula(k, p.len())).collect();
        let mut params = Params::from_values(&wanted, values, &Device::flex());
        let mut optimiser = Optimizer::new(&params, kind, 0.05, 1.0);
        for step in 0..5 {
            let scaled = |n: usize, k: usize| formula(k, n).iter().map(|x| x * (step + 1) as f32).collect();
            let gradients = wanted.iter().enumerate().map(|(k, p)| Some(scaled(p.len(), 10 * step + k)));
            let norm = optimiser.step(&mut params, &Grads(gradients.collect()), 0.01);
            assert!((norm - theirs["norms"][step].as_f64().unwrap()).abs() < 1e-5);
        }
        for (name, _, ours) in params.tensors() {
            for (i, x) in ours.iter().enumerate() {
                let wanted = theirs["values"][name][i].as_f64().unwrap();
                assert!((f64::from(*x) - wanted).abs() < 1e-6, "{kind:?} {name} {i}: {x}, not {wanted}");
            }
        }
    }

    #[test]
    fn five_steps_are_those_of_pytorch() {
        let text = include_str!("../../../tests/fixtures/train/optimisers.json");
        let theirs: serde_json::Value = serde_json::from_str(text).unwrap();
        for (name, kind) in KINDS {
            five_steps(kind, &theirs[name]);
        }
    }

    #[test]
    fn matrices_and_convolutions_are_decayed_and_no_table() {
        let kept = |backbone: &str| -> Vec<String> {
            let graph = find(backbone).unwrap().graph(224).unwrap().graph.renamed(TUNED);
            let of_rank = graph.parameters().into_iter().filter(|p| p.shape.len() > 1);
            of_rank.filter(|p| !decayed(&p.name, p.shape.len())).map(|p| p.name).collect()
        };
        let named = |leaf: &str| format!("{TUNED}{leaf}");
        assert_eq!(kept("vit_b_32"), [named("class_token"), named("encoder.pos_embedding")]);
        let tables = kept("swin_t");
        assert!(tables.len() == 12 && tables.iter().all(|t| t.ends_with("bias_table")), "{tables:?}");
        assert!(kept("mobilenet_v3_small").is_empty());
        for table in PLACES.into_iter().chain(["decoder.embed"]) {
            assert!(!decayed(&format!("{table}.weight"), 2), "{table}");
        }
        for matrix in ["bridge.resampler.q.weight", "decoder.rnn.0.weight_hh", "decoder.out.weight"] {
            assert!(decayed(matrix, 2), "{matrix}");
        }
        assert!(!decayed("bridge.norm.weight", 1));
    }

    #[test]
    fn clipping_limits_the_step_and_bad_gradients_change_nothing() {
        let wanted = [Param::new("a.weight", &[1, 2])];
        for (name, kind) in KINDS {
            let mut params = Params::from_values(&wanted, vec![vec![1.0, -1.0]], &Device::flex());
            let mut optimiser = Optimizer::new(&params, kind, 0.0, 1.0);
            let norm = optimiser.step(&mut params, &Grads(vec![Some(vec![3.0, 4.0])]), 0.1);
            assert!((norm - 5.0).abs() < 1e-6);
            let expected = if kind == OptimizerKind::Sgd { 0.94 } else { 0.9 };
            assert!((params.values("a.weight")[0] - expected).abs() < 1e-5, "{name}");
            let before = params.values("a.weight").to_vec();
            assert!(optimiser.step(&mut params, &Grads(vec![Some(vec![f32::NAN, 1.0])]), 0.1).is_nan());
            assert_eq!(params.values("a.weight"), before);
            assert_eq!(optimiser.steps().all, 1);
        }
    }

    /// The first step of Adam is the learning rate, whenever it comes.
    #[test]
    fn an_encoder_has_its_own_rate_and_its_own_first_step() {
        let wanted = [Param::new("encoder.a.weight", &[1]), Param::new("decoder.a.weight", &[1])];
        let mut params = Params::from_values(&wanted, vec![vec![0.0], vec![0.0]], &Device::flex());
        let fresh = Optimizer::new(&params, OptimizerKind::Adamw, 0.0, f64::INFINITY);
        let mut optimiser = Optimizer { encoder_rate: 0.1, ..fresh };
        for _ in 0..4 {
            optimiser.step(&mut params, &Grads(vec![None, Some(vec![1.0])]), 0.01);
        }
        assert_eq!(params.values("encoder.a.weight"), [0.0]);
        optimiser.step(&mut params, &Grads(vec![Some(vec![1.0]), Some(vec![1.0])]), 0.01);
        assert!((params.values("encoder.a.weight")[0] + 0.001).abs() < 1e-7);
        assert!((params.values("decoder.a.weight")[0] + 0.05).abs() < 1e-6);
        assert_eq!(optimiser.steps(), Steps { all: 5, encoder: 1 });
    }
}
