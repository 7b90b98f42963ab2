//! The trained trunk: a graph over a batch of images, forward and backward.
//!
//! Maps lie channel by channel, `[c, n, h, w]`, so that what is learned for a channel meets all its values in one row, and layers
//! over channels are single matrix products over the whole batch. Each op has its two passes written out; gradients are held
//! against PyTorch's. Results do not depend on the number of threads.

mod conv;
mod maps;
mod norm;
mod stats;
#[cfg(test)]
mod tests;

use crate::macs;
use crate::math::{View, product};
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
                add_to_channels(&mut y, get("bias"));
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
        Op::ClassToken { .. } => with_token(x, params.values(&node.name), place.images),
        Op::Positions { channels, .. } => {
            with_positions(x, params.values(&node.name), (channels, place.images))
        }
        Op::LayerScale { .. } => scaled(x, get("layer_scale")),
        Op::MixCells { cells, .. } => {
            let (weight, bias) = (View::new(get("weight"), cells), get("bias"));
            let mut y = product(View::new(x, cells), weight.t());
            y.chunks_exact_mut(bias.len()).for_each(|row| crate::math::add_row(row, bias));
            y
        }
        Op::ChannelConv { .. } => channel_conv(x, get("weight"), place.images),
        Op::Linear { bias, .. } => {
            let mut y = product(View::new(get("weight"), place.from.c), View::new(x, place.columns()));
            if bias {
                add_to_channels(&mut y, get("bias"));
            }
            y
        }
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

/// A learned cell before the cells of each image.
fn with_token(x: &[f32], token: &[f32], images: usize) -> Vec<f32> {
    let cells = x.len() / token.len() / images;
    let mut out = Vec::with_capacity(x.len() + token.len() * images);
    for (row, token) in x.chunks_exact(cells).enumerate().map(|(i, row)| (row, token[i / images])) {
        out.push(token);
        out.extend_from_slice(row);
    }
    out
}

/// Learned vectors `[cells, c]` added to the cells of each image.
fn with_positions(x: &[f32], places: &[f32], (channels, images): (usize, usize)) -> Vec<f32> {
    let mut out = x.to_vec();
    for (i, row) in out.chunks_exact_mut(places.len() / channels).enumerate() {
        let places = places[i / images..].iter().step_by(channels);
        row.iter_mut().zip(places).for_each(|(x, place)| *x += place);
    }
    out
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

fn add_to_channels(y: &mut [f32], bias: &[f32]) {
    let size = y.len() / bias.len();
    y.chunks_exact_mut(size).zip(bias).for_each(|(row, b)| row.iter_mut().for_each(|y| *y += b));
}

fn scaled(x: &[f32], by: &[f32]) -> Vec<f32> {
    let size = x.len() / by.len();
    let mut out = x.to_vec();
    out.chunks_exact_mut(size).zip(by).for_each(|(row, by)| row.iter_mut().for_each(|x| *x *= by));
    out
}

fn sums_of_channels(d: &[f32], channels: usize) -> Vec<f32> {
    d.chunks_exact(d.len() / channels).map(|row| norm::sum(row, |d| d)).collect()
}

/// Which channels each tap reads and makes: `(tap, from, to)`.
fn channel_taps(channels: usize, kernel: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..kernel).flat_map(move |tap| {
        let read = move |to: usize| (to + tap).checked_sub(kernel / 2).filter(|from| *from < channels);
        (0..channels).filter_map(move |to| Some((tap, read(to)?, to)))
    })
}

fn channel_conv(x: &[f32], weight: &[f32], images: usize) -> Vec<f32> {
    macs::add(x.len() * weight.len());
    let mut y = vec![0.0; x.len()];
    for (tap, from, to) in channel_taps(x.len() / images, weight.len()) {
        let row = &x[from * images..][..images];
        y[to * images..][..images].iter_mut().zip(row).for_each(|(y, x)| *y += weight[tap] * x);
    }
    y
}

