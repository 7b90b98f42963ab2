//! The trained trunk: a graph over a batch of images, forward and backward.
//!
//! Maps lie channel by channel, `[c, n, h, w]`, so that what is learned for a channel meets all its values in one row, and layers
//! over channels are single matrix products over the whole batch. Each op has its two passes written out; gradients are held
//! against PyTorch's. Results do not depend on the number of threads.

mod conv;
mod learned;
mod maps;
mod norm;
mod stats;
#[cfg(test)]
mod tests;

use crate::params::{Grads, Params};
use crate::vision::moves;
use crate::vision::sight::Sight;
use capwright_blueprint::{Graph, Node, Op, Shape, param_name};
use norm::Moments;
pub(crate) use norm::over_channels;
pub use stats::Stats;

/// Shapes around an op, and how many images there are.
#[derive(Clone, Copy)]
struct Place {
    from: Shape,
    to: Shape,
    images: usize,
}

impl Place {
    /// Cells of all images.
    fn columns(&self) -> usize {
        self.images * self.from.h * self.from.w
    }
}

/// The name of the learned biases of windows.
const TABLE: &str = "relative_position_bias_table";

/// What a pass keeps of a node for its way back, beside its value.
enum Kept {
    Nothing,
    Moments(Moments),
    /// The same, of the batch itself.
    BatchMoments(Moments),
    /// Probabilities of attention.
    Attention(Vec<f32>),
}

/// A pass over a batch, ready to go back.
pub struct Pass {
    images: usize,
    values: Vec<Option<Vec<f32>>>,
    kept: Vec<Kept>,
}

/// How a batch goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch norms use the statistics of the batch, and the running ones follow; all is kept for the way back.
    Training,
    /// Batch norms use the running statistics; all is kept for the way back.
    Fixed,
    /// Batch norms use the running statistics; nothing is kept, and there is no way back.
    Inference,
}

/// Runs `graph` on a batch `x`, `[n, c, h, w]`.
///
/// In training, batch norm uses the statistics of the batch and moves `stats` towards them (momentum 0.1, unbiased variance, as
/// PyTorch); in other modes, and always where it is fixed, it uses `stats`. Parameters come from `params` by name.
///
/// # Panics
/// Where `params` lack a parameter of the graph or `x` is no batch of its inputs: a bug of the caller.
pub fn forward(graph: &Graph, params: &Params, stats: &mut Stats, x: &[f32], mode: Mode) -> Pass {
    let input = graph.input_shape();
    assert_eq!(x.len() % input.len(), 0, "a batch of the graph's input");
    let images = x.len() / input.len();
    let nodes = graph.nodes();
    let mut last_use: Vec<usize> = (0..nodes.len()).collect();
    for (i, node) in nodes.iter().enumerate() {
        node.inputs.iter().for_each(|j| last_use[*j] = i);
    }
    last_use[graph.output()] = nodes.len();
    let mut pass = Pass { images, values: vec![None; nodes.len()], kept: Vec::new() };
    pass.values[0] = Some(swapped(x, images, input.c, input.h * input.w));
    pass.kept.push(Kept::Nothing);
    for (i, node) in nodes.iter().enumerate().skip(1) {
        let place = pass.place(graph, node);
        let (value, kept) = node_forward(node, place, graph, params, stats, &pass.values, mode);
        pass.values[i] = Some(value);
        pass.kept.push(kept);
        if mode == Mode::Inference {
            node.inputs.iter().filter(|j| last_use[**j] == i).for_each(|j| pass.values[*j] = None);
            pass.kept[i] = Kept::Nothing;
        }
    }
    pass
}

/// `[a, b, size]` as `[b, a, size]`.
fn swapped(x: &[f32], a: usize, b: usize, size: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for j in 0..b {
        (0..a).for_each(|i| out.extend_from_slice(&x[(i * b + j) * size..][..size]));
    }
    out
}

