//! All steps of teacher forcing, forward.

use super::attention::Looked;
use super::cell::{Norms, Step};
use super::encoded::Encoded;
use super::sentinel::Sentinels;
use super::wiring::{Image, Looks, Wiring};
use super::{Recurrent, gathered, put};
use crate::decoder::CaptionBatch;
use crate::math::{self, Dropout, View, gemm_packed};
use capwright_blueprint::language::{Attention, Between, Cell};

/// States of rows: for each layer `[rows, hidden]`; GRUs have no cells.
#[derive(Clone)]
pub(super) struct States {
    pub h: Vec<Vec<f32>>,
    pub c: Vec<Vec<f32>>,
}

impl States {
    /// First states of rows that show these images.
    pub(super) fn first(wiring: &Wiring, encoded: &Encoded, images: &[usize]) -> Self {
        let width = wiring.hidden;
        let of_layer = |all: &[f32], layer: usize| -> Vec<f32> {
            if all.is_empty() {
                return vec![0.0; images.len() * width];
            }
            let of_image = |image: &usize| &all[(image * wiring.layers + layer) * width..][..width];
            gathered(images.iter().map(of_image), width)
        };
        let all = |values: &[f32]| (0..wiring.layers).map(|l| of_layer(values, l)).collect();
        let c =
            if wiring.cell == Cell::Lstm { all(&encoded.first_c) } else { vec![Vec::new(); wiring.layers] };
        Self { h: all(&encoded.first_h), c }
    }

    /// Keeps the given rows of `width` values, in that order; a row may be repeated.
    pub(super) fn select(&mut self, rows: &[usize], width: usize) {
        for state in self.h.iter_mut().chain(&mut self.c).filter(|state| !state.is_empty()) {
            *state = gathered(rows.iter().map(|row| &state[row * width..][..width]), width);
        }
    }
}

/// Positions in packed order: which rows are alive at each step, what they read, and what they look at.
pub(super) struct Plan {
    /// Rows alive at each step, falling.
    pub active: Vec<usize>,
    /// First position of each step, and the number of positions.
    pub offsets: Vec<usize>,
    /// Image of each row.
    pub images: Vec<usize>,
    /// Words read at each position; `None`: the image itself, as the first token.
    pub words: Vec<Option<u32>>,
}

impl Plan {
    /// Teacher forcing over a batch.
    pub(super) fn of_batch(wiring: &Wiring, batch: &CaptionBatch) -> Self {
        let images: Vec<usize> = batch.rows.iter().map(|row| row.image).collect();
        let (mut active, mut words) = (Vec::new(), Vec::new());
        if wiring.image == Image::FirstWord {
            active.push(images.len());
            words.resize(images.len(), None);
        }
        for t in 0..batch.steps() {
            active.push(batch.active(t));
            words.extend((0..batch.active(t)).map(|row| Some(batch.input(row, t))));
        }
        let mut offsets = vec![0];
        active.iter().for_each(|n| offsets.push(offsets[offsets.len() - 1] + n));
        Self { active, offsets, images, words }
    }

    /// Positions in all.
    pub(super) fn positions(&self) -> usize {
        self.words.len()
    }

    /// Each position with its row.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> {
        self.active.iter().flat_map(|n| 0..*n)
    }
}

/// What one layer keeps for backward, packed.
pub(super) struct LayerTape {
    /// What the cell read: `[positions, input]`.
    pub x: Vec<f32>,
    /// Activated gates, `[positions, gates · hidden]`.
    pub gates: Vec<f32>,
    /// Where it stands apart, the state's part of the gates before activation.
    pub state_gates: Vec<f32>,
    pub norms: Norms,
    /// State before the step, `[positions, hidden]`, and after it where something besides the next step reads it.
    pub h_old: Vec<f32>,
    pub h: Vec<f32>,
    /// LSTM: cell before and after the step.
    pub c_old: Vec<f32>,
    pub c: Vec<f32>,
    /// The gate of a highway.
    pub highway: Vec<f32>,
    /// Dropout of the word in layer 0, above of what the layer below handed on.
    pub mask: Option<Vec<f32>>,
}

