//! Transformer decoder, one word at a time, with cached keys and values. Host slices; same formulas as training.

use super::loss::linear;
use super::places::{sinusoid, turn};
use crate::macs;
use crate::math;
use crate::params::Params;
use capwright_blueprint::TransformerSpec;
use capwright_blueprint::language::{FeedForwardKind, NormPlace, Positions};
use std::borrow::Cow;

/// Keys and values of one layer over the memory, `[images · tokens, dim]`.
struct Memory {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// Keys and values of one layer over the words of one row so far, `[words, dim]`.
#[derive(Clone, Default)]
struct Past {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// A decoding in progress.
pub(crate) struct TransformerSession {
    spec: TransformerSpec,
    tokens: usize,
    memory: Vec<Memory>,
    /// For each row its image and, for each layer, its past.
    rows: Vec<(usize, Vec<Past>)>,
    place: usize,
}

/// Layer norm of each row.
fn normed(params: &Params, name: &str, x: &[f32]) -> Vec<f32> {
    let (weight, bias) = (params.values(&format!("{name}.weight")), params.values(&format!("{name}.bias")));
    let width = bias.len();
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let mean = row.iter().sum::<f32>() / width as f32;
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / width as f32;
        let scale = 1.0 / (variance + 1e-5).sqrt();
        out.extend(row.iter().zip(weight).zip(bias).map(|((x, w), b)| (x - mean) * scale * w + b));
    }
    out
}

impl TransformerSession {
    /// Rows that show these images of the memory `[images, tokens, width]`.
    pub fn new(
        spec: &TransformerSpec,
        params: &Params,
        memory: &[f32],
        tokens: usize,
        images: &[usize],
    ) -> Self {
        let part = |layer: usize, leaf: &str| {
            linear(params, &format!("decoder.layers.{}.cross_attn.{leaf}", spec.stored(layer)), memory)
        };
        let memory = (0..spec.layers).map(|l| Memory { keys: part(l, "k"), values: part(l, "v") }).collect();
        let rows = images.iter().map(|i| (*i, vec![Past::default(); spec.layers])).collect();
        Self { spec: *spec, tokens, memory, rows, place: 0 }
    }

    /// Keeps and repeats rows.
    pub fn select(&mut self, rows: &[usize]) {
        self.rows = rows.iter().map(|r| self.rows[*r].clone()).collect();
    }

    /// Reads a word a row and returns what the vocabulary layer reads, `[rows, dim]`.
    pub fn step(&mut self, params: &Params, words: &[u32]) -> Vec<f32> {
        let dim = self.spec.dim;
        let (table, scale) = (params.values("decoder.embed.weight"), (dim as f32).sqrt());
        let place = match self.spec.positions {
            Positions::Learned => {
                params.values("decoder.position.weight")[self.place * dim..][..dim].to_vec()
            }
            Positions::Sinusoidal => sinusoid(self.place, dim),
            Positions::Rotary => vec![0.0; dim],
        };
        let word = |w: &u32| table[*w as usize * dim..][..dim].iter().zip(&place).map(|(e, p)| e * scale + p);
        let mut x: Vec<f32> = words.iter().flat_map(word).collect();
        let spec = self.spec;
        for layer in 0..spec.layers {
            let name = |leaf: &str| format!("decoder.layers.{}.{leaf}", spec.stored(layer));
            let norms = [name("norm1"), name("norm2"), name("norm3")];
            let y = self.attend_words(params, layer, &self.before(params, &norms[0], &x));
            self.after(params, &norms[0], &mut x, &linear(params, &name("self_attn.o"), &y));
            let query = linear(params, &name("cross_attn.q"), &self.before(params, &norms[1], &x));
            let y = linear(params, &name("cross_attn.o"), &self.attend_memory(layer, &query));
            self.after(params, &norms[1], &mut x, &y);
            let y = self.feed_forward(params, &name, &self.before(params, &norms[2], &x));
            self.after(params, &norms[2], &mut x, &y);
        }
        self.place += 1;
        match self.spec.norm {
            NormPlace::Pre => normed(params, "decoder.norm", &x),
            NormPlace::Post => x,
        }
    }

