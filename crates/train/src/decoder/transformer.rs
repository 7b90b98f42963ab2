//! Transformer decoder, teacher-forced, on burn's autodiff. Formulas: [`TransformerSpec`].
//!
//! Linear layers and norms run over packed words, without padding; only attention sees padded sequences. Padding
//! stands behind the words, so the causal mask hides it and no other mask is needed.

use super::layout::{Layout, ints};
use super::loss::vocabulary_loss;
use super::places::{rotary_angles, sinusoid};
use super::{CaptionBatch, Outcome};
use crate::bridge::{dropped, layer_norm, linear};
use crate::math::Dropout;
use crate::params::{Grads, Params};
use burn::tensor::activation::{gelu, silu, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::TransformerSpec;
use capwright_blueprint::language::{FeedForwardKind, NormPlace, Positions};

struct Pass<'a> {
    spec: &'a TransformerSpec,
    params: &'a Params,
    layout: Layout,
    mask: Tensor<4>,
}

/// Loss and gradients; `memory` is a leaf.
pub(crate) fn train(
    spec: &TransformerSpec,
    params: &Params,
    memory: Tensor<3>,
    batch: &CaptionBatch,
    smoothing: f32,
    dropout: &mut Dropout,
) -> Outcome {
    let device = params.device();
    let layout = Layout::new(batch, device);
    let mask = causal(layout.steps, device);
    let pass = Pass { spec, params, layout, mask };
    let x = pass.run(memory.clone(), dropout);
    let host: Vec<f32> = x.clone().inner().into_data().try_into_vec().expect("activations are f32");
    let mut grads = Grads::new(params);
    let (loss, dx) = vocabulary_loss(params, &host, &pass.layout.targets, smoothing, &mut grads);
    // The gradient of x is known: a loss with just that gradient carries it into autodiff.
    let dx = Tensor::<2>::from_data(TensorData::new(dx, x.dims()), device);
    let mut found = (x * dx).sum().backward();
    params.collect(&mut found, &mut grads);
    let d_memory = memory.grad_remove(&mut found).expect("the memory is a leaf");
    let memory = d_memory.into_data().try_into_vec().expect("gradients are f32");
    Outcome { loss, words: pass.layout.targets.len(), grads, memory }
}

/// 0 where a step may look, a large negative number ahead of it.
fn causal(steps: usize, device: &Device) -> Tensor<4> {
    let values: Vec<f32> =
        (0..steps * steps).map(|i| if i % steps > i / steps { -1e9 } else { 0.0 }).collect();
    Tensor::from_data(TensorData::new(values, [1, 1, steps, steps]), device)
}

