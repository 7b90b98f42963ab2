//! Attention of recurrent decoders: rows ask with a state, and get a context.

use super::Recurrent;
use super::encoded::{Encoded, EncodedFlow};
use crate::decoder::loss::{linear, weights_back};
use crate::macs;
use crate::math::{self, View};
use crate::params::Grads;
use capwright_blueprint::RecurrentSpec;
use capwright_blueprint::language::Attention;

/// What rows of all steps keep for backward.
#[derive(Default)]
pub(super) struct Looked {
    /// Probabilities, `[positions, tokens]`, or those of each head, or one more for the sentinel.
    weights: Vec<f32>,
    /// `[positions, dim]`.
    queries: Vec<f32>,
    /// What several heads found, `[positions, dim]`.
    found: Vec<f32>,
}

/// A token of a row's own beside those of its image: key and value, `[rows, dim]`.
pub(super) struct Own<'a> {
    pub keys: &'a [f32],
    pub values: &'a [f32],
}

/// Gradients of the rows of all steps.
pub(super) struct LookFlow {
    /// Of the queries, `[positions, dim]`.
    pub queries: Vec<f32>,
    /// Of what the heads' output layer gave, `[positions, dim]`.
    contexts: Vec<f32>,
    score: Vec<f32>,
}

impl Looked {
    /// For some positions; empty without attention.
    pub(super) fn new(decoder: &Recurrent<'_>, encoded: &Encoded, positions: usize) -> Self {
        let (kind, values) = (decoder.wiring.attention, positions * encoded.dim);
        if kind == Attention::None {
            return Self::default();
        }
        let found = if kind == Attention::MultiHead { values } else { 0 };
        Self {
            weights: vec![0.0; positions * decoder.probabilities(encoded)],
            queries: vec![0.0; values],
            found: vec![0.0; found],
        }
    }
}

impl LookFlow {
    pub(super) fn new(decoder: &Recurrent<'_>, looked: &Looked) -> Self {
        let score = if decoder.scores_by_tanh() { decoder.wiring.dim } else { 0 };
        Self {
            queries: vec![0.0; looked.queries.len()],
            contexts: vec![0.0; looked.found.len()],
            score: vec![0.0; score],
        }
    }
}

