//! One cell on the rows of a step, forward and backward.

use super::Recurrent;
use crate::math::{self, Packed, View, gemm_packed};
use crate::params::Grads;
use capwright_blueprint::language::Cell;

/// Layer norms of the gates' parts and of the cell: rows less their mean over their deviation, and one over the deviation.
#[derive(Default)]
pub(super) struct Norms {
    input: Normed,
    state: Normed,
    cell: Normed,
}

#[derive(Default)]
struct Normed {
    unit: Vec<f32>,
    scale: Vec<f32>,
}

impl Normed {
    fn new(values: usize, width: usize) -> Self {
        Self { unit: vec![0.0; values], scale: vec![0.0; values / width] }
    }

    /// The values of some rows of `wide`, and their scales.
    fn rows(&mut self, (from, n): (usize, usize), (wide, width): (usize, usize)) -> (&mut [f32], &mut [f32]) {
        let scales = wide / width;
        (&mut self.unit[from * wide..][..n * wide], &mut self.scale[from * scales..][..n * scales])
    }
}

/// What a step has of a layer: the input's part of its gates and, where it stands apart, the state's. They become activated; of a
/// GRU, the state's part keeps its values before activation.
pub(super) struct Step<'a> {
    /// First row of the step in the norms, and the number of rows.
    pub rows: (usize, usize),
    pub gates: &'a mut [f32],
    pub state_gates: &'a mut [f32],
    pub norms: &'a mut Norms,
}

/// States before and cells around a step, as backward reads them.
pub(super) struct Around<'a> {
    pub h_old: &'a [f32],
    pub c_old: &'a [f32],
    pub c: &'a [f32],
}

/// Gradients of the layer norms of one cell: weight and bias of each.
pub(super) struct NormGrads {
    input: [Vec<f32>; 2],
    state: [Vec<f32>; 2],
    cell: [Vec<f32>; 2],
}

impl Norms {
    /// For some rows; empty where the cell has no norms.
    pub(super) fn new(decoder: &Recurrent<'_>, rows: usize) -> Self {
        let (hidden, gates) = (decoder.wiring.hidden, rows * decoder.gates());
        if !decoder.wiring.normed() {
            return Self::default();
        }
        let cell = if decoder.wiring.cell == Cell::Lstm { rows * hidden } else { 0 };
        Self {
            input: Normed::new(gates, hidden),
            state: Normed::new(gates, hidden),
            cell: Normed::new(cell, hidden),
        }
    }
}

impl NormGrads {
    pub(super) fn new(decoder: &Recurrent<'_>) -> Self {
        let (hidden, gates) = (decoder.wiring.hidden, decoder.gates());
        let normed = decoder.wiring.normed();
        let both = |n: usize| if normed { [vec![0.0; n], vec![0.0; n]] } else { [Vec::new(), Vec::new()] };
        let cell = if decoder.wiring.cell == Cell::Lstm { hidden } else { 0 };
        Self { input: both(gates), state: both(gates), cell: both(cell) }
    }

    pub(super) fn hand_over(self, decoder: &Recurrent<'_>, layer: usize, grads: &mut Grads) {
        for (name, [weight, bias]) in [("ih", self.input), ("hh", self.state), ("c", self.cell)] {
            if !weight.is_empty() {
                let id = |leaf: &str| decoder.params.id(&format!("decoder.rnn.{layer}.norm_{name}.{leaf}"));
                grads.add(id("weight"), weight);
                grads.add(id("bias"), bias);
            }
        }
    }
}