impl Pass<'_> {
    /// Packed words through all layers and the last norm: `[words, dim]`.
    fn run(&self, memory: Tensor<3>, dropout: &mut Dropout) -> Tensor<2> {
        let (params, percent, device) = (self.params, self.spec.dropout_pct, self.params.device());
        let [images, tokens, width] = memory.dims();
        let memory = memory.reshape([images * tokens, width]);
        let words =
            params.get::<2>("decoder.embed.weight").select(0, ints(self.layout.words.clone(), device));
        let mut x = words * (self.spec.dim as f64).sqrt();
        match self.spec.positions {
            Positions::Rotary => {}
            Positions::Learned => {
                let places = ints(self.layout.places.clone(), device);
                x = x + params.get::<2>("decoder.position.weight").select(0, places);
            }
            Positions::Sinusoidal => {
                let places = self.layout.places.iter();
                let values: Vec<f32> = places.flat_map(|p| sinusoid(*p as usize, self.spec.dim)).collect();
                let shape = [self.layout.places.len(), self.spec.dim];
                x = x + Tensor::from_data(TensorData::new(values, shape), device);
            }
        }
        let mut x = dropped(x, percent, dropout);
        for layer in 0..self.spec.layers {
            let name = |leaf: &str| format!("decoder.layers.{}.{leaf}", self.spec.stored(layer));
            let words = |x| self.attend_words(&name("self_attn"), x);
            x = self.branch(&name("norm1"), x, words, dropout);
            let image = |x| self.attend_memory(&name("cross_attn"), x, memory.clone());
            x = self.branch(&name("norm2"), x, image, dropout);
            x = self.branch(&name("norm3"), x, |x| self.feed_forward(&name, x), dropout);
        }
        match self.spec.norm {
            NormPlace::Pre => layer_norm(params, "decoder.norm", x),
            NormPlace::Post => x,
        }
    }

    /// `x` and a branch of it, with the norm before the branch or after the sum.
    fn branch(
        &self,
        norm: &str,
        x: Tensor<2>,
        of: impl Fn(Tensor<2>) -> Tensor<2>,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let percent = self.spec.dropout_pct;
        match self.spec.norm {
            NormPlace::Pre => x.clone() + dropped(of(layer_norm(self.params, norm, x)), percent, dropout),
            NormPlace::Post => layer_norm(self.params, norm, x.clone() + dropped(of(x), percent, dropout)),
        }
    }

    fn feed_forward(&self, name: &impl Fn(&str) -> String, x: Tensor<2>) -> Tensor<2> {
        let wide = match self.spec.ff_kind {
            FeedForwardKind::Gelu => gelu(linear(self.params, &name("ff1"), x)),
            FeedForwardKind::SwiGlu => {
                silu(linear(self.params, &name("gate"), x.clone())) * linear(self.params, &name("ff1"), x)
            }
        };
        linear(self.params, &name("ff2"), wide)
    }

    /// Queries or keys turned by their place, where places are rotary.
    fn turned(&self, x: Tensor<4>) -> Tensor<4> {
        if self.spec.positions != Positions::Rotary {
            return x;
        }
        let [.., length, width] = x.dims();
        let angles: Vec<f32> = (0..length).flat_map(|place| rotary_angles(place, width)).collect();
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|a| f(*a)).collect();
            Tensor::<4>::from_data(TensorData::new(values, [1, 1, length, width / 2]), self.params.device())
        };
        let (cos, sin) = (table(f32::cos), table(f32::sin));
        let (a, b) = (x.clone().narrow(3, 0, width / 2), x.narrow(3, width / 2, width / 2));
        let first = a.clone() * cos.clone() - b.clone() * sin.clone();
        Tensor::cat(vec![first, b * cos + a * sin], 3)
    }

    /// Packed words, padded and split by head: `[sequences, heads, length, dim / heads]`.
    fn heads(&self, x: Tensor<2>, sequences: usize) -> Tensor<4> {
        let length = self.layout.images * self.layout.references * self.layout.steps / sequences;
        let padded = x.select(0, self.layout.to_padded.clone());
        padded.reshape([sequences, length, self.spec.heads, self.spec.dim / self.spec.heads]).swap_dims(1, 2)
    }

    /// Attention's output in packed order, through the output layer.
    fn joined(&self, name: &str, y: Tensor<4>) -> Tensor<2> {
        let [sequences, heads, length, width] = y.dims();
        let padded: Tensor<2> = y.swap_dims(1, 2).reshape([sequences * length, heads * width]);
        linear(self.params, &format!("{name}.o"), padded.select(0, self.layout.to_packed.clone()))
    }

    fn scale(&self) -> f64 {
        1.0 / ((self.spec.dim / self.spec.heads) as f64).sqrt()
    }

    fn attend_words(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        let rows = self.layout.images * self.layout.references;
        let part = |leaf: &str, x| self.heads(linear(self.params, &format!("{name}.{leaf}"), x), rows);
        let query = self.turned(part("q", x.clone()) * self.scale());
        let (key, value) = (self.turned(part("k", x.clone())), part("v", x));
        let scores = query.matmul(key.swap_dims(2, 3)) + self.mask.clone();
        self.joined(name, softmax(scores, 3).matmul(value))
    }

    fn attend_memory(&self, name: &str, x: Tensor<2>, memory: Tensor<2>) -> Tensor<2> {
        let (images, heads) = (self.layout.images, self.spec.heads);
        let tokens = memory.dims()[0] / images;
        let query = self.heads(linear(self.params, &format!("{name}.q"), x), images) * self.scale();
        let of_memory = |leaf: &str| -> Tensor<4> {
            let y = linear(self.params, &format!("{name}.{leaf}"), memory.clone());
            y.reshape([images, tokens, heads, self.spec.dim / heads]).swap_dims(1, 2)
        };
        let weights = softmax(query.matmul(of_memory("k").swap_dims(2, 3)), 3);
        self.joined(name, weights.matmul(of_memory("v")))
    }
}
