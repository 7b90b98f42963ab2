//! Recurrent decoders as tensors.

use super::unroll::Plan;
use super::wiring::{Image, Looks, Wiring};
use crate::bridge::{linear, matmul, normed};
use crate::decoder::layout::ints;
use crate::decoder::{CaptionBatch, Target};
use crate::math::Dropout;
use crate::params::Params;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Tensor, TensorData};
use capwright_blueprint::RecurrentSpec;
use capwright_blueprint::language::{Attention, Between, Cell};

/// What is to be said, in the order of [`outputs`].
pub(in crate::decoder) fn targets(batch: &CaptionBatch) -> Vec<Target> {
    let rows = |t: usize| (0..batch.active(t)).map(move |row| batch.target(row, t));
    (0..batch.steps()).flat_map(rows).collect()
}

/// What the vocabulary layer reads, `[words, hidden + context]`, step by step.
pub(in crate::decoder) fn outputs(
    wiring: &Wiring,
    params: &Params,
    memory: Tensor<3>,
    batch: &CaptionBatch,
    dropout: &mut Dropout,
) -> Tensor<2> {
    let plan = Plan::of_batch(wiring, batch);
    let (positions, skipped) = (plan.positions(), plan.positions() - batch.words());
    let decoder = Decoder { wiring, params };
    let mut run = decoder.start(memory, &plan, dropout);
    let out_mask = decoder.mask(positions, wiring.out(), dropout);
    let out =
        (0..plan.active.len()).map(|step| decoder.step(&mut run, plan.offsets[step], plan.active[step]));
    let out = masked(Tensor::cat(out.collect(), 0), out_mask);
    out.narrow(0, skipped, positions - skipped)
}

/// A decoder and its values.
#[derive(Clone, Copy)]
struct Decoder<'a> {
    wiring: &'a Wiring,
    params: &'a Params,
}

/// A layer as the steps need it: weights as they multiply with them.
struct Layer {
    /// Of what is read; in the first layer of what comes from the step before, if anything does.
    ih: Option<Tensor<2>>,
    hh: Tensor<2>,
    /// Dropout of what the layer below hands on, `[positions, hidden]`.
    mask: Option<Tensor<2>>,
}

/// A batch on its way.
struct Run {
    /// Keys and values of the image of each row, `[rows, heads, tokens, width of a head]`; none without attention.
    seen: Option<[Tensor<4>; 2]>,
    /// What the first layer reads of words and images, `[positions, width]`, and what its gates get from that.
    known: Tensor<2>,
    known_gates: Tensor<2>,
    layers: Vec<Layer>,
    /// States after the step before, `[rows alive, hidden]`.
    h: Vec<Tensor<2>>,
    c: Vec<Tensor<2>>,
}

fn masked(x: Tensor<2>, mask: Option<Tensor<2>>) -> Tensor<2> {
    match mask {
        Some(mask) => x * mask,
        None => x,
    }
}

/// The first rows.
fn first<const D: usize>(x: &Tensor<D>, rows: usize) -> Tensor<D> {
    if x.dims()[0] == rows { x.clone() } else { x.clone().narrow(0, 0, rows) }
}

