//! All steps of teacher forcing, backward through time. Weight gradients are one matrix product over all positions.

use super::attention::{LookFlow, Own};
use super::cell::{Around, NormGrads, Step};
use super::encoded::{Encoded, EncodedFlow};
use super::sentinel::{SentinelFlow, SentinelWeights};
use super::unroll::{LayerTape, Plan, Tape};
use super::wiring::{Image, Looks};
use super::{Recurrent, columns, targets};
use crate::decoder::loss::{vocabulary_loss, weights_back};
use crate::decoder::{CaptionBatch, Outcome};
use crate::math::{self, Dropout, Packed, View, gemm_packed, product};
use crate::params::Grads;
use capwright_blueprint::language::{Attention, Between, Cell};
use std::time::Instant;

/// Weights as backward multiplies with them, laid out once for all steps.
struct Weights {
    /// For each layer those of the state, of what it reads that moves from step to step, and of its highway.
    state: Vec<Packed>,
    below: Vec<Packed>,
    highway: Vec<Option<Packed>>,
    query: Option<Packed>,
    sentinel: Option<SentinelWeights>,
}

/// Gradients that flow between steps and to the images.
struct Flow {
    /// Of the states after the step in hand, for each layer `[rows, hidden]`.
    h: Vec<Vec<f32>>,
    c: Vec<Vec<f32>>,
    norms: Vec<NormGrads>,
    images: EncodedFlow,
    look: LookFlow,
    sentinel: SentinelFlow,
    weights: Weights,
}

/// The step in hand: first position, rows alive, and the image of each.
#[derive(Clone, Copy)]
struct Now<'a> {
    from: usize,
    n: usize,
    images: &'a [usize],
}

impl Now<'_> {
    fn range(&self, width: usize) -> std::ops::Range<usize> {
        self.from * width..(self.from + self.n) * width
    }
}

