//! What recurrent decoders on autodiff compute once for each image.

use crate::bridge::linear;
use crate::params::Params;
use burn::tensor::{Int, Tensor};
use capwright_blueprint::DecoderSpec;
use capwright_blueprint::language::{Attention, ImageMode};

/// Images, or rows that show them.
#[derive(Clone)]
pub(crate) struct Seen {
    /// `[rows, tokens, dim]`.
    pub memory: Tensor<3>,
    /// Keys of attention, as the memory.
    keys: Option<Tensor<3>>,
    /// Values of attention, likewise.
    values: Option<Tensor<3>>,
    /// Mean tokens, `[rows, dim]`.
    pub pooled: Tensor<2>,
    /// The image as a word, `[rows, embed]`.
    pub word: Option<Tensor<2>>,
}

impl Seen {
    /// One row for each image of the memory `[images, tokens, dim]`.
    pub fn new(spec: &DecoderSpec, params: &Params, memory: Tensor<3>) -> Self {
        let [images, tokens, dim] = memory.dims();
        let each = |name: &str| -> Tensor<3> {
            linear(params, name, memory.clone().reshape([images * tokens, dim]))
                .reshape([images, tokens, dim])
        };
        let pooled: Tensor<2> = memory.clone().mean_dim(1).reshape([images, dim]);
        let (attention, image) = match spec {
            DecoderSpec::Recurrent(spec) => (spec.attention, spec.image),
            _ => (Attention::Additive, ImageMode::InitialState),
        };
        let keyed = matches!(attention, Attention::Additive | Attention::MultiHead | Attention::Adaptive);
        Self {
            keys: keyed.then(|| each("decoder.attn.key")),
            values: (attention == Attention::MultiHead).then(|| each("decoder.attn.value")),
            word: (image != ImageMode::InitialState).then(|| linear(params, "decoder.image", pooled.clone())),
            pooled,
            memory,
        }
    }

    fn each(&self, three: impl Fn(Tensor<3>) -> Tensor<3>, two: impl Fn(Tensor<2>) -> Tensor<2>) -> Self {
        Self {
            memory: three(self.memory.clone()),
            keys: self.keys.clone().map(&three),
            values: self.values.clone().map(&three),
            pooled: two(self.pooled.clone()),
            word: self.word.clone().map(&two),
        }
    }

    /// The given rows, in that order; a row may be repeated.
    pub fn select(&self, rows: &Tensor<1, Int>) -> Self {
        self.each(|x| x.select(0, rows.clone()), |x| x.select(0, rows.clone()))
    }

    /// The first `n` rows.
    pub fn first(&self, n: usize) -> Self {
        self.each(|x| x.narrow(0, 0, n), |x| x.narrow(0, 0, n))
    }

    /// Tokens of a row.
    pub fn tokens(&self) -> usize {
        self.memory.dims()[1]
    }

    /// Keys of attention.
    pub fn keys(&self) -> Tensor<3> {
        self.keys.clone().expect("attention with keys has them")
    }

    /// Values of attention.
    pub fn values(&self) -> Tensor<3> {
        self.values.clone().expect("attention by heads has values")
    }
}