/// What an unrolling keeps for backward.
pub(super) struct Tape {
    pub layers: Vec<LayerTape>,
    pub looked: Looked,
    pub sentinels: Sentinels,
    /// What the vocabulary layer reads after dropout, `[positions, hidden + context]`.
    pub out: Vec<f32>,
    pub out_mask: Option<Vec<f32>>,
}

impl Recurrent<'_> {
    /// Runs all steps of the plan.
    pub(super) fn unroll(&self, encoded: &Encoded, plan: &Plan, dropout: &mut Dropout) -> Tape {
        let mut states = States::first(self.wiring, encoded, &plan.images);
        let mut tape = self.start(encoded, plan, dropout);
        let mut known = self.project_known(&tape);
        for step in 0..plan.active.len() {
            self.step(encoded, plan, step, &mut states, &mut tape, &mut known);
        }
        if let Some(mask) = &tape.out_mask {
            math::multiply(&mut tape.out, mask);
        }
        tape
    }

    /// Allocates a tape and fills in words, images and dropout masks.
    fn start(&self, encoded: &Encoded, plan: &Plan, dropout: &mut Dropout) -> Tape {
        let (w, n) = (self.wiring, plan.positions());
        let zeros = |wanted: bool, width: usize| vec![0.0; if wanted { n * width } else { 0 }];
        let lstm = w.cell == Cell::Lstm;
        let mut layers = Vec::with_capacity(w.layers);
        for layer in 0..w.layers {
            let masked = if layer == 0 { w.embed } else { w.hidden };
            let asks_anew = layer == w.asking() && matches!(w.looks, Looks::Between | Looks::After);
            let highway = layer > 0 && w.between == Between::Highway;
            layers.push(LayerTape {
                x: zeros(true, w.input(layer)),
                gates: zeros(true, w.gates()),
                state_gates: zeros(w.parts_apart(), w.gates()),
                norms: Norms::new(self, n),
                h_old: zeros(true, w.hidden),
                h: zeros(asks_anew || highway, w.hidden),
                c_old: zeros(lstm, w.hidden),
                c: zeros(lstm, w.hidden),
                highway: zeros(highway, w.hidden),
                mask: dropout.mask(n * masked, w.dropout_pct),
            });
        }
        self.fill_words(encoded, plan, &mut layers[0]);
        let sentinels =
            if w.attention == Attention::Adaptive { Sentinels::new(self, n) } else { Sentinels::default() };
        Tape {
            layers,
            looked: Looked::new(self, encoded, n),
            sentinels,
            out: zeros(true, w.out()),
            out_mask: dropout.mask(n * w.out(), w.dropout_pct),
        }
    }

    fn fill_words(&self, encoded: &Encoded, plan: &Plan, first: &mut LayerTape) {
        let (w, embed, shown) = (self.wiring, self.wiring.embed, self.wiring.shown());
        let table = self.params.values("decoder.embed.weight");
        let rows = plan.rows().zip(first.x.chunks_exact_mut(w.input(0)));
        for (p, (row, x)) in rows.enumerate() {
            let image = plan.images[row];
            if !shown.is_empty() {
                x[shown.clone()].copy_from_slice(encoded.shown(w, image));
            }
            let x = &mut x[w.word()..][..embed];
            match plan.words[p] {
                Some(word) => x.copy_from_slice(&table[word as usize * embed..][..embed]),
                None => x.copy_from_slice(&encoded.word[image * embed..][..embed]),
            }
            if let (Some(mask), Some(_)) = (&first.mask, plan.words[p]) {
                math::multiply(x, &mask[p * embed..(p + 1) * embed]);
            }
        }
    }

    /// What words and images give to the first layer's gates, for all positions, with its bias.
    fn project_known(&self, tape: &Tape) -> Vec<f32> {
        let (first, known) = (&tape.layers[0], self.wiring.known());
        let mut gates = vec![0.0; first.gates.len()];
        let x = View::new(&first.x, self.wiring.input(0)).columns(known.start, known.end);
        self.read(0, x, known.start, &mut gates);
        gates
    }

    fn step(
        &self,
        encoded: &Encoded,
        plan: &Plan,
        step: usize,
        states: &mut States,
        tape: &mut Tape,
        known: &mut [f32],
    ) {
        let (w, hidden) = (self.wiring, self.wiring.hidden);
        let (n, from) = (plan.active[step], plan.offsets[step]);
        let range = |width: usize| from * width..(from + n) * width;
        let Tape { layers, looked, sentinels, out, .. } = tape;
        let ask =
            |h: &[f32], looked: &mut Looked| self.attend(encoded, &plan.images[..n], h, None, (looked, from));
        let mut context = Vec::new();
        if w.looks == Looks::Before {
            context = ask(&states.h[w.top()][..n * hidden], looked);
        }
        let mut handed = Vec::new();
        for layer in 0..w.layers {
            let (kept, input) = (&mut layers[layer], w.input(layer));
            let x = &mut kept.x[range(input)];
            if layer == 0 {
                let moved = if w.looks == Looks::Between { &states.h[1][..n * hidden] } else { &context[..] };
                self.move_on(x, moved, &mut known[range(w.gates())]);
                kept.gates[range(w.gates())].copy_from_slice(&known[range(w.gates())]);
            } else {
                if w.looks == Looks::Between {
                    put(x, input, 0, &ask(&states.h[0][..n * hidden], looked), w.dim);
                }
                if let Some(mask) = &kept.mask {
                    math::multiply(&mut handed, &mask[range(hidden)]);
                }
                put(x, input, w.below(), &handed, hidden);
                self.read(layer, View::new(x, input), 0, &mut kept.gates[range(w.gates())]);
            }
            if w.looks == Looks::After && layer == w.top() {
                self.open(x, &states.h[layer][..n * hidden], (sentinels, from));
            }
            handed = self.cell(layer, (from, n), states, kept);
        }
        put(&mut out[range(w.out())], w.out(), 0, &handed, hidden);
        if w.looks == Looks::After {
            self.sentinels(&states.c[w.top()][..n * hidden], (sentinels, from));
            let (own, h) = (sentinels.own(w.dim, from, n), &states.h[w.top()][..n * hidden]);
            context = self.attend(encoded, &plan.images[..n], h, Some(&own), (looked, from));
        }
        put(&mut out[range(w.out())], w.out(), hidden, &context, w.context());
    }

    /// What comes from the step before: into the first layer's input, and its part of the gates.
    fn move_on(&self, x: &mut [f32], moved: &[f32], gates: &mut [f32]) {
        let (moving, input) = (self.wiring.moving(), self.wiring.input(0));
        if !moving.is_empty() {
            put(x, input, moving.start, moved, moving.len());
            let x = View::new(moved, moving.len());
            gemm_packed(gates, x, (self.packed(0, "weight_ih"), moving.start), true);
        }
    }

    /// One cell on the rows of a step, whose part of the gates from the input is in place; what it hands on.
    fn cell(
        &self,
        layer: usize,
        rows: (usize, usize),
        states: &mut States,
        kept: &mut LayerTape,
    ) -> Vec<f32> {
        let (w, (from, n)) = (self.wiring, rows);
        let range = |width: usize| from * width..(from + n) * width;
        let cells = range(w.hidden);
        let h = &mut states.h[layer][..n * w.hidden];
        kept.h_old[cells.clone()].copy_from_slice(h);
        let lstm = w.cell == Cell::Lstm;
        let c = if lstm { &mut states.c[layer][..n * w.hidden] } else { &mut [] };
        if lstm {
            kept.c_old[cells.clone()].copy_from_slice(c);
        }
        let state_gates = if w.parts_apart() { &mut kept.state_gates[range(w.gates())] } else { &mut [] };
        let gates = &mut kept.gates[range(w.gates())];
        self.advance(layer, Step { rows, gates, state_gates, norms: &mut kept.norms }, h, c);
        if lstm {
            kept.c[cells.clone()].copy_from_slice(c);
        }
        if !kept.h.is_empty() {
            kept.h[cells.clone()].copy_from_slice(h);
        }
        if layer == 0 {
            return h.to_vec();
        }
        let (handed, gate) = self.joined(layer, &kept.x[range(w.input(layer))], h);
        if !gate.is_empty() {
            kept.highway[cells].copy_from_slice(&gate);
        }
        handed
    }
}
