//! Transformer decoder as tensors. Formulas: [`TransformerSpec`].

use super::layout::{Layout, ints};
use super::places::{rotary_angles, sinusoid};
use crate::bridge::{dropped, layer_norm, linear, matmul};
use crate::math::Dropout;
use crate::params::Params;
use burn::tensor::activation::{gelu, sigmoid, softmax};
use burn::tensor::{Tensor, TensorData};
use capwright_blueprint::TransformerSpec;
use capwright_blueprint::language::{FeedForwardKind, NormPlace, Positions};

/// Score of a word that is not yet said.
const UNSEEN: f32 = -1e9;

/// A batch on its way through a decoder.
struct Pass<'a> {
    spec: &'a TransformerSpec,
    params: &'a Params,
    layout: &'a Layout,
    /// `[images · tokens, width]`.
    memory: Tensor<2>,
    /// Zero where a word sees another of its caption, [`UNSEEN`] elsewhere: `[1, 1, steps, steps]`.
    unseen: Tensor<4>,
    /// Cosines and sines of rotary places, `[words, 1, width of a head / 2]`.
    turns: Option<[Tensor<3>; 2]>,
}

/// What the vocabulary layer reads, `[words, dim]`.
pub(super) fn outputs(
    spec: &TransformerSpec,
    params: &Params,
    memory: Tensor<3>,
    layout: &Layout,
    dropout: &mut Dropout,
) -> Tensor<2> {
    let pass = Pass::new(spec, params, memory, layout);
    let mut x = dropped(pass.embedded(), spec.dropout_pct, dropout);
    for layer in 0..spec.layers {
        let name = |leaf: &str| format!("decoder.layers.{}.{leaf}", spec.stored(layer));
        x = pass.branch(&name("norm1"), x, dropout, |x| pass.to_words(&name("self_attn"), x));
        x = pass.branch(&name("norm2"), x, dropout, |x| pass.to_memory(&name("cross_attn"), x));
        x = pass.branch(&name("norm3"), x, dropout, |x| pass.feed_forward(&name, x));
    }
    if spec.norm == NormPlace::Pre { layer_norm(params, "decoder.norm", x) } else { x }
}

impl<'a> Pass<'a> {
    fn new(spec: &'a TransformerSpec, params: &'a Params, memory: Tensor<3>, layout: &'a Layout) -> Self {
        let ([images, tokens, width], steps, device) = (memory.dims(), layout.steps, params.device());
        let unseen = |i: usize| if i % steps > i / steps { UNSEEN } else { 0.0 };
        let unseen = TensorData::new((0..steps * steps).map(unseen).collect(), [1, 1, steps, steps]);
        let half = spec.dim / spec.heads / 2;
        let turns = (spec.positions == Positions::Rotary).then(|| {
            let places = || layout.words.places.iter().flat_map(|place| rotary_angles(*place, 2 * half));
            let table = |values: Vec<f32>| {
                Tensor::from_data(TensorData::new(values, [layout.words.places.len(), 1, half]), device)
            };
            [table(places().map(f32::cos).collect()), table(places().map(f32::sin).collect())]
        });
        let memory = memory.reshape([images * tokens, width]);
        Self { spec, params, layout, memory, unseen: Tensor::from_data(unseen, device), turns }
    }

    /// Words with what their places add.
    fn embedded(&self) -> Tensor<2> {
        let (dim, device) = (self.spec.dim, self.params.device());
        let words = &self.layout.words;
        let read = ints(words.read.iter().map(|word| i64::from(*word)), device);
        let x = self.params.get::<2>("decoder.embed.weight").select(0, read) * (dim as f64).sqrt();
        let table = match self.spec.positions {
            Positions::Rotary => return x,
            Positions::Learned => self.params.get::<2>("decoder.position.weight"),
            Positions::Sinusoidal => {
                let values = (0..self.layout.steps).flat_map(|place| sinusoid(place, dim)).collect();
                Tensor::from_data(TensorData::new(values, [self.layout.steps, dim]), device)
            }
        };
        x + table.select(0, ints(words.places.iter().map(|place| *place as i64), device))
    }

