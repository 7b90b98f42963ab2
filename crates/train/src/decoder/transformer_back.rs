//! Transformer decoder, backward. Weight gradients are one matrix product over all words.

use super::loss::{linear_back, vocabulary_loss};
use super::transformer::{Attended, Branch, LayerTape, Normed, Pass, Shown, Tape, Wide, masked, taken};
use super::{CaptionBatch, Outcome};
use crate::macs;
use crate::math::{self, Dropout, View, gemm_columns, product};
use crate::params::{Grads, Params};
use capwright_blueprint::TransformerSpec;
use capwright_blueprint::language::{FeedForwardKind, NormPlace, Positions};
use std::time::Instant;

/// Loss and gradients for memory `[images, tokens, width]`.
pub(crate) fn train(
    spec: &TransformerSpec,
    params: &Params,
    (memory, tokens): (&[f32], usize),
    batch: &CaptionBatch,
    smoothing: f32,
    dropout: &mut Dropout,
) -> Outcome {
    let pass = Pass::new(spec, params, memory, tokens, batch);
    let (x, tape) = pass.forward(dropout);
    let mut grads = Grads::new(params);
    let (loss, dx) = vocabulary_loss(params, &x, &pass.words.targets, smoothing, &mut grads);
    let start = Instant::now();
    let memory = pass.backward(tape, dx, &mut grads);
    Outcome { loss, words: pass.words.targets.len(), grads, memory, backward: start.elapsed() }
}

/// Gradients of queries, keys and values.
struct Flow {
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
}

impl Flow {
    fn new(kept: &Attended) -> Self {
        let zeros = |x: &Vec<f32>| vec![0.0; x.len()];
        Self { query: zeros(&kept.query), key: zeros(&kept.key), value: zeros(&kept.value) }
    }

    /// All three, to be taken part by part.
    fn rest(&mut self) -> [&mut [f32]; 3] {
        [&mut self.query, &mut self.key, &mut self.value]
    }
}

