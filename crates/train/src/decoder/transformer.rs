//! Transformer decoder, teacher-forced, forward. Formulas: [`TransformerSpec`]; backward: `transformer_back`.
//!
//! Works on host slices, as the recurrent decoders do. The words of a batch lie caption after caption, those of one image
//! side by side, without padding: every linear layer is one product over all words, attention over an image's tokens is a
//! product an image and head, and attention over the words before is a loop over a caption.

use super::CaptionBatch;
use super::layout::Words;
use super::loss::linear;
use super::places::{sinusoid, turn};
use crate::macs;
use crate::math::{self, Dropout, View, gemm, gemm_columns};
use crate::params::Params;
use capwright_blueprint::TransformerSpec;
use capwright_blueprint::language::{FeedForwardKind, NormPlace, Positions};
use std::ops::Range;

/// What a layer norm keeps: its input less the mean over the deviation, and one over the deviation of each row.
pub(super) struct Normed {
    pub unit: Vec<f32>,
    pub scale: Vec<f32>,
}

/// What a branch keeps: its norm, what it read, the mask of its dropout, and what is its own.
pub(super) struct Branch<T> {
    pub norm: Normed,
    pub read: Vec<f32>,
    pub mask: Option<Vec<f32>>,
    pub own: T,
}

/// What attention keeps: queries, keys and values as they are compared, probabilities, and what the output layer reads.
pub(super) struct Attended {
    pub query: Vec<f32>,
    pub key: Vec<f32>,
    pub value: Vec<f32>,
    pub weights: Vec<f32>,
    pub out: Vec<f32>,
}

/// What a feed-forward layer keeps: its parts before activation (a gate where there is one), and what `ff2` reads.
pub(super) struct Wide {
    pub plain: Vec<f32>,
    pub gate: Vec<f32>,
    pub active: Vec<f32>,
}

/// What a layer keeps.
pub(super) struct LayerTape {
    pub words: Branch<Attended>,
    pub image: Branch<Attended>,
    pub wide: Branch<Wide>,
}

/// What forward keeps.
pub(super) struct Tape {
    /// Dropout of embeddings.
    pub mask: Option<Vec<f32>>,
    pub layers: Vec<LayerTape>,
    /// The last norm, where norms stand before branches.
    pub norm: Option<Normed>,
}

/// A batch on its way through the decoder.
pub(super) struct Pass<'a> {
    pub spec: &'a TransformerSpec,
    pub params: &'a Params,
    /// `[images, tokens, width]`.
    pub memory: &'a [f32],
    pub tokens: usize,
    pub words: Words,
}

impl<'a> Pass<'a> {
    pub fn new(
        spec: &'a TransformerSpec,
        params: &'a Params,
        memory: &'a [f32],
        tokens: usize,
        batch: &CaptionBatch,
    ) -> Self {
        Self { spec, params, memory, tokens, words: Words::new(batch) }
    }

    /// What the vocabulary layer reads, `[words, dim]`.
    pub fn forward(&self, dropout: &mut Dropout) -> (Vec<f32>, Tape) {
        let steps = self.words.captions.iter().map(Range::len).max().unwrap_or(0);
        let places: Vec<f32> = (0..steps).flat_map(|place| placed(self.spec, self.params, place)).collect();
        let places = self.words.places.iter().map(|place| &places[place * self.spec.dim..][..self.spec.dim]);
        let mut x = embedded(self.params, &self.words.read, places);
        let mask = dropout.mask(x.len(), self.spec.dropout_pct);
        masked(&mut x, mask.as_deref());
        let mut layers = Vec::with_capacity(self.spec.layers);
        for layer in 0..self.spec.layers {
            let name = |leaf: &str| self.name(layer, leaf);
            let words = self.branch(&name("norm1"), &mut x, dropout, |x| {
                self.attend(&name("self_attn"), x, x, Self::to_words)
            });
            let image = self.branch(&name("norm2"), &mut x, dropout, |x| {
                self.attend(&name("cross_attn"), x, self.memory, Self::to_memory)
            });
            let wide = self
                .branch(&name("norm3"), &mut x, dropout, |x| feed_forward(self.spec, self.params, &name, x));
            layers.push(LayerTape { words, image, wide });
        }
        let norm = (self.spec.norm == NormPlace::Pre).then(|| {
            let norm;
            (x, norm) = layer_norm(self.params, "decoder.norm", &x);
            norm
        });
        (x, Tape { mask, layers, norm })
    }