impl Decoder<'_> {
    fn rnn(&self, layer: usize, leaf: &str) -> String {
        format!("decoder.rnn.{layer}.{leaf}")
    }

    fn mask(&self, positions: usize, width: usize, dropout: &mut Dropout) -> Option<Tensor<2>> {
        let mask = dropout.mask(positions * width, self.wiring.dropout_pct)?;
        Some(Tensor::from_data(TensorData::new(mask, [positions, width]), self.params.device()))
    }

    /// All that is computed before the first step. Masks are drawn in the order of the processor's own pass.
    fn start(&self, memory: Tensor<3>, plan: &Plan, dropout: &mut Dropout) -> Run {
        let (w, positions, [images, _, dim]) = (self.wiring, plan.positions(), memory.dims());
        let width = |layer: usize| if layer == 0 { w.embed } else { w.hidden };
        let mut masks: Vec<_> = (0..w.layers).map(|l| self.mask(positions, width(l), dropout)).collect();
        let pooled: Tensor<2> = memory.clone().mean_dim(1).reshape([images, dim]);
        let known = self.known(&pooled, plan, masks[0].take());
        let ih = |layer: usize| self.params.get::<2>(&self.rnn(layer, "weight_ih"));
        let columns = |at: std::ops::Range<usize>| ih(0).narrow(1, at.start, at.len()).transpose();
        let known_gates = self.biased(0, "ih", matmul(known.clone(), columns(w.known())));
        let layer = |(layer, mask): (usize, Option<Tensor<2>>)| Layer {
            ih: match layer {
                0 => (!w.moving().is_empty()).then(|| columns(w.moving())),
                _ => Some(ih(layer).transpose()),
            },
            hh: self.params.get::<2>(&self.rnn(layer, "weight_hh")).transpose(),
            mask,
        };
        Run {
            seen: (w.attention != Attention::None).then(|| self.seen(memory, plan)),
            layers: masks.into_iter().enumerate().map(layer).collect(),
            h: self.first("decoder.init_h", &pooled, plan),
            c: if w.cell == Cell::Lstm { self.first("decoder.init_c", &pooled, plan) } else { Vec::new() },
            known,
            known_gates,
        }
    }

    /// What the first layer reads of words and images.
    fn known(&self, pooled: &Tensor<2>, plan: &Plan, mask: Option<Tensor<2>>) -> Tensor<2> {
        let (w, device) = (self.wiring, self.params.device());
        let as_word = || linear(self.params, "decoder.image", pooled.clone());
        // The image as a word comes first, without dropout.
        let words: Vec<i64> = plan.words.iter().flatten().map(|word| i64::from(*word)).collect();
        let (n, alone) = (words.len(), plan.positions() - words.len());
        let words = self.params.get::<2>("decoder.embed.weight").select(0, ints(words, device));
        let words = masked(words, mask.map(|mask| mask.narrow(0, alone, n)));
        let shown = |x: Tensor<2>| {
            let images = plan.rows().map(|row| plan.images[row] as i64);
            x.select(0, ints(images, device))
        };
        match w.image {
            Image::States => words,
            Image::FirstWord => {
                let images = plan.images.iter().map(|image| *image as i64);
                Tensor::cat(vec![as_word().select(0, ints(images, device)), words], 0)
            }
            Image::EveryWord => Tensor::cat(vec![words, shown(as_word())], 1),
            Image::Pooled => Tensor::cat(vec![shown(pooled.clone()), words], 1),
        }
    }

    /// Keys and values of the image of each row.
    fn seen(&self, memory: Tensor<3>, plan: &Plan) -> [Tensor<4>; 2] {
        let ([images, tokens, dim], attention) = (memory.dims(), self.wiring.attention);
        let of = |leaf: &str, wanted: bool| -> Tensor<3> {
            if !wanted {
                return memory.clone();
            }
            let flat = memory.clone().reshape([images * tokens, dim]);
            linear(self.params, &format!("decoder.attn.{leaf}"), flat).reshape([images, tokens, dim])
        };
        let rows = ints(plan.images.iter().map(|image| *image as i64), self.params.device());
        let (heads, n) = (self.heads(), plan.images.len());
        [of("key", attention != Attention::Dot), of("value", attention == Attention::MultiHead)]
            .map(|x| x.select(0, rows.clone()).reshape([n, tokens, heads, dim / heads]).swap_dims(1, 2))
    }

    fn heads(&self) -> usize {
        if self.wiring.attention == Attention::MultiHead { RecurrentSpec::heads(self.wiring.dim) } else { 1 }
    }

    /// First states of each layer.
    fn first(&self, name: &str, pooled: &Tensor<2>, plan: &Plan) -> Vec<Tensor<2>> {
        let (w, device, rows) = (self.wiring, self.params.device(), plan.images.len());
        if w.image != Image::States {
            return vec![Tensor::zeros([rows, w.hidden], device); w.layers];
        }
        let images = ints(plan.images.iter().map(|image| *image as i64), device);
        let all = linear(self.params, name, pooled.clone()).tanh().select(0, images);
        (0..w.layers).map(|layer| all.clone().narrow(1, layer * w.hidden, w.hidden)).collect()
    }

    /// All layers for the `n` rows alive at a step, whose first position is `from`: what the vocabulary layer reads.
    fn step(&self, run: &mut Run, from: usize, n: usize) -> Tensor<2> {
        let (w, of_step) = (self.wiring, |x: &Tensor<2>| x.clone().narrow(0, from, n));
        run.h.iter_mut().chain(&mut run.c).for_each(|state| *state = first(state, n));
        let seen = run.seen.as_ref().map(|seen| seen.each_ref().map(|x| first(x, n)));
        let look = |h: &Tensor<2>, own| self.attend(seen.as_ref().expect("it attends"), h.clone(), own);
        let mut context = (w.looks == Looks::Before).then(|| look(&run.h[w.top()], None));
        let (mut handed, mut open) = (run.h[0].clone(), None);
        for layer in 0..w.layers {
            let parts = &run.layers[layer];
            let read = |x: &Tensor<2>| parts.ih.as_ref().map(|ih| matmul(x.clone(), ih.clone()));
            let (x, gates) = if layer == 0 {
                let moved = if w.looks == Looks::Between { Some(&run.h[1]) } else { context.as_ref() };
                let known = of_step(&run.known_gates);
                let gates = match moved.and_then(read) {
                    Some(moved) => known + moved,
                    None => known,
                };
                (of_step(&run.known), gates)
            } else {
                let below = masked(handed, parts.mask.as_ref().map(of_step));
                let x = match w.looks {
                    Looks::Between => Tensor::cat(vec![look(&run.h[0], None), below], 1),
                    _ => below,
                };
                let gates = read(&x).expect("layers above the first read");
                (x, self.biased(layer, "ih", gates))
            };
            if w.looks == Looks::After && layer == w.top() {
                open = Some(self.opened(x.clone(), run.h[layer].clone()));
            }
            let (h, c) = self.cell(layer, gates, &parts.hh, &run.h[layer], run.c.get(layer));
            handed = if layer == 0 { h.clone() } else { self.joined(layer, x, h.clone()) };
            run.h[layer] = h;
            if let Some(c) = c {
                run.c[layer] = c;
            }
        }
        if let Some(open) = open {
            let shown = run.c[w.top()].clone().tanh() * open;
            let value = linear(self.params, "decoder.attn.sentinel", shown);
            let key = linear(self.params, "decoder.attn.sentinel_key", value.clone());
            context = Some(look(&run.h[w.top()], Some([key, value])));
        }
        match context {
            Some(context) => Tensor::cat(vec![handed, context], 1),
            None => handed,
        }
    }

    /// The contexts of rows that ask with states `h`; `own`: key and value of a token of the row's own.
    fn attend(&self, seen: &[Tensor<4>; 2], h: Tensor<2>, own: Option<[Tensor<2>; 2]>) -> Tensor<2> {
        let query = linear(self.params, "decoder.attn.query", h);
        let ([n, dim], heads) = (query.dims(), self.heads());
        let [mut keys, mut values] = seen.clone();
        if let Some([key, value]) = own {
            let token = |x: Tensor<2>| -> Tensor<4> { x.reshape([n, 1, 1, dim]) };
            keys = Tensor::cat(vec![keys, token(key)], 2);
            values = Tensor::cat(vec![values, token(value)], 2);
        }
        let (tokens, width) = (keys.dims()[2], dim / heads);
        let query: Tensor<4> = query.reshape([n, heads, 1, width]);
        let scores: Tensor<4> = match self.wiring.attention {
            Attention::Additive | Attention::Adaptive => {
                let score = self.params.get::<2>("decoder.attn.score.weight").transpose();
                let bent: Tensor<2> = (keys + query).tanh().reshape([n * tokens, dim]);
                matmul(bent, score).reshape([n, 1, 1, tokens])
            }
            _ => matmul(query / (width as f64).sqrt(), keys.swap_dims(2, 3)),
        };
        let found: Tensor<2> = matmul(softmax(scores, 3), values).reshape([n, dim]);
        match self.wiring.attention {
            Attention::MultiHead => linear(self.params, "decoder.attn.out", found),
            _ => found,
        }
    }

    /// How far the top cell, whose input and old state these are, is shown by a sentinel.
    fn opened(&self, x: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
        sigmoid(linear(self.params, "decoder.attn.gate_x", x) + linear(self.params, "decoder.attn.gate_h", h))
    }

    /// The bias of one part of a layer's gates, which is none where layer norms have it.
    fn biased(&self, layer: usize, part: &str, gates: Tensor<2>) -> Tensor<2> {
        if self.wiring.normed() {
            return gates;
        }
        gates + self.params.get::<1>(&self.rnn(layer, &format!("bias_{part}"))).unsqueeze::<2>()
    }

    /// One cell: its new states.
    fn cell(
        &self,
        layer: usize,
        gates: Tensor<2>,
        weight: &Tensor<2>,
        h: &Tensor<2>,
        c: Option<&Tensor<2>>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let hidden = self.wiring.hidden;
        let part = |x: &Tensor<2>, i: usize| x.clone().narrow(1, i * hidden, hidden);
        let by_state = self.biased(layer, "hh", matmul(h.clone(), weight.clone()));
        let (gates, by_state) = (self.norm(layer, "norm_ih", gates), self.norm(layer, "norm_hh", by_state));
        match c {
            Some(c) => {
                let all = gates + by_state;
                let [i, f, o] = [0, 1, 3].map(|gate| sigmoid(part(&all, gate)));
                let c = f * c.clone() + i * part(&all, 2).tanh();
                (o * self.norm(layer, "norm_c", c.clone()).tanh(), Some(c))
            }
            None => {
                let [r, z] = [0, 1].map(|gate| sigmoid(part(&gates, gate) + part(&by_state, gate)));
                let new = (part(&gates, 2) + r * part(&by_state, 2)).tanh();
                (new.clone() + z * (h.clone() - new), None)
            }
        }
    }

    /// Each gate normed by itself, where cells have norms.
    fn norm(&self, layer: usize, name: &str, x: Tensor<2>) -> Tensor<2> {
        if !self.wiring.normed() {
            return x;
        }
        let ([n, wide], hidden) = (x.dims(), self.wiring.hidden);
        let value =
            |leaf: &str| self.params.get::<1>(&self.rnn(layer, &format!("{name}.{leaf}"))).unsqueeze::<2>();
        let unit: Tensor<2> = normed(x.reshape([n * wide / hidden, hidden])).reshape([n, wide]);
        unit * value("weight") + value("bias")
    }

    /// What a layer above the first hands on.
    fn joined(&self, layer: usize, x: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
        match self.wiring.between {
            Between::Plain => h,
            Between::Residual => h + x,
            Between::Highway => {
                let gate = sigmoid(linear(self.params, &self.rnn(layer, "highway"), x.clone()));
                x.clone() + gate * (h - x)
            }
        }
    }
}
