//! What training changes: the network, the optimiser's state and the moving average of the weights.
//!
//! The average (Polyak and Juditsky 1992, in exponential form) follows values and running statistics after each step:
//! `a ← d a + (1 - d) x` with `d = min(decay, (1 + t) / (10 + t))`, t steps before this one: so the first values, which
//! are random, are soon forgotten (TensorFlow's `ExponentialMovingAverage`). It is what is validated, chosen and saved.

use crate::network::Network;
use crate::optim::Optimizer;
use crate::params::Grads;
use burn::tensor::Device;
use capwright_blueprint::Design;
use capwright_blueprint::language::Recipe;

/// A network in training.
pub struct Learner {
    /// The network whose gradients are taken.
    pub network: Network,
    /// The optimiser.
    pub optimiser: Optimizer,
    /// The moving average, where the recipe has one.
    pub(crate) average: Option<Network>,
    decay: f64,
}

impl Learner {
    /// A network with first values drawn from `seed`.
    pub fn new(design: &Design, recipe: &Recipe, seed: u64, device: &Device) -> Self {
        Self::of(Network::new(design, seed, device), recipe)
    }

    /// Training that starts from a network.
    pub fn of(network: Network, recipe: &Recipe) -> Self {
        let optimiser = Optimizer::of_recipe(&network.params, recipe);
        let average = (recipe.ema.0 > 0.0).then(|| network.inner());
        Self { network, optimiser, average, decay: recipe.ema.0 }
    }

    /// Starts anew from the values of another network of the design, with fresh moments; words are said at `temperature`
    /// from now on.
    pub fn restart(&mut self, from: &Network, recipe: &Recipe, temperature: f32) {
        for network in [Some(&mut self.network), self.average.as_mut()].into_iter().flatten() {
            network.take(from);
            network.params.set_temperature(temperature);
        }
        self.optimiser = Optimizer::of_recipe(&self.network.params, recipe);
    }

    /// One step at learning rate `rate`; returns the gradients' norm before clipping. Where that norm is not finite,
    /// nothing is changed.
    pub fn step(&mut self, grads: &Grads, rate: f64) -> f64 {
        let before = self.optimiser.steps().all as f64;
        let norm = self.optimiser.step(&mut self.network.params, grads, rate);
        if let Some(average) = self.average.as_mut().filter(|_| norm.is_finite()) {
            average.follow(&self.network, self.decay.min((1.0 + before) / (10.0 + before)));
        }
        norm
    }

    /// A copy of what has been learned, for decoding and saving: the average, or the network where there is none.
    pub fn learned(&self) -> Network {
        self.average.as_ref().unwrap_or(&self.network).inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use capwright_blueprint::language::EmaDecay;

    fn steps(decay: f64, count: usize) -> (Learner, Vec<Vec<f32>>) {
        let mut recipe = testing::recipe();
        recipe.ema = EmaDecay(decay);
        let mut learner = Learner::new(&testing::design(), &recipe, 1, &Device::flex().autodiff());
        let mut seen = vec![learner.network.params.values("bridge.proj.bias").to_vec()];
        for step in 0..count {
            let gradient =
                |(_, _, v): (&str, &[usize], &[f32])| Some(vec![(step as f32 + 1.0).sin(); v.len()]);
            let grads = Grads(learner.network.params.tensors().map(gradient).collect());
            learner.step(&grads, 0.01);
            seen.push(learner.network.params.values("bridge.proj.bias").to_vec());
        }
        (learner, seen)
    }

    #[test]
    fn the_average_follows_the_values_and_warms_up() {
        let (learner, seen) = steps(0.99, 20);
        let mut average = f64::from(seen[0][0]);
        for (t, values) in seen[1..].iter().enumerate() {
            let keep = 0.99f64.min((1.0 + t as f64) / (10.0 + t as f64));
            average = keep * average + (1.0 - keep) * f64::from(values[0]);
        }
        let ours = learner.learned().params.values("bridge.proj.bias")[0];
        assert!((f64::from(ours) - average).abs() < 1e-5, "{ours} {average}");
        assert_ne!(ours, seen[20][0]);
    }

    #[test]
    fn without_a_decay_the_network_itself_is_what_has_been_learned() {
        let (learner, seen) = steps(0.0, 3);
        assert!(learner.average.is_none());
        assert_eq!(learner.learned().params.values("bridge.proj.bias"), seen[3]);
        assert_eq!(steps(0.999, 3).1, seen, "an average changes nothing of the training");
    }

    #[test]
    fn a_restart_takes_values_and_keeps_the_new_temperature() {
        for decay in [0.0, 0.9] {
            let mut recipe = testing::recipe();
            recipe.ema = EmaDecay(decay);
            let (mut learner, _) = steps(decay, 3);
            let best = learner.learned();
            let bias = learner.network.params.id("bridge.proj.bias");
            learner.network.params.values_mut(bias)[0] += 1.0;
            learner.restart(&best, &recipe, 0.5);
            let learned = learner.learned();
            assert!(learned.params.tensors().eq(best.params.tensors()));
            let temperatures = [&best, &learner.network, &learned].map(|n| n.params.temperature());
            assert_eq!(temperatures, [1.0, 0.5, 0.5]);
        }
    }
}