/// A matrix of so many columns, turned: some columns at a time, so that both sides stay in the cache.
fn turned(x: &[f32], columns: usize) -> Vec<f32> {
    let rows = x.len() / columns;
    let mut out = vec![0.0; x.len()];
    for first in (0..columns).step_by(16) {
        let width = 16.min(columns - first);
        for row in 0..rows {
            let values = &x[row * columns + first..][..width];
            values.iter().enumerate().for_each(|(i, x)| out[(first + i) * rows + row] = *x);
        }
    }
    out
}

/// A value that is there: graphs are in evaluation order.
fn value(values: &[Option<Vec<f32>>], id: usize) -> &[f32] {
    values[id].as_deref().expect("inputs have smaller ids and are kept until their last use")
}

fn node_forward(
    node: &Node,
    place: Place,
    graph: &Graph,
    params: &Params,
    stats: &mut Stats,
    values: &[Option<Vec<f32>>],
    mode: Mode,
) -> (Vec<f32>, Kept) {
    let get = |leaf: &str| params.values(&param_name(&node.name, leaf));
    let inputs: Vec<&[f32]> = node.inputs.iter().map(|id| value(values, *id)).collect();
    let x = inputs[0];
    let y = match node.op {
        Op::Conv(c) => {
            let mut y = conv::forward(&c, place, get("weight"), x);
            if c.bias {
                learned::add_to_channels(&mut y, get("bias"));
            }
            y
        }
        Op::BatchNorm { eps_micro, fixed, .. } => {
            let batch = mode == Mode::Training && !fixed;
            let moments = batch_moments(node, eps(eps_micro), stats, x, batch);
            let y = norm::by_channel(x, &moments, get("weight"), get("bias"));
            return (y, if batch { Kept::BatchMoments(moments) } else { Kept::Moments(moments) });
        }
        Op::LayerNorm { eps_micro, .. } => {
            let (y, moments) = norm::over_channels(x, get("weight"), get("bias"), eps(eps_micro));
            return (y, Kept::Moments(moments));
        }
        Op::GroupNorm { groups, eps_micro, .. } => {
            let learned = (get("weight"), get("bias"));
            let (y, moments) = norm::by_group(x, place, groups, learned, eps(eps_micro));
            return (y, Kept::Moments(moments));
        }
        Op::Attend { .. } | Op::WindowAttend { .. } => {
            let (y, weights) = sight(node.op, place.from).forward(x, place.images, table(node, params));
            return (y, Kept::Attention(weights));
        }
        Op::ClassToken { .. } => learned::with_token(x, params.values(&node.name), place.images),
        Op::Positions { channels, .. } => {
            learned::with_positions(x, params.values(&node.name), (channels, place.images))
        }
        Op::LayerScale { .. } => learned::scaled(x, get("layer_scale")),
        Op::MixCells { .. } => learned::mix_cells(x, get("weight"), get("bias")),
        Op::ChannelConv { .. } => learned::channel_conv(x, get("weight"), place.images),
        Op::Linear { bias, .. } => learned::linear(x, get("weight"), bias.then(|| get("bias")), place),
        Op::Act(act) => maps::activate(act, x),
        Op::Add => x.iter().zip(inputs[1]).map(|(x, y)| x + y).collect(),
        Op::Mul => gate(graph, node, place).times(x, inputs[1]),
        Op::Concat => inputs.concat(),
        Op::Stack => maps::stacked(&inputs),
        op if moves::only_moves(op) => maps::moved(op, place, x),
        op => maps::pooled(op, place, x),
    };
    (y, Kept::Nothing)
}

fn eps(micro: u32) -> f32 {
    (f64::from(micro) * 1e-6) as f32
}

fn gate(graph: &Graph, node: &Node, place: Place) -> maps::Gate {
    maps::Gate { shape: graph.shape(node.inputs[1]), map: place.from, images: place.images }
}

/// Which cells of a map attend to which.
fn sight(op: Op, map: Shape) -> Sight {
    match op {
        Op::WindowAttend { heads, window, shift } => Sight::windows(heads, map, window, shift),
        Op::Attend { heads } => Sight::whole(heads, map),
        _ => unreachable!("{op:?} attends to nothing"),
    }
}