    /// Name of a parameter or part of a layer.
    pub fn name(&self, layer: usize, leaf: &str) -> String {
        format!("decoder.layers.{}.{leaf}", self.spec.stored(layer))
    }

    /// Adds a branch of `x` to it, with the norm before the branch or after the sum.
    fn branch<T>(
        &self,
        norm: &str,
        x: &mut Vec<f32>,
        dropout: &mut Dropout,
        of: impl Fn(&[f32]) -> (Vec<f32>, T),
    ) -> Branch<T> {
        let (read, before) = match self.spec.norm {
            NormPlace::Pre => {
                let (read, kept) = layer_norm(self.params, norm, x);
                (read, Some(kept))
            }
            NormPlace::Post => (x.clone(), None),
        };
        let (mut y, own) = of(&read);
        let mask = dropout.mask(y.len(), self.spec.dropout_pct);
        masked(&mut y, mask.as_deref());
        math::add_row(x, &y);
        let norm = before.unwrap_or_else(|| {
            let kept;
            (*x, kept) = layer_norm(self.params, norm, x);
            kept
        });
        Branch { norm, read, mask, own }
    }

    /// Attention of `x` to `source`, by a rule that fills in probabilities and what the output layer reads.
    fn attend(
        &self,
        name: &str,
        x: &[f32],
        source: &[f32],
        rule: fn(&Self, &mut Attended),
    ) -> (Vec<f32>, Attended) {
        let part = |leaf: &str, x: &[f32]| linear(self.params, &format!("{name}.{leaf}"), x);
        let (query, key, value) = (part("q", x), part("k", source), part("v", source));
        let mut kept = Attended { out: vec![0.0; query.len()], query, key, value, weights: Vec::new() };
        rule(self, &mut kept);
        (part("o", &kept.out), kept)
    }

    /// To the words of the same caption up to the one in hand. Probabilities: for each word and head as many as it sees.
    fn to_words(&self, kept: &mut Attended) {
        self.turn(&mut kept.query, 1.0);
        self.turn(&mut kept.key, 1.0);
        let (dim, heads) = (self.spec.dim, self.spec.heads);
        let rows: Vec<usize> = (0..self.words.read.len()).collect();
        let Attended { query, key, value, weights, out } = kept;
        *weights = vec![0.0; self.words.captions.iter().map(|caption| self.looks(caption)).sum()];
        let values = weights.len() * dim / heads;
        let (mut weights, mut out) = (&mut weights[..], &mut out[..]);
        let captions = self.words.captions.iter().map(|caption| {
            (caption, taken(&mut weights, self.looks(caption)), taken(&mut out, caption.len() * dim))
        });
        math::each(values, captions, |(caption, mut weights, out)| {
            for (i, out) in caption.clone().zip(out.chunks_exact_mut(dim)) {
                let seen = &rows[caption.start..=i];
                let weights = taken(&mut weights, heads * seen.len());
                math::attend(out, weights, &query[i * dim..][..dim], key, value, seen, heads);
            }
        });
    }

    /// Probabilities of a caption's words for each other.
    pub fn looks(&self, caption: &Range<usize>) -> usize {
        self.spec.heads * caption.len() * (caption.len() + 1) / 2
    }

    /// To the tokens of the image. Probabilities: for each image and head `[words, tokens]`.
    fn to_memory(&self, kept: &mut Attended) {
        let (dim, scale) = (self.spec.dim, self.scale());
        let Attended { query, key, value, weights, out } = kept;
        let of_word = self.spec.heads * self.tokens;
        *weights = vec![0.0; self.words.read.len() * of_word];
        let products = 2 * self.words.read.len() * self.tokens * dim;
        macs::add(products);
        let (mut weights, mut out) = (&mut weights[..], &mut out[..]);
        let images = self.words.images.iter().enumerate().map(|(image, words)| {
            (image, taken(&mut weights, words.len() * of_word), taken(&mut out, words.len() * dim))
        });
        math::each(products, images, |(image, mut weights, out)| {
            for Shown { words, tokens, head } in self.shown(image) {
                let weights = taken(&mut weights, words.len() * self.tokens);
                let (query, key) = (self.part(query, &words, &head), self.part(key, &tokens, &head));
                macs::uncounted(|| gemm(weights, query, key.t(), false));
                for row in weights.chunks_exact_mut(self.tokens) {
                    row.iter_mut().for_each(|score| *score *= scale);
                    math::softmax(row);
                }
                let (weights, value) = (View::new(weights, self.tokens), self.part(value, &tokens, &head));
                macs::uncounted(|| gemm_columns(out, (dim, head.start), weights, value));
            }
        });
    }