    /// Adds a branch of `x` to it, with the norm before the branch or after the sum.
    fn branch(
        &self,
        norm: &str,
        x: Tensor<2>,
        dropout: &mut Dropout,
        of: impl Fn(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let percent = self.spec.dropout_pct;
        match self.spec.norm {
            NormPlace::Pre => x.clone() + dropped(of(layer_norm(self.params, norm, x)), percent, dropout),
            NormPlace::Post => layer_norm(self.params, norm, x.clone() + dropped(of(x), percent, dropout)),
        }
    }

    /// Attention to the words of the same caption up to the one in hand.
    fn to_words(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        let (captions, steps) = (self.layout.images() * self.layout.references, self.layout.steps);
        let heads = |x: Tensor<2>| self.heads(self.layout.padded(x), (captions, steps));
        let part = |leaf: &str| linear(self.params, &format!("{name}.{leaf}"), x.clone());
        let (query, key) = (self.turned(part("q")), self.turned(part("k")));
        let found = attend(heads(query), heads(key), heads(part("v")), Some(&self.unseen));
        linear(self.params, &format!("{name}.o"), self.words(found))
    }

    /// Attention to the tokens of the image.
    fn to_memory(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        let (images, length) = (self.layout.images(), self.layout.references * self.layout.steps);
        let part = |leaf: &str, x: Tensor<2>| linear(self.params, &format!("{name}.{leaf}"), x);
        let tokens = self.memory.dims()[0] / images;
        let of_image = |leaf: &str| {
            let x = part(leaf, self.memory.clone()).reshape([images, tokens, self.spec.dim]);
            self.heads(x, (images, tokens))
        };
        let query = self.heads(self.layout.padded(part("q", x)), (images, length));
        let found = attend(query, of_image("k"), of_image("v"), None);
        part("o", self.words(found))
    }

    /// `[.., .., dim]` as `groups` of `length`, by head: `[groups, heads, length, width of a head]`.
    fn heads(&self, x: Tensor<3>, (groups, length): (usize, usize)) -> Tensor<4> {
        let heads = self.spec.heads;
        x.reshape([groups, length, heads, self.spec.dim / heads]).swap_dims(1, 2)
    }

    /// The reverse, without padding: `[words, dim]`.
    fn words(&self, x: Tensor<4>) -> Tensor<2> {
        let shape = [self.layout.images(), self.layout.references * self.layout.steps, self.spec.dim];
        self.layout.packed(x.swap_dims(1, 2).reshape(shape))
    }

    /// Queries or keys turned by their places, where places are rotary.
    fn turned(&self, x: Tensor<2>) -> Tensor<2> {
        let Some([cos, sin]) = self.turns.clone() else { return x };
        let ([words, dim], width) = (x.dims(), self.spec.dim / self.spec.heads);
        let x: Tensor<3> = x.reshape([words, self.spec.heads, width]);
        let (a, b) = (x.clone().narrow(2, 0, width / 2), x.narrow(2, width / 2, width / 2));
        let turned = [a.clone() * cos.clone() - b.clone() * sin.clone(), b * cos + a * sin];
        Tensor::cat(turned.to_vec(), 2).reshape([words, dim])
    }

    fn feed_forward(&self, name: &impl Fn(&str) -> String, x: Tensor<2>) -> Tensor<2> {
        let part = |leaf: &str, x: Tensor<2>| linear(self.params, &name(leaf), x);
        let plain = part("ff1", x.clone());
        let active = match self.spec.ff_kind {
            FeedForwardKind::Gelu => gelu(plain),
            FeedForwardKind::SwiGlu => {
                let gate = part("gate", x);
                plain * gate.clone() * sigmoid(gate)
            }
        };
        part("ff2", active)
    }
}

/// Scaled dot-product attention, with what is added to its scores.
fn attend(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, add: Option<&Tensor<4>>) -> Tensor<4> {
    let scale = 1.0 / (query.dims()[3] as f64).sqrt();
    let scores = matmul(query * scale, key.swap_dims(2, 3));
    let scores = match add {
        Some(add) => scores + add.clone(),
        None => scores,
    };
    matmul(softmax(scores, 3), value)
}