    /// What a branch reads.
    fn before<'x>(&self, params: &Params, norm: &str, x: &'x [f32]) -> Cow<'x, [f32]> {
        match self.spec.norm {
            NormPlace::Pre => Cow::Owned(normed(params, norm, x)),
            NormPlace::Post => Cow::Borrowed(x),
        }
    }

    /// Adds what a branch gives.
    fn after(&self, params: &Params, norm: &str, x: &mut Vec<f32>, y: &[f32]) {
        math::add_row(x, y);
        if self.spec.norm == NormPlace::Post {
            *x = normed(params, norm, x);
        }
    }

    fn feed_forward(&self, params: &Params, name: &impl Fn(&str) -> String, x: &[f32]) -> Vec<f32> {
        let mut wide = linear(params, &name("ff1"), x);
        match self.spec.ff_kind {
            FeedForwardKind::Gelu => math::gelu(&mut wide),
            FeedForwardKind::SwiGlu => {
                let gate = linear(params, &name("gate"), x);
                wide.iter_mut().zip(&gate).for_each(|(w, g)| *w *= g / (1.0 + (-g).exp()));
            }
        }
        linear(params, &name("ff2"), &wide)
    }

    fn attend_words(&mut self, params: &Params, layer: usize, x: &[f32]) -> Vec<f32> {
        let stored = self.spec.stored(layer);
        let part = |leaf: &str| linear(params, &format!("decoder.layers.{stored}.self_attn.{leaf}"), x);
        let (mut query, mut key, value, dim) = (part("q"), part("k"), part("v"), self.spec.dim);
        if self.spec.positions == Positions::Rotary {
            let rows = query.chunks_exact_mut(dim).chain(key.chunks_exact_mut(dim));
            rows.for_each(|row| turn(row, self.place, self.spec.heads));
        }
        let mut out = vec![0.0; x.len()];
        for (r, (_, pasts)) in self.rows.iter_mut().enumerate() {
            let (past, at) = (&mut pasts[layer], r * dim..(r + 1) * dim);
            past.keys.extend(&key[at.clone()]);
            past.values.extend(&value[at.clone()]);
            attend(self.spec.heads, &query[at.clone()], &past.keys, &past.values, &mut out[at]);
        }
        out
    }

    fn attend_memory(&self, layer: usize, query: &[f32]) -> Vec<f32> {
        let (dim, area, memory) = (self.spec.dim, self.tokens * self.spec.dim, &self.memory[layer]);
        let mut out = vec![0.0; query.len()];
        for (r, (image, _)) in self.rows.iter().enumerate() {
            let (at, of) = (r * dim..(r + 1) * dim, image * area..(image + 1) * area);
            attend(
                self.spec.heads,
                &query[at.clone()],
                &memory.keys[of.clone()],
                &memory.values[of],
                &mut out[at],
            );
        }
        out
    }
}

/// Multi-head attention of one query over `[length, dim]` keys and values.
fn attend(heads: usize, query: &[f32], keys: &[f32], values: &[f32], out: &mut [f32]) {
    let dim = query.len();
    macs::add(keys.len() + values.len());
    let width = dim / heads;
    let scale = 1.0 / (width as f32).sqrt();
    for head in 0..heads {
        let at = head * width..(head + 1) * width;
        let mut weights: Vec<f32> = keys
            .chunks_exact(dim)
            .map(|key| math::dot(&query[at.clone()], &key[at.clone()]) * scale)
            .collect();
        math::softmax(&mut weights);
        for (w, value) in weights.iter().zip(values.chunks_exact(dim)) {
            math::add_scaled(&mut out[at.clone()], &value[at.clone()], *w);
        }
    }
}