impl Pass<'_> {
    /// From the gradient of what the vocabulary layer reads to those of all parameters and, returned, of the memory.
    fn backward(&self, tape: Tape, mut dx: Vec<f32>, grads: &mut Grads) -> Vec<f32> {
        let mut memory = vec![0.0; self.memory.len()];
        if let Some(norm) = &tape.norm {
            self.norm_back("decoder.norm", norm, &mut dx, grads);
        }
        for (layer, kept) in tape.layers.into_iter().enumerate().rev() {
            self.layer_back(layer, &kept, &mut dx, &mut memory, grads);
        }
        masked(&mut dx, tape.mask.as_deref());
        self.words_back(&dx, grads);
        memory
    }

    fn layer_back(
        &self,
        layer: usize,
        kept: &LayerTape,
        dx: &mut [f32],
        memory: &mut [f32],
        grads: &mut Grads,
    ) {
        let name = |leaf: &str| self.name(layer, leaf);
        self.branch_back(&name("norm3"), &kept.wide, dx, grads, |dy, grads| {
            self.feed_forward_back(&name, &kept.wide, dy, grads)
        });
        self.branch_back(&name("norm2"), &kept.image, dx, grads, |dy, grads| {
            let (d_query, d_memory) = self.attend_back(
                &name("cross_attn"),
                &kept.image,
                self.memory,
                dy,
                Self::back_from_memory,
                grads,
            );
            math::add_row(memory, &d_memory);
            d_query
        });
        self.branch_back(&name("norm1"), &kept.words, dx, grads, |dy, grads| {
            let read = &kept.words.read;
            let (mut d_query, d_words) =
                self.attend_back(&name("self_attn"), &kept.words, read, dy, Self::back_from_words, grads);
            math::add_row(&mut d_query, &d_words);
            d_query
        });
    }

    /// `dx` becomes the gradient of what the branch was added to; `of` goes from the gradient of the branch to that of what it
    /// read.
    fn branch_back<T>(
        &self,
        norm: &str,
        kept: &Branch<T>,
        dx: &mut [f32],
        grads: &mut Grads,
        of: impl FnOnce(&[f32], &mut Grads) -> Vec<f32>,
    ) {
        if self.spec.norm == NormPlace::Post {
            self.norm_back(norm, &kept.norm, dx, grads);
        }
        let mut dy = dx.to_vec();
        masked(&mut dy, kept.mask.as_deref());
        let mut d_read = of(&dy, grads);
        if self.spec.norm == NormPlace::Pre {
            self.norm_back(norm, &kept.norm, &mut d_read, grads);
        }
        math::add_row(dx, &d_read);
    }

    /// `dy` becomes the gradient of what was normed.
    fn norm_back(&self, name: &str, kept: &Normed, dy: &mut [f32], grads: &mut Grads) {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let factors = self.params.values(&weight);
        let (mut d_weight, mut d_bias) = (vec![0.0; factors.len()], vec![0.0; factors.len()]);
        let n = factors.len();
        math::layer_norm_back(dy, &kept.unit, &kept.scale, factors, &mut d_weight, &mut d_bias, n);
        grads.add(self.params.id(&weight), d_weight);
        grads.add(self.params.id(&bias), d_bias);
    }

    fn feed_forward_back(
        &self,
        name: &impl Fn(&str) -> String,
        kept: &Branch<Wide>,
        dy: &[f32],
        grads: &mut Grads,
    ) -> Vec<f32> {
        let Wide { plain, gate, active } = &kept.own;
        let back = |leaf: &str, x: &[f32], dy: &[f32], grads: &mut Grads| {
            linear_back(self.params, &name(leaf), x, dy, grads)
        };
        let mut d_plain = back("ff2", active, dy, grads);
        match self.spec.ff_kind {
            FeedForwardKind::Gelu => {
                math::gelu_back(&mut d_plain, plain);
                back("ff1", &kept.read, &d_plain, grads)
            }
            FeedForwardKind::SwiGlu => {
                let mut d_gate = d_plain.clone();
                math::silu_times_back(&mut d_plain, &mut d_gate, plain, gate);
                let mut d_read = back("ff1", &kept.read, &d_plain, grads);
                math::add_row(&mut d_read, &back("gate", &kept.read, &d_gate, grads));
                d_read
            }
        }
    }

    /// Gradients of what was read by queries, and of the `source` of keys and values.
    fn attend_back(
        &self,
        name: &str,
        kept: &Branch<Attended>,
        source: &[f32],
        dy: &[f32],
        rule: fn(&Self, &Attended, &[f32]) -> Flow,
        grads: &mut Grads,
    ) -> (Vec<f32>, Vec<f32>) {
        let mut back = |leaf: &str, x: &[f32], dy: &[f32]| {
            linear_back(self.params, &format!("{name}.{leaf}"), x, dy, grads)
        };
        let d_out = back("o", &kept.own.out, dy);
        let flow = rule(self, &kept.own, &d_out);
        let mut d_source = back("k", source, &flow.key);
        math::add_row(&mut d_source, &back("v", source, &flow.value));
        (back("q", &kept.read, &flow.query), d_source)
    }

    /// Backward of [`Pass::to_words`].
    fn back_from_words(&self, kept: &Attended, d_out: &[f32]) -> Flow {
        let (dim, heads, mut flow) = (self.spec.dim, self.spec.heads, Flow::new(kept));
        let (mut rest, mut weights) = (flow.rest(), &kept.weights[..]);
        let captions = self.words.captions.iter().map(|caption| {
            let own = weights.split_off(..self.looks(caption)).expect("as many as there are");
            (caption, own, rest.each_mut().map(|rest| taken(rest, caption.len() * dim)))
        });
        math::each(
            2 * kept.weights.len() * dim / heads,
            captions,
            |(caption, mut weights, [query, key, value])| {
                for (i, d_query) in caption.clone().zip(query.chunks_exact_mut(dim)) {
                    let (own, words) = (i * dim..(i + 1) * dim, i + 1 - caption.start);
                    let seen = caption.start * dim..own.end;
                    math::attend_back(
                        d_query,
                        &mut key[..words * dim],
                        &mut value[..words * dim],
                        &d_out[own.clone()],
                        weights.split_off(..heads * words).expect("as many as there are"),
                        &kept.query[own],
                        &kept.key[seen.clone()],
                        &kept.value[seen],
                        heads,
                    );
                }
            },
        );
        self.turn(&mut flow.query, -1.0);
        self.turn(&mut flow.key, -1.0);
        flow
    }

    /// Backward of [`Pass::to_memory`].
    fn back_from_memory(&self, kept: &Attended, d_out: &[f32]) -> Flow {
        let (dim, mut flow) = (self.spec.dim, Flow::new(kept));
        let products = 4 * self.words.read.len() * self.tokens * dim;
        macs::add(products);
        let (mut rest, mut weights) = (flow.rest(), &kept.weights[..]);
        let images = self.words.images.iter().enumerate().map(|(image, words)| {
            let of_words = words.len() * self.spec.heads * self.tokens;
            let own = weights.split_off(..of_words).expect("as many as there are");
            let [query, key, value] = &mut rest;
            let source = self.tokens * dim;
            (image, own, [taken(query, words.len() * dim), taken(key, source), taken(value, source)])
        });
        math::each(products, images, |(image, mut weights, mut flow)| {
            for shown in self.shown(image) {
                let own = weights.split_off(..shown.words.len() * self.tokens).expect("as many as there are");
                macs::uncounted(|| self.back_from_image(&shown, kept, own, d_out, &mut flow));
            }
        });
        flow
    }

    /// Backward of one head's look at one image, whose gradients `flow` is: of queries, keys and values.
    fn back_from_image(
        &self,
        shown: &Shown,
        kept: &Attended,
        weights: &[f32],
        d_out: &[f32],
        flow: &mut [&mut [f32]; 3],
    ) {
        let Shown { words, tokens, head } = shown;
        let (n, scale, at) = (self.tokens, self.scale(), (self.spec.dim, head.start));
        let d_out = self.part(d_out, words, head);
        let mut d_scores = product(d_out, self.part(&kept.value, tokens, head).t());
        for (d, weights) in d_scores.chunks_exact_mut(n).zip(weights.chunks_exact(n)) {
            math::softmax_back(d, weights);
            d.iter_mut().for_each(|d| *d *= scale);
        }
        let (weights, d_scores) = (View::new(weights, n), View::new(&d_scores, n));
        let (query, key) = (self.part(&kept.query, words, head), self.part(&kept.key, tokens, head));
        let [d_query, d_key, d_value] = flow;
        gemm_columns(d_value, at, weights.t(), d_out);
        gemm_columns(d_query, at, d_scores, key);
        gemm_columns(d_key, at, d_scores.t(), query);
    }

    /// Gradients of embeddings and of learned places.
    fn words_back(&self, dx: &[f32], grads: &mut Grads) {
        let (dim, embed, position) = (self.spec.dim, "decoder.embed.weight", "decoder.position.weight");
        let (mut table, scale) = (vec![0.0; self.params.values(embed).len()], (dim as f32).sqrt());
        for (word, dx) in self.words.read.iter().zip(dx.chunks_exact(dim)) {
            math::add_scaled(&mut table[*word as usize * dim..][..dim], dx, scale);
        }
        grads.add(self.params.id(embed), table);
        if self.spec.positions == Positions::Learned {
            let mut table = vec![0.0; self.params.values(position).len()];
            for (place, dx) in self.words.places.iter().zip(dx.chunks_exact(dim)) {
                math::add_row(&mut table[place * dim..][..dim], dx);
            }
            grads.add(self.params.id(position), table);
        }
    }
}