fn channel_conv_back(x: &[f32], weight: &[f32], images: usize, d_y: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut d_x, mut d_weight) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
    for (tap, from, to) in channel_taps(x.len() / images, weight.len()) {
        let (row, d) = (&x[from * images..][..images], &d_y[to * images..][..images]);
        d_weight[tap] += crate::math::dot(row, d);
        d_x[from * images..][..images].iter_mut().zip(d).for_each(|(to, d)| *to += weight[tap] * d);
    }
    (d_x, d_weight)
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
        let mut learned = |leaf: &str, d: Vec<f32>| grads.add(params.id(&name(leaf)), d);
        let place = self.place(graph, node);
        let inputs: Vec<&[f32]> = node.inputs.iter().map(|j| value(&self.values, *j)).collect();
        let x = inputs[0];
        let d_x = match node.op {
            Op::Conv(c) => {
                if c.bias {
                    learned("bias", sums_of_channels(&d_y, c.output));
                }
                let (d_weight, d_x) = conv::backward(&c, place, get("weight"), x, &d_y, wanted);
                learned("weight", d_weight);
                return vec![d_x];
            }
            Op::BatchNorm { .. } | Op::LayerNorm { .. } | Op::GroupNorm { .. } => {
                let weight = get("weight");
                let (d_x, d_weight, d_bias) = match (node.op, &self.kept[id]) {
                    (Op::LayerNorm { .. }, Kept::Moments(m)) => norm::over_channels_back(x, m, weight, d_y),
                    (Op::GroupNorm { groups, .. }, Kept::Moments(m)) => {
                        norm::by_group_back(x, place, groups, m, weight, d_y)
                    }
                    (_, Kept::Moments(m)) => norm::by_channel_back(x, m, weight, d_y, false),
                    (_, Kept::BatchMoments(m)) => norm::by_channel_back(x, m, weight, d_y, true),
                    _ => unreachable!("a norm keeps its moments"),
                };
                learned("weight", d_weight);
                learned("bias", d_bias);
                d_x
            }
            Op::Attend { .. } | Op::WindowAttend { .. } => {
                let Kept::Attention(weights) = &self.kept[id] else {
                    unreachable!("attention keeps its parts")
                };
                let (d_x, d_table) = sight(node.op, place.from).backward(x, place.images, weights, &d_y);
                if !d_table.is_empty() {
                    learned(TABLE, d_table);
                }
                d_x
            }
            Op::ClassToken { channels } => {
                let cells = 1 + place.from.h * place.from.w;
                let firsts: Vec<f32> = d_y.iter().step_by(cells).copied().collect();
                grads.add(params.id(&node.name), sums_of_channels(&firsts, channels));
                d_y.chunks_exact(cells).flat_map(|row| row[1..].iter().copied()).collect()
            }
            Op::Positions { channels, cells } => {
                let mut d_places = vec![0.0; channels * cells];
                for (i, row) in d_y.chunks_exact(cells).enumerate() {
                    let to = d_places[i / place.images..].iter_mut().step_by(channels);
                    to.zip(row).for_each(|(to, d)| *to += d);
                }
                grads.add(params.id(&node.name), d_places);
                d_y
            }
            Op::LayerScale { channels } => {
                let products: Vec<f32> = d_y.iter().zip(x).map(|(d, x)| d * x).collect();
                learned("layer_scale", sums_of_channels(&products, channels));
                scaled(&d_y, get("layer_scale"))
            }
            Op::MixCells { cells, h, w } => {
                let d = View::new(&d_y, h * w);
                learned("weight", product(d.t(), View::new(x, cells)));
                let mut sums = vec![0.0; h * w];
                crate::math::column_sums(&mut sums, &d_y);
                learned("bias", sums);
                product(d, View::new(get("weight"), cells))
            }
            Op::ChannelConv { .. } => {
                let (d_x, d_weight) = channel_conv_back(x, get("weight"), place.images, &d_y);
                learned("weight", d_weight);
                d_x
            }
            Op::Linear { input, output, bias } => {
                let d = View::new(&d_y, place.columns());
                learned("weight", product(d, View::new(x, place.columns()).t()));
                if bias {
                    learned("bias", sums_of_channels(&d_y, output));
                }
                product(View::new(get("weight"), input).t(), d)
            }
            Op::Act(act) => maps::activate_back(act, x, value(&self.values, id), d_y),
            Op::Add => return vec![Some(d_y.clone()), Some(d_y)],
            Op::Mul => {
                let (d_x, d_gate) = gate(graph, node, place).times_back(x, inputs[1], &d_y);
                return vec![Some(d_x), Some(d_gate)];
            }
            Op::Concat => {
                let mut rest = &d_y[..];
                let mut part = |input: &&[f32]| {
                    let (own, others) = rest.split_at(input.len());
                    rest = others;
                    Some(own.to_vec())
                };
                return inputs.iter().map(&mut part).collect();
            }
            Op::Stack => {
                let part = |at| Some(maps::unstacked(&d_y, inputs.len(), at));
                return (0..inputs.len()).map(part).collect();
            }
            op if moves::only_moves(op) => maps::moved_back(op, place, &d_y),
            op => maps::pooled_back(op, place, x, &d_y),
        };
        vec![Some(d_x)]
    }
}
