//! Transformer decoder, one word at a time, with cached keys and values. Host slices; same formulas as training.

use super::loss::linear;
use super::places::turn;
use super::transformer::{embedded, feed_forward, layer_norm, placed};
use crate::macs;
use crate::math;
use crate::params::Params;
use capwright_blueprint::TransformerSpec;
use capwright_blueprint::language::{NormPlace, Positions};
use std::borrow::Cow;

/// Keys and values of one layer, `[rows, dim]`.
#[derive(Clone, Default)]
pub(super) struct Cached {
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

/// A hypothesis: the image that it shows, and where in the past its words lie.
#[derive(Clone)]
struct Row {
    image: usize,
    trail: Vec<usize>,
}

/// A decoding in progress.
pub(crate) struct TransformerSession {
    spec: TransformerSpec,
    /// Where the tokens of each image lie in the memory.
    tokens: Vec<Vec<usize>>,
    /// For each layer the memory, `[images · tokens, dim]`.
    memory: Vec<Cached>,
    /// For each layer all words of all rows so far, step by step. Rows that go different ways share what they have in common.
    past: Vec<Cached>,
    rows: Vec<Row>,
    place: usize,
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
        let memory = (0..spec.layers).map(|l| Cached { keys: part(l, "k"), values: part(l, "v") }).collect();
        let of_image = |image: &usize| (image * tokens..(image + 1) * tokens).collect();
        Self {
            spec: *spec,
            tokens: images.iter().map(of_image).collect(),
            memory,
            past: vec![Cached::default(); spec.layers],
            rows: images.iter().map(|image| Row { image: *image, trail: Vec::new() }).collect(),
            place: 0,
        }
    }

    /// Keeps and repeats rows.
    pub fn select(&mut self, rows: &[usize]) {
        self.rows = rows.iter().map(|r| self.rows[*r].clone()).collect();
    }

    /// Reads a word a row and returns what the vocabulary layer reads, `[rows, dim]`.
    pub fn step(&mut self, params: &Params, words: &[u32]) -> Vec<f32> {
        let spec = self.spec;
        let place = placed(&spec, params, self.place);
        let mut x = embedded(params, words, std::iter::repeat(&place[..]));
        for layer in 0..spec.layers {
            let name = |leaf: &str| format!("decoder.layers.{}.{leaf}", spec.stored(layer));
            let norms = [name("norm1"), name("norm2"), name("norm3")];
            let y = self.attend_words(params, layer, &self.before(params, &norms[0], &x));
            self.after(params, &norms[0], &mut x, &linear(params, &name("self_attn.o"), &y));
            let query = linear(params, &name("cross_attn.q"), &self.before(params, &norms[1], &x));
            let y = linear(params, &name("cross_attn.o"), &self.attend_memory(layer, &query));
            self.after(params, &norms[1], &mut x, &y);
            let (y, _) = feed_forward(&spec, params, &name, &self.before(params, &norms[2], &x));
            self.after(params, &norms[2], &mut x, &y);
        }
        self.place += 1;
        match spec.norm {
            NormPlace::Pre => layer_norm(params, "decoder.norm", &x).0,
            NormPlace::Post => x,
        }
    }

    /// What a branch reads.
    fn before<'x>(&self, params: &Params, norm: &str, x: &'x [f32]) -> Cow<'x, [f32]> {
        match self.spec.norm {
            NormPlace::Pre => Cow::Owned(layer_norm(params, norm, x).0),
            NormPlace::Post => Cow::Borrowed(x),
        }
    }

    /// Adds what a branch gives.
    fn after(&self, params: &Params, norm: &str, x: &mut Vec<f32>, y: &[f32]) {
        math::add_row(x, y);
        if self.spec.norm == NormPlace::Post {
            *x = layer_norm(params, norm, x).0;
        }
    }

    fn attend_words(&mut self, params: &Params, layer: usize, x: &[f32]) -> Vec<f32> {
        let (spec, dim) = (self.spec, self.spec.dim);
        let part = |leaf: &str| {
            linear(params, &format!("decoder.layers.{}.self_attn.{leaf}", spec.stored(layer)), x)
        };
        let (mut query, mut key, value) = (part("q"), part("k"), part("v"));
        if spec.positions == Positions::Rotary {
            let rows = query.chunks_exact_mut(dim).chain(key.chunks_exact_mut(dim));
            rows.for_each(|row| turn(row, self.place, spec.heads, 1.0));
        }
        let past = &mut self.past[layer];
        if layer == 0 {
            let next = past.keys.len() / dim..;
            self.rows.iter_mut().zip(next).for_each(|(row, at)| row.trail.push(at));
        }
        past.keys.extend(key);
        past.values.extend(value);
        attend(spec.heads, &query, past, self.rows.iter().map(|row| &row.trail[..]))
    }

    fn attend_memory(&self, layer: usize, query: &[f32]) -> Vec<f32> {
        let seen = self.rows.iter().map(|row| &self.tokens[row.image][..]);
        attend(self.spec.heads, query, &self.memory[layer], seen)
    }
}

/// Multi-head attention of each query to those rows of keys and values that it sees.
pub(super) fn attend<'a>(
    heads: usize,
    query: &[f32],
    Cached { keys, values }: &Cached,
    seen: impl ExactSizeIterator<Item = &'a [usize]>,
) -> Vec<f32> {
    let dim = query.len() / seen.len().max(1);
    let mut out = vec![0.0; query.len()];
    let rows: Vec<_> = out.chunks_exact_mut(dim).zip(query.chunks_exact(dim)).zip(seen).collect();
    let seen: usize = rows.iter().map(|(_, seen)| seen.len()).sum();
    macs::add(2 * seen * dim);
    math::each(seen * dim, rows.into_iter(), |((out, query), seen)| {
        let mut weights = vec![0.0; heads * seen.len()];
        math::attend(out, &mut weights, query, keys, values, seen, heads);
    });
    out
}