impl Recurrent<'_> {
    /// Loss and gradients of a batch: forward, then backward.
    pub fn train(
        &self,
        encoded: &Encoded,
        batch: &CaptionBatch,
        smoothing: f32,
        dropout: &mut Dropout,
    ) -> Outcome {
        let plan = Plan::of_batch(self.wiring, batch);
        let mut tape = self.unroll(encoded, &plan, dropout);
        let mut grads = Grads::new(self.params);
        let wide = self.wiring.out();
        let skipped = plan.positions() - batch.words();
        let targets = targets(batch);
        let said = &tape.out[skipped * wide..];
        let (loss, mut d_said) = vocabulary_loss(self.params, said, &targets, smoothing, &mut grads);
        let start = Instant::now();
        if let Some(mask) = &tape.out_mask {
            math::multiply(&mut d_said, &mask[skipped * wide..]);
        }
        let mut d_out = vec![0.0; skipped * wide];
        d_out.append(&mut d_said);
        let memory = self.back(encoded, &plan, &mut tape, &d_out, &mut grads);
        Outcome { loss, words: targets.len(), grads, memory, backward: start.elapsed() }
    }

    /// Backward from the gradient of `tape.out` before its dropout; returns the gradient of the memory.
    fn back(
        &self,
        encoded: &Encoded,
        plan: &Plan,
        tape: &mut Tape,
        d_out: &[f32],
        grads: &mut Grads,
    ) -> Vec<f32> {
        let w = self.wiring;
        let zeros =
            |wanted: bool| vec![vec![0.0; if wanted { plan.images.len() * w.hidden } else { 0 }]; w.layers];
        let mut flow = Flow {
            h: zeros(true),
            c: zeros(w.cell == Cell::Lstm),
            norms: (0..w.layers).map(|_| NormGrads::new(self)).collect(),
            images: encoded.flow(w.attention != Attention::None),
            look: LookFlow::new(self, &tape.looked),
            sentinel: SentinelFlow::new(&tape.sentinels),
            weights: self.weights(),
        };
        for step in (0..plan.active.len()).rev() {
            let (from, n) = (plan.offsets[step], plan.active[step]);
            self.step_back(encoded, Now { from, n, images: &plan.images[..n] }, tape, d_out, &mut flow);
        }
        self.words_back(plan, tape, &mut flow, grads);
        let first = |first: &[f32], flow: &[Vec<f32>]| self.first_back(first, &plan.images, flow);
        let (first_h, first_c) = (first(&encoded.first_h, &flow.h), first(&encoded.first_c, &flow.c));
        let Flow { norms, images, look, sentinel, .. } = flow;
        self.weights_back(tape, (look, sentinel), norms, grads);
        encoded.back(self.params, images, (&first_h, &first_c), grads)
    }

    fn weights(&self) -> Weights {
        let w = self.wiring;
        let of = |name: &str, width: usize| View::new(self.params.values(&format!("{name}.weight")), width);
        let rnn = |layer: usize, leaf: &str, width: usize| View::new(self.rnn(layer, leaf), width);
        let below = |layer: usize| {
            let weight = rnn(layer, "weight_ih", w.input(layer));
            Packed::new(if layer == 0 { weight.columns(w.moving().start, w.moving().end) } else { weight })
        };
        let highway = |layer: usize| {
            let wanted = layer > 0 && w.between == Between::Highway;
            wanted.then(|| Packed::new(of(&format!("decoder.rnn.{layer}.highway"), w.hidden)))
        };
        Weights {
            state: (0..w.layers).map(|l| Packed::new(rnn(l, "weight_hh", w.hidden))).collect(),
            below: (0..w.layers).map(below).collect(),
            highway: (0..w.layers).map(highway).collect(),
            query: (w.attention != Attention::None).then(|| Packed::new(of("decoder.attn.query", w.hidden))),
            sentinel: (w.attention == Attention::Adaptive).then(|| SentinelWeights::new(self)),
        }
    }

    fn step_back(&self, encoded: &Encoded, now: Now<'_>, tape: &mut Tape, d_out: &[f32], flow: &mut Flow) {
        let (w, hidden, n) = (self.wiring, self.wiring.hidden, now.n);
        let d_out = &d_out[now.range(w.out())];
        let mut d_handed = columns(d_out, w.out(), 0, hidden);
        let mut d_context = columns(d_out, w.out(), hidden, w.context());
        if w.looks == Looks::After {
            self.own_look_back(encoded, now, tape, &d_context, flow);
        }
        for layer in (0..w.layers).rev() {
            let mut dx = self.joined_back(layer, now, &d_handed, &mut tape.layers[layer], flow);
            self.cell_back_at(layer, now, &mut tape.layers[layer], flow);
            let kept = &tape.layers[layer];
            let d_gates = View::new(&kept.gates[now.range(w.gates())], w.gates());
            let weight = (&flow.weights.below[layer], 0);
            if let Some(weights) = flow.weights.sentinel.as_ref().filter(|_| layer == w.top()) {
                let dx = (layer > 0).then_some(&mut dx[..]);
                self.open_back(
                    (&flow.sentinel, weights),
                    (now.from, n),
                    dx,
                    &mut flow.h[layer][..n * hidden],
                );
            }
            if layer > 0 {
                gemm_packed(&mut dx, d_gates, weight, true);
                d_handed = columns(&dx, w.input(layer), w.below(), hidden);
                if let Some(mask) = &kept.mask {
                    math::multiply(&mut d_handed, &mask[now.range(hidden)]);
                }
                if w.looks == Looks::Between {
                    d_context = columns(&dx, w.input(layer), 0, w.dim);
                    self.look_back(encoded, now, tape, &d_context, flow);
                }
            } else if w.looks == Looks::Between {
                gemm_packed(&mut flow.h[1][..n * hidden], d_gates, weight, true);
            } else if w.looks == Looks::Before {
                gemm_packed(&mut d_context, d_gates, weight, true);
                self.look_back(encoded, now, tape, &d_context, flow);
            }
        }
    }

    /// Backward of [`Recurrent::joined`]: adds to the gradient of the layer's new state, and returns that of its input.
    fn joined_back(
        &self,
        layer: usize,
        now: Now<'_>,
        d_handed: &[f32],
        kept: &mut LayerTape,
        flow: &mut Flow,
    ) -> Vec<f32> {
        let (w, hidden) = (self.wiring, self.wiring.hidden);
        let dh = &mut flow.h[layer][..now.n * hidden];
        if layer == 0 {
            math::add_row(dh, d_handed);
            return Vec::new();
        }
        let Some(weight) = &flow.weights.highway[layer] else {
            math::add_row(dh, d_handed);
            let straight = w.between == Between::Residual;
            return if straight { d_handed.to_vec() } else { vec![0.0; now.n * w.input(layer)] };
        };
        let (x, h) = (&kept.x[now.range(hidden)], &kept.h[now.range(hidden)]);
        let gates = &mut kept.highway[now.range(hidden)];
        let mut dx = vec![0.0; d_handed.len()];
        for i in 0..dx.len() {
            let (d, gate) = (d_handed[i], gates[i]);
            dh[i] += d * gate;
            dx[i] = d * (1.0 - gate);
            gates[i] = d * (h[i] - x[i]) * gate * (1.0 - gate);
        }
        gemm_packed(&mut dx, View::new(gates, hidden), (weight, 0), true);
        dx
    }

    fn cell_back_at(&self, layer: usize, now: Now<'_>, kept: &mut LayerTape, flow: &mut Flow) {
        let (w, cells) = (self.wiring, now.range(self.wiring.hidden));
        let lstm = w.cell == Cell::Lstm;
        let (c_old, c) =
            if lstm { (&kept.c_old[cells.clone()], &kept.c[cells.clone()]) } else { (&[][..], &[][..]) };
        let around = Around { h_old: &kept.h_old[cells], c_old, c };
        let state_gates = if w.parts_apart() { &mut kept.state_gates[now.range(w.gates())] } else { &mut [] };
        let step = Step {
            rows: (now.from, now.n),
            gates: &mut kept.gates[now.range(w.gates())],
            state_gates,
            norms: &mut kept.norms,
        };
        let dc = if lstm { &mut flow.c[layer][..now.n * w.hidden] } else { &mut [] };
        let states = (&mut flow.h[layer][..now.n * w.hidden], dc);
        self.cell_back(layer, step, &around, states, (&flow.weights.state[layer], &mut flow.norms[layer]));
    }

    /// Backward of attention, to the states that asked.
    fn look_back(&self, encoded: &Encoded, now: Now<'_>, tape: &Tape, d_context: &[f32], flow: &mut Flow) {
        let flows = (&mut flow.look, &mut flow.images);
        self.attend_back(encoded, now.images, d_context, None, (&tape.looked, now.from), flows);
        self.asking_back(now, flow);
    }

    /// The same with sentinels, which come from the top layer's cells.
    fn own_look_back(
        &self,
        encoded: &Encoded,
        now: Now<'_>,
        tape: &Tape,
        d_context: &[f32],
        flow: &mut Flow,
    ) {
        let (w, kept) = (self.wiring, &tape.sentinels);
        let own: Own<'_> = kept.own(w.dim, now.from, now.n);
        let (mut d_keys, mut d_values) = (vec![0.0; d_context.len()], vec![0.0; d_context.len()]);
        let d_own = Some((&own, [&mut d_keys[..], &mut d_values[..]]));
        let flows = (&mut flow.look, &mut flow.images);
        self.attend_back(encoded, now.images, d_context, d_own, (&tape.looked, now.from), flows);
        if let Some(weights) = &flow.weights.sentinel {
            let c = &tape.layers[w.top()].c[now.range(w.hidden)];
            let dc = &mut flow.c[w.top()][..now.n * w.hidden];
            let at = (kept, now.from);
            self.sentinels_back([&d_keys, &d_values], (c, dc), at, (&mut flow.sentinel, weights));
        }
        self.asking_back(now, flow);
    }

    fn asking_back(&self, now: Now<'_>, flow: &mut Flow) {
        let dh = &mut flow.h[self.wiring.asking()][..now.n * self.wiring.hidden];
        if let Some(weight) = &flow.weights.query {
            let d_queries = View::new(&flow.look.queries[now.range(self.wiring.dim)], self.wiring.dim);
            gemm_packed(dh, d_queries, (weight, 0), true);
        }
    }

    /// Gradients of the weights of cells, highways, attention and sentinels.
    fn weights_back(
        &self,
        tape: &Tape,
        (look, sentinel): (LookFlow, SentinelFlow),
        norms: Vec<NormGrads>,
        grads: &mut Grads,
    ) {
        let (w, gates) = (self.wiring, self.gates());
        for (layer, (kept, norms)) in tape.layers.iter().zip(norms).enumerate() {
            let by_state = if w.parts_apart() { &kept.state_gates } else { &kept.gates };
            let mut add = |leaf: &str, gradient: Vec<f32>| {
                grads.add(self.params.id(&format!("decoder.rnn.{layer}.{leaf}")), gradient);
            };
            let sums = |rows: &[f32]| {
                let mut sums = vec![0.0; gates];
                math::column_sums(&mut sums, rows);
                sums
            };
            add("weight_ih", product(View::new(&kept.gates, gates).t(), View::new(&kept.x, w.input(layer))));
            add("weight_hh", product(View::new(by_state, gates).t(), View::new(&kept.h_old, w.hidden)));
            if !w.normed() {
                add("bias_ih", sums(&kept.gates));
                add("bias_hh", sums(by_state));
            }
            norms.hand_over(self, layer, grads);
            if !kept.highway.is_empty() {
                let name = format!("decoder.rnn.{layer}.highway");
                weights_back(self.params, &name, &kept.x, &kept.highway, grads);
            }
        }
        let (asking, top) = (&tape.layers[w.asking()], &tape.layers[w.top()]);
        if w.attention != Attention::None {
            let h = if w.looks == Looks::Before { &asking.h_old } else { &asking.h };
            self.look_weights_back(&tape.looked, h, look, grads);
        }
        if w.attention == Attention::Adaptive {
            self.sentinel_weights_back(&tape.sentinels, &sentinel, (&top.x, &top.h_old), grads);
        }
    }

    /// Gradient of first states before tanh, `[images, layers · hidden]`.
    fn first_back(&self, first: &[f32], images: &[usize], flow: &[Vec<f32>]) -> Vec<f32> {
        let hidden = self.wiring.hidden;
        let mut sum = vec![0.0; first.len()];
        if sum.is_empty() {
            return sum;
        }
        for (layer, d) in flow.iter().enumerate() {
            for (image, d) in images.iter().zip(d.chunks_exact(hidden)) {
                math::add_row(&mut sum[(image * self.wiring.layers + layer) * hidden..][..hidden], d);
            }
        }
        sum.iter_mut().zip(first).for_each(|(s, h)| *s *= 1.0 - h * h);
        sum
    }

    /// Gradients of the embeddings, and of the image where it stands beside words or before them.
    fn words_back(&self, plan: &Plan, tape: &Tape, flow: &mut Flow, grads: &mut Grads) {
        let (w, embed, known) = (self.wiring, self.wiring.embed, self.wiring.known());
        let first = &tape.layers[0];
        let weight = View::new(self.rnn(0, "weight_ih"), w.input(0)).columns(known.start, known.end);
        let mut dx = product(View::new(&first.gates, self.gates()), weight);
        if w.asks_for_words() {
            // The sentinel's gate reads the first input too.
            let weight = View::new(self.params.values("decoder.attn.gate_x.weight"), known.len());
            math::gemm(&mut dx, View::new(&flow.sentinel.gate, w.hidden), weight, true);
        }
        let mut table = vec![0.0; self.params.values("decoder.embed.weight").len()];
        let (word_at, shown) = (w.word() - known.start, w.shown());
        let beside = if w.image == Image::Pooled { &mut flow.images.pooled } else { &mut flow.images.word };
        for ((p, row), dx) in plan.rows().enumerate().zip(dx.chunks_exact_mut(known.len())) {
            let image = plan.images[row];
            if !shown.is_empty() {
                let of_image = &dx[shown.start - known.start..][..shown.len()];
                math::add_row(&mut beside[image * shown.len()..][..shown.len()], of_image);
            }
            let words = &mut dx[word_at..][..embed];
            match plan.words[p] {
                Some(word) => {
                    if let Some(mask) = &first.mask {
                        math::multiply(words, &mask[p * embed..(p + 1) * embed]);
                    }
                    math::add_row(&mut table[word as usize * embed..][..embed], words);
                }
                None => math::add_row(&mut beside[image * embed..][..embed], words),
            }
        }
        grads.add(self.params.id("decoder.embed.weight"), table);
    }
}