impl Recurrent<'_> {
    fn scores_by_tanh(&self) -> bool {
        matches!(self.wiring.attention, Attention::Additive | Attention::Adaptive)
    }

    fn score(&self) -> &[f32] {
        self.params.values("decoder.attn.score.weight")
    }

    fn heads(&self) -> usize {
        if self.wiring.attention == Attention::MultiHead { RecurrentSpec::heads(self.wiring.dim) } else { 1 }
    }

    /// Probabilities of a position.
    fn probabilities(&self, encoded: &Encoded) -> usize {
        let own = usize::from(self.wiring.attention == Attention::Adaptive);
        self.heads() * (encoded.tokens + own)
    }

    /// The contexts of rows that ask with states `h`, `[rows, dim]`; kept from position `from` on.
    pub(super) fn attend(
        &self,
        encoded: &Encoded,
        images: &[usize],
        h: &[f32],
        own: Option<&Own<'_>>,
        (looked, from): (&mut Looked, usize),
    ) -> Vec<f32> {
        let (dim, wide) = (self.wiring.dim, self.probabilities(encoded));
        let queries = linear(self.params, "decoder.attn.query", h);
        looked.queries[from * dim..][..queries.len()].copy_from_slice(&queries);
        let mut found = vec![0.0; queries.len()];
        let weights = &mut looked.weights[from * wide..][..images.len() * wide];
        // Scores, and the weighted sum.
        macs::add(2 * images.len() * (wide / self.heads()) * dim);
        let rows = queries.chunks_exact(dim).zip(weights.chunks_exact_mut(wide));
        let rows = rows.zip(found.chunks_exact_mut(dim)).enumerate();
        math::each(images.len() * encoded.area(), rows, |(row, ((query, weights), out))| {
            self.look(encoded, images[row], query, weights, out);
            if let Some(own) = own {
                let at = row * dim..(row + 1) * dim;
                let last = weights.len() - 1;
                math::additive_scores(&mut weights[last..], query, &own.keys[at.clone()], self.score());
                math::softmax(weights);
                let (last, weights) = weights.split_last().expect("a weight for each token");
                math::weighted_sum(out, weights, encoded.values(images[row]));
                math::add_scaled(out, &own.values[at], *last);
            }
        });
        if self.wiring.attention != Attention::MultiHead {
            return found;
        }
        looked.found[from * dim..][..found.len()].copy_from_slice(&found);
        linear(self.params, "decoder.attn.out", &found)
    }

    /// One look at an image: weights of its tokens, and their weighted sum. Where a token of the row's own is to follow, scores alone.
    fn look(&self, encoded: &Encoded, image: usize, query: &[f32], weights: &mut [f32], out: &mut [f32]) {
        let (keys, values) = (encoded.keys(image), encoded.values(image));
        match self.wiring.attention {
            Attention::None => {}
            Attention::Additive => {
                math::additive_scores(weights, query, keys, self.score());
                math::softmax(weights);
                math::weighted_sum(out, weights, values);
            }
            Attention::Adaptive => {
                math::additive_scores(&mut weights[..encoded.tokens], query, keys, self.score());
            }
            Attention::Dot | Attention::MultiHead => {
                math::attend(out, weights, query, keys, values, &encoded.places, self.heads());
            }
        }
    }

    /// Backward of [`Recurrent::attend`], from the gradient of the contexts. `d_own` gets the gradients of the row's own keys and
    /// values; those of the queries stand in `flow`.
    pub(super) fn attend_back(
        &self,
        encoded: &Encoded,
        images: &[usize],
        d_contexts: &[f32],
        mut own: Option<(&Own<'_>, [&mut [f32]; 2])>,
        (looked, from): (&Looked, usize),
        (flow, images_flow): (&mut LookFlow, &mut EncodedFlow),
    ) {
        let (dim, wide) = (self.wiring.dim, self.probabilities(encoded));
        let mut d_found = d_contexts.to_vec();
        if self.wiring.attention == Attention::MultiHead {
            flow.contexts[from * dim..][..d_contexts.len()].copy_from_slice(d_contexts);
            let weight = View::new(self.params.values("decoder.attn.out.weight"), dim);
            math::gemm(&mut d_found, View::new(d_contexts, dim), weight, false);
        }
        let (tokens, mut d_scores) = (encoded.tokens, vec![0.0; wide]);
        for (row, d) in d_found.chunks_exact(dim).enumerate() {
            let (p, image) = (from + row, images[row]);
            let (query, weights) = (&looked.queries[p * dim..][..dim], &looked.weights[p * wide..][..wide]);
            let d_query = &mut flow.queries[p * dim..][..dim];
            let (d_keys, d_values) = images_flow.of(image, encoded.tokens * dim);
            let (keys, values) = (encoded.keys(image), encoded.values(image));
            if !self.scores_by_tanh() {
                math::attend_back(d_query, d_keys, d_values, d, weights, query, keys, values, self.heads());
                continue;
            }
            math::weighted_sum_back(&mut d_scores[..tokens], d_values, d, &weights[..tokens], values);
            let at = row * dim..(row + 1) * dim;
            if let Some((own, [_, d_own])) = &mut own {
                d_scores[tokens] = math::dot(d, &own.values[at.clone()]);
                math::add_scaled(&mut d_own[at.clone()], d, weights[tokens]);
            }
            math::softmax_back(&mut d_scores, weights);
            let v = self.score();
            let (image_scores, own_score) = d_scores.split_at(tokens);
            math::additive_scores_back(image_scores, query, keys, v, d_query, d_keys, &mut flow.score);
            if let Some((own, [d_own, _])) = &mut own {
                let (key, d_key) = (&own.keys[at.clone()], &mut d_own[at]);
                math::additive_scores_back(own_score, query, key, v, d_query, d_key, &mut flow.score);
            }
        }
    }

    /// Gradients of the weights, for the states `h` of all positions that asked.
    pub(super) fn look_weights_back(&self, looked: &Looked, h: &[f32], flow: LookFlow, grads: &mut Grads) {
        weights_back(self.params, "decoder.attn.query", h, &flow.queries, grads);
        if self.wiring.attention == Attention::MultiHead {
            weights_back(self.params, "decoder.attn.out", &looked.found, &flow.contexts, grads);
        }
        if self.scores_by_tanh() {
            grads.add(self.params.id("decoder.attn.score.weight"), flow.score);
        }
    }
}