/// Learned biases of windows.
fn table<'a>(node: &Node, params: &'a Params) -> &'a [f32] {
    match node.op {
        Op::WindowAttend { .. } => params.values(&param_name(&node.name, TABLE)),
        _ => &[],
    }
}

/// Mean and deviation that a batch norm uses: those of the batch, which the running ones follow, or the running ones.
fn batch_moments(node: &Node, eps: f32, stats: &mut Stats, x: &[f32], batch: bool) -> Moments {
    let name = |leaf: &str| param_name(&node.name, leaf);
    let (mean, var) = if batch {
        let (mean, var) = norm::of_batch(x, node.shape.c);
        let samples = (x.len() / node.shape.c) as f32;
        stats.update(&name("running_mean"), &mean, 1.0);
        stats.update(&name("running_var"), &var, samples / (samples - 1.0).max(1.0));
        (mean, var)
    } else {
        let running = |leaf: &str| stats.get(&name(leaf)).expect("statistics of this graph").to_vec();
        (running("running_mean"), running("running_var"))
    };
    Moments { mean, inverse: var.into_iter().map(|v| 1.0 / (v + eps).sqrt()).collect() }
}

/// Backward of any norm: gradients of the map, of weight and of bias.
fn norm_back(
    op: Op,
    place: Place,
    kept: &Kept,
    x: &[f32],
    weight: &[f32],
    d_y: Vec<f32>,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    match (op, kept) {
        (Op::LayerNorm { .. }, Kept::Moments(m)) => norm::over_channels_back(x, m, weight, d_y),
        (Op::GroupNorm { groups, .. }, Kept::Moments(m)) => {
            norm::by_group_back(x, place, groups, m, weight, d_y)
        }
        (_, Kept::Moments(m)) => norm::by_channel_back(x, m, weight, d_y, false),
        (_, Kept::BatchMoments(m)) => norm::by_channel_back(x, m, weight, d_y, true),
        _ => unreachable!("a norm keeps its moments"),
    }
}

impl Pass {
    fn place(&self, graph: &Graph, node: &Node) -> Place {
        Place { from: graph.shape(node.inputs[0]), to: node.shape, images: self.images }
    }

    /// The result, `[n, c, h, w]`.
    pub fn output(&self, graph: &Graph) -> Vec<f32> {
        let Shape { c, h, w } = graph.output_shape();
        swapped(value(&self.values, graph.output()), c, self.images, h * w)
    }

    /// The result as tokens, `[n, cells, c]`.
    pub fn tokens(&self, graph: &Graph) -> Vec<f32> {
        let (shape, x) = (graph.output_shape(), value(&self.values, graph.output()));
        let columns = self.images * shape.h * shape.w;
        turned(x, columns)
    }

    /// Adds the gradients of all parameters of the graph, from those of [`Pass::tokens`].
    ///
    /// # Panics
    /// Where the pass was [`Mode::Inference`]: a bug of the caller.
    pub fn backward(self, graph: &Graph, params: &Params, d_tokens: &[f32], grads: &mut Grads) {
        let channels = graph.output_shape().c;
        self.back(graph, params, turned(d_tokens, channels), grads, false);
    }

    /// From the gradients of the output as it lies here; those of the input, where wanted.
    fn back(
        mut self,
        graph: &Graph,
        params: &Params,
        d_output: Vec<f32>,
        grads: &mut Grads,
        of_input: bool,
    ) -> Option<Vec<f32>> {
        let nodes = graph.nodes();
        let mut back: Vec<Option<Vec<f32>>> = vec![None; nodes.len()];
        back[graph.output()] = Some(d_output);
        for (i, node) in nodes.iter().enumerate().skip(1).rev() {
            let Some(d_y) = back[i].take() else { continue };
            let wanted = of_input || node.inputs.iter().any(|j| *j != 0);
            let found = self.node_back((i, node), graph, params, d_y, grads, wanted);
            self.values[i] = None;
            for (j, d) in node.inputs.iter().zip(found).filter(|(j, _)| of_input || **j != 0) {
                match (&mut back[*j], d) {
                    (Some(sum), Some(d)) => sum.iter_mut().zip(&d).for_each(|(sum, d)| *sum += d),
                    (none @ None, d) => *none = d,
                    (Some(_), None) => {}
                }
            }
        }
        back[0].take()
    }