    /// Turns queries or keys by their places, forwards or (-1) backwards, where places are rotary.
    pub fn turn(&self, x: &mut [f32], direction: f32) {
        if self.spec.positions == Positions::Rotary {
            let rows = x.chunks_exact_mut(self.spec.dim).zip(&self.words.places);
            rows.for_each(|(row, place)| turn(row, *place, self.spec.heads, direction));
        }
    }

    /// The words and tokens of an image with the columns of each head.
    pub fn shown(&self, image: usize) -> impl Iterator<Item = Shown> {
        let width = self.spec.dim / self.spec.heads;
        (0..self.spec.heads).map(move |head| Shown {
            words: self.words.images[image].clone(),
            tokens: image * self.tokens..(image + 1) * self.tokens,
            head: head * width..(head + 1) * width,
        })
    }

    /// Some rows and columns of `[rows, dim]`.
    pub fn part<'x>(&self, all: &'x [f32], rows: &Range<usize>, columns: &Range<usize>) -> View<'x> {
        let dim = self.spec.dim;
        View::new(&all[rows.start * dim..rows.end * dim], dim).columns(columns.start, columns.end)
    }

    /// Factor on scores of attention.
    pub fn scale(&self) -> f32 {
        1.0 / ((self.spec.dim / self.spec.heads) as f32).sqrt()
    }
}

/// Words and tokens of an image, and the columns of a head.
pub(super) struct Shown {
    pub words: Range<usize>,
    pub tokens: Range<usize>,
    pub head: Range<usize>,
}

/// The next `n` values.
pub(super) fn taken<'x>(rest: &mut &'x mut [f32], n: usize) -> &'x mut [f32] {
    rest.split_off_mut(..n).expect("as many as there are")
}

/// What a place adds to the embedding of a word.
pub(super) fn placed(spec: &TransformerSpec, params: &Params, place: usize) -> Vec<f32> {
    match spec.positions {
        Positions::Learned => {
            params.values("decoder.position.weight")[place * spec.dim..][..spec.dim].to_vec()
        }
        Positions::Sinusoidal => sinusoid(place, spec.dim),
        Positions::Rotary => vec![0.0; spec.dim],
    }
}

/// Words with what their places add: `embed(w) · √dim + place`.
pub(super) fn embedded<'x>(
    params: &Params,
    words: &[u32],
    places: impl Iterator<Item = &'x [f32]>,
) -> Vec<f32> {
    let table = params.values("decoder.embed.weight");
    let mut x = Vec::new();
    for (word, place) in words.iter().zip(places) {
        let (dim, scale) = (place.len(), (place.len() as f32).sqrt());
        x.extend(table[*word as usize * dim..][..dim].iter().zip(place).map(|(e, p)| e * scale + p));
    }
    x
}

/// Multiplies with the factors of a dropout.
pub(super) fn masked(x: &mut [f32], mask: Option<&[f32]>) {
    if let Some(mask) = mask {
        math::multiply(x, mask);
    }
}

/// Layer norm of each row, and what backward needs.
pub(super) fn layer_norm(params: &Params, name: &str, x: &[f32]) -> (Vec<f32>, Normed) {
    let (weight, bias) = (params.values(&format!("{name}.weight")), params.values(&format!("{name}.bias")));
    let (mut out, mut unit, mut scale) = (vec![0.0; x.len()], x.to_vec(), vec![0.0; x.len() / weight.len()]);
    math::layer_norm(&mut out, &mut unit, &mut scale, weight, bias, weight.len());
    (out, Normed { unit, scale })
}

/// `ff2` of what is active, which is `gelu(ff1(x))` or `silu(gate(x)) · ff1(x)`.
pub(super) fn feed_forward(
    spec: &TransformerSpec,
    params: &Params,
    name: &impl Fn(&str) -> String,
    x: &[f32],
) -> (Vec<f32>, Wide) {
    let plain = linear(params, &name("ff1"), x);
    let mut active = plain.clone();
    let gate = match spec.ff_kind {
        FeedForwardKind::Gelu => {
            math::gelu(&mut active);
            Vec::new()
        }
        FeedForwardKind::SwiGlu => {
            let gate = linear(params, &name("gate"), x);
            math::silu_times(&mut active, &gate);
            gate
        }
    };
    (linear(params, &name("ff2"), &active), Wide { plain, gate, active })
}