impl Recurrent<'_> {
    /// One cell; `h` and the cell `c` of an LSTM become the new states.
    pub(super) fn advance(&self, layer: usize, step: Step<'_>, h: &mut [f32], c: &mut [f32]) {
        let hidden = self.wiring.hidden;
        let weight = (self.packed(layer, "weight_hh"), 0);
        let Step { rows, gates, state_gates, norms } = step;
        if self.wiring.normed() {
            self.norm(layer, "norm_ih", &mut norms.input, rows, gates);
            gemm_packed(state_gates, View::new(h, hidden), weight, false);
            self.norm(layer, "norm_hh", &mut norms.state, rows, state_gates);
            if self.wiring.cell == Cell::Lstm {
                math::add_row(gates, state_gates);
            }
        } else {
            let lstm = self.wiring.cell == Cell::Lstm;
            let from_state = if lstm { &mut *gates } else { &mut *state_gates };
            gemm_packed(from_state, View::new(h, hidden), weight, lstm);
            math::add_bias(from_state, self.rnn(layer, "bias_hh"));
        }
        self.activate(gates, state_gates, h, c);
        if self.wiring.normed() && self.wiring.cell == Cell::Lstm {
            h.copy_from_slice(c);
            self.norm(layer, "norm_c", &mut norms.cell, rows, h);
            math::tanh_all(h);
            let open = gates.chunks_exact(self.gates()).map(|gates| &gates[3 * hidden..]);
            h.chunks_exact_mut(hidden).zip(open).for_each(|(h, open)| math::multiply(h, open));
        }
    }

    fn activate(&self, gates: &mut [f32], state_gates: &[f32], h: &mut [f32], c: &mut [f32]) {
        let (hidden, wide) = (self.wiring.hidden, self.gates());
        let values = gates.len();
        let rows = gates.chunks_exact_mut(wide).zip(h.chunks_exact_mut(hidden));
        match self.wiring.cell {
            Cell::Lstm => {
                let rows = rows.zip(c.chunks_exact_mut(hidden));
                math::each(values, rows, |((gates, h), c)| math::lstm_cell(gates, c, h));
            }
            Cell::Gru => {
                let rows = rows.zip(state_gates.chunks_exact(wide));
                math::each(values, rows, |((gates, h), state_gates)| math::gru_cell(gates, state_gates, h));
            }
        }
    }

    /// Norms rows in place, each gate by itself.
    fn norm(&self, layer: usize, name: &str, kept: &mut Normed, rows: (usize, usize), x: &mut [f32]) {
        let value = |leaf: &str| self.rnn(layer, &format!("{name}.{leaf}"));
        let (weight, bias, hidden) = (value("weight"), value("bias"), self.wiring.hidden);
        let (unit, scale) = kept.rows(rows, (weight.len(), hidden));
        unit.copy_from_slice(x);
        math::layer_norm(x, unit, scale, weight, bias, hidden);
    }

    /// Backward of [`Recurrent::advance`]: gates become the gradients of the input's and of the state's part, `dh` and `dc`, those
    /// of the new states, become those of the old ones. `weight`: of the state.
    pub(super) fn cell_back(
        &self,
        layer: usize,
        step: Step<'_>,
        around: &Around<'_>,
        (dh, dc): (&mut [f32], &mut [f32]),
        (weight, norms): (&Packed, &mut NormGrads),
    ) {
        let (hidden, wide) = (self.wiring.hidden, self.gates());
        let Step { rows, gates, state_gates, norms: kept } = step;
        let lstm = self.wiring.cell == Cell::Lstm;
        if lstm && self.wiring.normed() {
            self.normed_lstm_back(layer, (rows, gates), &mut kept.cell, around, (dh, dc), &mut norms.cell);
            state_gates.copy_from_slice(gates);
        } else if lstm {
            let cells = around.c_old.chunks_exact(hidden).zip(around.c.chunks_exact(hidden));
            let flows = dh.chunks_exact(hidden).zip(dc.chunks_exact_mut(hidden));
            let (values, rows) = (gates.len(), gates.chunks_exact_mut(wide).zip(cells).zip(flows));
            math::each(values, rows, |((gates, (c_old, c)), (dh, dc))| {
                math::lstm_back(gates, c_old, c, dh, dc)
            });
        } else {
            let values = gates.len();
            let parts = gates.chunks_exact_mut(wide).zip(state_gates.chunks_exact_mut(wide));
            let states = around.h_old.chunks_exact(hidden).zip(dh.chunks_exact_mut(hidden));
            math::each(values, parts.zip(states), |((x, y), (h_old, dh))| math::gru_back(x, y, h_old, dh));
        }
        if self.wiring.normed() {
            self.norm_back(layer, "norm_ih", &mut kept.input, rows, gates, &mut norms.input);
            self.norm_back(layer, "norm_hh", &mut kept.state, rows, state_gates, &mut norms.state);
        }
        // An LSTM's old state acts through the gates alone.
        let by_state: &[f32] = if self.wiring.parts_apart() { state_gates } else { gates };
        gemm_packed(dh, View::new(by_state, wide), (weight, 0), !lstm);
    }

    /// The gates of an LSTM that shows its cell normed: `h = o · tanh(norm_c(c))`.
    fn normed_lstm_back(
        &self,
        layer: usize,
        (rows, gates): ((usize, usize), &mut [f32]),
        kept: &mut Normed,
        around: &Around<'_>,
        (dh, dc): (&[f32], &mut [f32]),
        grads: &mut [Vec<f32>; 2],
    ) {
        let (hidden, wide) = (self.wiring.hidden, self.gates());
        let mut shown = around.c.to_vec();
        self.norm(layer, "norm_c", kept, rows, &mut shown);
        math::tanh_all(&mut shown);
        let (mut d_shown, mut d_open) = (vec![0.0; dh.len()], vec![0.0; dh.len()]);
        for row in 0..rows.1 {
            for j in 0..hidden {
                let (at, open) = (row * hidden + j, gates[row * wide + 3 * hidden + j]);
                d_shown[at] = dh[at] * open * (1.0 - shown[at] * shown[at]);
                d_open[at] = dh[at] * shown[at] * open * (1.0 - open);
            }
        }
        self.norm_back(layer, "norm_c", kept, rows, &mut d_shown, grads);
        math::add_row(dc, &d_shown);
        // Nothing more comes from the state: with no gradient there, the rest of the cell is the plain one's.
        let nothing = vec![0.0; hidden];
        let cells = around.c_old.chunks_exact(hidden).zip(around.c.chunks_exact(hidden));
        let flows = dc.chunks_exact_mut(hidden).zip(d_open.chunks_exact(hidden));
        for ((gates, (c_old, c)), (dc, d_open)) in gates.chunks_exact_mut(wide).zip(cells).zip(flows) {
            math::lstm_back(gates, c_old, c, &nothing, dc);
            gates[3 * hidden..].copy_from_slice(d_open);
        }
    }

    fn norm_back(
        &self,
        layer: usize,
        name: &str,
        kept: &mut Normed,
        rows: (usize, usize),
        d: &mut [f32],
        [d_weight, d_bias]: &mut [Vec<f32>; 2],
    ) {
        let weight = self.rnn(layer, &format!("{name}.weight"));
        let (unit, scale) = kept.rows(rows, (weight.len(), self.wiring.hidden));
        math::layer_norm_back(d, unit, scale, weight, d_weight, d_bias, self.wiring.hidden);
    }
}