    /// Gradients of a node's inputs, for a convolution only where they are wanted; those of its parameters are added.
    fn node_back(
        &self,
        (id, node): (usize, &Node),
        graph: &Graph,
        params: &Params,
        d_y: Vec<f32>,
        grads: &mut Grads,
        wanted: bool,
    ) -> Vec<Option<Vec<f32>>> {
        let name = |leaf: &str| param_name(&node.name, leaf);
        let get = |leaf: &str| params.values(&name(leaf));
        let mut learn = |leaf: &str, d: Vec<f32>| grads.add(params.id(&name(leaf)), d);
        let place = self.place(graph, node);
        let inputs: Vec<&[f32]> = node.inputs.iter().map(|j| value(&self.values, *j)).collect();
        let x = inputs[0];
        let d_x = match node.op {
            Op::Conv(c) => {
                if c.bias {
                    learn("bias", learned::sums_of_channels(&d_y, c.output));
                }
                let (d_weight, d_x) = conv::backward(&c, place, get("weight"), x, &d_y, wanted);
                learn("weight", d_weight);
                return vec![d_x];
            }
            Op::BatchNorm { .. } | Op::LayerNorm { .. } | Op::GroupNorm { .. } => {
                let (d_x, d_weight, d_bias) =
                    norm_back(node.op, place, &self.kept[id], x, get("weight"), d_y);
                learn("weight", d_weight);
                learn("bias", d_bias);
                d_x
            }
            Op::Attend { .. } | Op::WindowAttend { .. } => {
                let Kept::Attention(weights) = &self.kept[id] else {
                    unreachable!("attention keeps its parts")
                };
                let (d_x, d_table) = sight(node.op, place.from).backward(x, place.images, weights, &d_y);
                if !d_table.is_empty() {
                    learn(TABLE, d_table);
                }
                d_x
            }
            Op::ClassToken { channels } => {
                let cells = 1 + place.from.h * place.from.w;
                let (d_x, d_token) = learned::with_token_back(&d_y, channels, cells);
                grads.add(params.id(&node.name), d_token);
                d_x
            }
            Op::Positions { channels, cells } => {
                let d_places = learned::positions_back(&d_y, (channels, cells), place.images);
                grads.add(params.id(&node.name), d_places);
                d_y
            }
            Op::LayerScale { .. } => {
                let (d_x, d_scale) = learned::scaled_back(x, get("layer_scale"), &d_y);
                learn("layer_scale", d_scale);
                d_x
            }
            Op::MixCells { h, w, .. } => {
                let (d_x, d_weight, d_bias) = learned::mix_cells_back(x, get("weight"), h * w, &d_y);
                learn("weight", d_weight);
                learn("bias", d_bias);
                d_x
            }
            Op::ChannelConv { .. } => {
                let (d_x, d_weight) = learned::channel_conv_back(x, get("weight"), place.images, &d_y);
                learn("weight", d_weight);
                d_x
            }
            Op::Linear { output, bias, .. } => {
                if bias {
                    learn("bias", learned::sums_of_channels(&d_y, output));
                }
                let (d_x, d_weight) = learned::linear_back(x, get("weight"), place, &d_y);
                learn("weight", d_weight);
                d_x
            }
            Op::Act(act) => maps::activate_back(act, x, value(&self.values, id), d_y),
            Op::Add => return vec![Some(d_y.clone()), Some(d_y)],
            Op::Mul => {
                let (d_x, d_gate) = gate(graph, node, place).times_back(x, inputs[1], &d_y);
                return vec![Some(d_x), Some(d_gate)];
            }
            Op::Concat => return maps::parted(&d_y, &inputs).map(Some).collect(),
            Op::Stack => return maps::unstacked(&d_y, inputs.len()).map(Some).collect(),
            op if moves::only_moves(op) => maps::moved_back(op, place, &d_y),
            op => maps::pooled_back(op, place, x, &d_y),
        };
        vec![Some(d_x)]
    }
}
