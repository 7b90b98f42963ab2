//! The trained trunk: a graph run on burn, so that gradients flow, and its batch-norm statistics.

use crate::bridge::{linear, matmul};
use crate::macs;
use crate::params::Params;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, activation, module};
use capwright_blueprint::{Activation, Conv, Graph, Node, Op, Param, TUNED};
use std::collections::HashMap;

/// Weight of a new batch in the running statistics, as in PyTorch.
const MOMENTUM: f32 = 0.1;

/// Running mean and variance of each batch norm of a graph, by buffer name.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    entries: Vec<(String, Vec<usize>, Vec<f32>)>,
    index: HashMap<String, usize>,
}

impl Stats {
    /// Means of 0 and variances of 1 for every batch norm of `graph`.
    pub fn new(graph: &Graph) -> Self {
        let start = |p: &Param| vec![if p.name.ends_with("running_var") { 1.0 } else { 0.0 }; p.len()];
        let wanted = graph.buffers();
        let values = wanted.iter().map(start).collect();
        Self::from_values(&wanted, values)
    }

    /// Given values, one vector for each of `wanted` ([`Graph::buffers`]), of its length.
    ///
    /// # Panics
    /// Where numbers or lengths differ: a bug of the caller.
    pub fn from_values(wanted: &[Param], values: Vec<Vec<f32>>) -> Self {
        assert_eq!(wanted.len(), values.len(), "one vector a buffer");
        let mut entries = Vec::with_capacity(wanted.len());
        for (param, values) in wanted.iter().zip(values) {
            assert_eq!(param.len(), values.len(), "{}", param.name);
            entries.push((param.name.clone(), param.shape.clone(), values));
        }
        let index = entries.iter().enumerate().map(|(i, e)| (e.0.clone(), i)).collect();
        Self { entries, index }
    }

    /// Name, shape and values of each buffer, in the order of [`Graph::buffers`].
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        self.entries.iter().map(|(name, shape, values)| (name.as_str(), &shape[..], &values[..]))
    }

    /// Values of the buffer of that name.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.index.get(name).map(|i| &self.entries[*i].2[..])
    }

    /// Replaces the values of a buffer.
    pub(crate) fn set(&mut self, name: &str, values: Vec<f32>) {
        if let Some(i) = self.index.get(name) {
            self.entries[*i].2 = values;
        }
    }

    /// Moves all statistics towards those of another network of the same graph.
    pub(crate) fn follow(&mut self, other: &Self, share: f32) {
        for (own, (.., values)) in self.entries.iter_mut().zip(other.tensors()) {
            crate::math::follow(&mut own.2, values, share);
        }
    }

    /// Moves the running statistics of `node` towards those of a batch.
    fn update(&mut self, node: &str, leaf: &str, batch: &[f32], factor: f32) {
        if let Some(i) = self.index.get(&format!("{node}.{leaf}")) {
            let running = self.entries[*i].2.iter_mut();
            running.zip(batch).for_each(|(r, b)| *r += MOMENTUM * (b * factor - *r));
        }
    }
}

/// Runs `graph` on a batch `[n, c, h, w]`.
///
/// With `training`, batch norm uses the statistics of the batch and moves `stats` towards them (momentum 0.1,
/// unbiased variance, as PyTorch); otherwise, and always in a pretrained backbone ([`TUNED`]), it uses `stats`. Parameters come from `params` by name.
///
/// # Panics
/// Where `params` lack a parameter of the graph or `x` has another shape: a bug of the caller.
pub fn forward(graph: &Graph, params: &Params, stats: &mut Stats, x: Tensor<4>, training: bool) -> Tensor<4> {
    let nodes = graph.nodes();
    let mut last_use: Vec<usize> = (0..nodes.len()).collect();
    for (i, node) in nodes.iter().enumerate() {
        node.inputs.iter().for_each(|j| last_use[*j] = i);
    }
    last_use[graph.output()] = nodes.len();
    let mut values: Vec<Option<Tensor<4>>> = vec![None; nodes.len()];
    values[0] = Some(x);
    for (i, node) in nodes.iter().enumerate().skip(1) {
        let take = |j: &usize| values[*j].clone().expect("inputs have smaller ids");
        let inputs: Vec<Tensor<4>> = node.inputs.iter().map(take).collect();
        for j in node.inputs.iter().filter(|j| last_use[**j] == i) {
            values[*j] = None;
        }
        values[i] = Some(node_forward(node, params, stats, inputs, training));
    }
    values[graph.output()].take().expect("the output is the last node")
}

fn node_forward(
    node: &Node,
    params: &Params,
    stats: &mut Stats,
    mut inputs: Vec<Tensor<4>>,
    training: bool,
) -> Tensor<4> {
    match node.op {
        Op::Concat => return Tensor::cat(inputs, 1),
        // Vectors side by side become the cells of one map, `[n, c, 1, inputs]`.
        Op::Stack => return Tensor::cat(inputs, 3),
        _ => {}
    }
    let second = if inputs.len() > 1 { inputs.pop() } else { None };
    let x = inputs.pop().expect("every node but the input has an input");
    let name = |leaf: &str| format!("{}.{leaf}", node.name);
    match (node.op, second) {
        (Op::Conv(c), _) => {
            let bias = c.bias.then(|| params.get::<1>(&name("bias")));
            conv2d(x, params.get::<4>(&name("weight")), bias, options(&c))
        }
        (Op::BatchNorm { eps_micro, .. }, _) => batch_norm(node, params, stats, x, eps_micro, training),
        (Op::LayerNorm { eps_micro, .. }, _) => {
            let eps = f64::from(eps_micro) * 1e-6;
            let y = normalised(x, 1, eps);
            y * per_channel(params, &name("weight")) + per_channel(params, &name("bias"))
        }
        (Op::GroupNorm { groups, eps_micro, .. }, _) => {
            let ([n, c, h, w], eps) = (x.dims(), f64::from(eps_micro) * 1e-6);
            let y = normalised(x.reshape([n, groups, c / groups * h * w, 1]), 2, eps).reshape([n, c, h, w]);
            y * per_channel(params, &name("weight")) + per_channel(params, &name("bias"))
        }
        (Op::LayerScale { .. }, _) => x * per_channel(params, &name("gamma")),
        (Op::SelfAttention { heads, .. }, _) => self_attention(&node.name, params, x, heads),
        (Op::MixCells { cells, h, w }, _) => {
            let [n, c, ..] = x.dims();
            let weight = params.get::<2>(&name("weight")).transpose();
            let bias = params.get::<1>(&name("bias")).unsqueeze::<2>();
            (matmul(x.reshape([n * c, cells]), weight) + bias).reshape([n, c, h, w])
        }
        (Op::ChannelConv { kernel }, _) => {
            let [n, c, ..] = x.dims();
            let weight = params.get::<3>(&name("weight")).reshape([1, 1, kernel, 1]);
            let padding = [(kernel / 2, kernel / 2), (0, 0)];
            let options = ConvOptions::new_with_padding([1; 2], padding, [1; 2], 1);
            conv2d(x.reshape([n, 1, c, 1]), weight, None, options).reshape([n, c, 1, 1])
        }
        (Op::AxisMeans, _) => {
            let columns = x.clone().mean_dim(2).swap_dims(2, 3);
            Tensor::cat(vec![x.mean_dim(3), columns], 2)
        }
        (Op::Rows { h }, _) => x.narrow(2, 0, h),
        (Op::Columns { w }, _) => {
            let length = x.dims()[2];
            x.narrow(2, length - w, w).swap_dims(2, 3)
        }
        (Op::AdaptiveAvgPool { side }, _) => module::adaptive_avg_pool2d(x, [side; 2]),
        (Op::Act(act), _) => activate(act, x),
        (Op::MaxPool { kernel, stride, padding }, _) => {
            let pool = burn::tensor::ops::MaxPoolOptions::new([kernel; 2]);
            module::max_pool2d(x, pool.with_stride([stride; 2]).with_padding([padding; 2]))
        }
        (Op::AvgPool { kernel, stride }, _) => {
            let pool = burn::tensor::ops::AvgPoolOptions::new([kernel; 2]);
            module::avg_pool2d(x, pool.with_stride([stride; 2]))
        }
        (Op::GlobalAvgPool, _) => x.mean_dims(&[2, 3]),
        (Op::GlobalMaxPool, _) => {
            let [n, c, h, w] = x.dims();
            x.reshape([n, c, h * w, 1]).max_dim(2)
        }
        (Op::SumCells, _) => {
            let [n, c, h, w] = x.dims();
            x.reshape([n, c, h * w, 1]).sum_dim(2)
        }
        (Op::ChannelMean, _) => x.mean_dim(1),
        (Op::ChannelMax, _) => x.max_dim(1),
        (Op::Linear { input, output }, _) => {
            let n = x.dims()[0];
            let weight = params.get::<2>(&name("weight")).transpose();
            let bias = params.get::<1>(&name("bias")).unsqueeze::<2>();
            (matmul(x.reshape([n, input]), weight) + bias).reshape([n, output, 1, 1])
        }
        (Op::Add, Some(y)) => x + y,
        (Op::Mul, Some(y)) => x * y,
        (Op::Add | Op::Mul | Op::Input(_) | Op::Concat | Op::Stack, _) => x,
    }
}

/// A counted convolution; see [`crate::macs`].
fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: ConvOptions<2>) -> Tensor<4> {
    let taps: usize = weight.dims()[1..].iter().product();
    let y = module::conv2d(x, weight, bias, options);
    macs::add(y.dims().iter().product::<usize>() * taps);
    y
}

fn options(c: &Conv) -> ConvOptions<2> {
    let p = c.padding;
    let padding = [(p.top, p.bottom), (p.left, p.right)];
    ConvOptions::new_with_padding([c.stride; 2], padding, [c.dilation; 2], c.groups)
}

/// A parameter of one value a channel, as it multiplies a map.
fn per_channel(params: &Params, name: &str) -> Tensor<4> {
    let values = params.get::<1>(name);
    let c = values.dims()[0];
    values.reshape([1, c, 1, 1])
}

/// Mean 0 and variance 1 over one dimension.
fn normalised(x: Tensor<4>, dim: usize, eps: f64) -> Tensor<4> {
    let centred = x.clone() - x.mean_dim(dim);
    let variance = centred.clone().square().mean_dim(dim);
    centred * variance.add_scalar(eps).sqrt().recip()
}

/// PyTorch's `MultiheadAttention` of the cells to each other.
fn self_attention(node: &str, params: &Params, x: Tensor<4>, heads: usize) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let (cells, width) = (h * w, c / heads);
    let tokens = x.reshape([n, c, cells]).swap_dims(1, 2).reshape([n * cells, c]);
    let all = linear(params, &format!("{node}.qkv"), tokens).reshape([n, cells, 3 * c]);
    let part = |i: usize| all.clone().narrow(2, i * c, c).reshape([n, cells, heads, width]).swap_dims(1, 2);
    let scores = matmul(part(0).mul_scalar(1.0 / (width as f64).sqrt()), part(1).swap_dims(2, 3));
    let y: Tensor<4> = matmul(activation::softmax(scores, 3), part(2));
    let y = linear(params, &format!("{node}.out"), y.swap_dims(1, 2).reshape([n * cells, c]));
    y.reshape([n, cells, c]).swap_dims(1, 2).reshape([n, c, h, w])
}

fn activate(act: Activation, x: Tensor<4>) -> Tensor<4> {
    match act {
        Activation::Relu => activation::relu(x),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Silu => activation::silu(x),
        Activation::Gelu => activation::gelu(x),
        Activation::HardSwish => (x.clone() + 3.0).clamp(0.0, 6.0) / 6.0 * x,
        Activation::Sigmoid => activation::sigmoid(x),
    }
}

fn batch_norm(
    node: &Node,
    params: &Params,
    stats: &mut Stats,
    x: Tensor<4>,
    eps_micro: u32,
    training: bool,
) -> Tensor<4> {
    let eps = f64::from(eps_micro) * 1e-6;
    let name = |leaf: &str| format!("{}.{leaf}", node.name);
    let (gamma, beta) = (params.get::<1>(&name("weight")), params.get::<1>(&name("bias")));
    if !training || node.name.starts_with(TUNED) {
        let device = x.device();
        let running = |leaf: &str| {
            let values = stats.get(&name(leaf)).expect("statistics of this graph").to_vec();
            let count = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [count]), &device)
        };
        let (mean, var) = (running("running_mean"), running("running_var"));
        return module::batch_norm(x, gamma, beta, mean, var, eps);
    }
    let [n, _, h, w] = x.dims();
    let samples = (n * h * w) as f32;
    let result = module::batch_norm_train(x, gamma, beta, eps);
    let host = |t: Tensor<1>| t.into_data().try_to_vec::<f32>().expect("statistics of 32 bits");
    stats.update(&node.name, "running_mean", &host(result.mean), 1.0);
    stats.update(&node.name, "running_var", &host(result.variance), samples / (samples - 1.0).max(1.0));
    result.output
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use capwright_blueprint::Shape;

    fn tensor(values: &[f32], shape: [usize; 4], device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
    }

    fn host(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_to_vec::<f32>().unwrap()
    }

    fn norm() -> (Graph, Params) {
        let mut graph = Graph::new(Shape::new(1, 1, 2));
        graph.add("norm", Op::BatchNorm { channels: 1, eps_micro: 10 }, &[0]).unwrap();
        let device = Device::flex().autodiff();
        let params = Params::from_values(&graph.parameters(), vec![vec![2.0], vec![1.0]], &device);
        (graph, params)
    }

    /// Batch 1 2 3 6: mean 3, variance 3.5, unbiased 14/3; PyTorch's running values are then 0.3 and 0.9 + 1.4/3.
    #[test]
    fn batch_norm_uses_the_batch_and_keeps_running_statistics() {
        let (graph, params) = norm();
        let mut stats = Stats::new(&graph);
        let x = tensor(&[1.0, 2.0, 3.0, 6.0], [2, 1, 1, 2], params.device());
        let out = host(forward(&graph, &params, &mut stats, x.clone(), true));
        for (y, x) in out.iter().zip([1.0f32, 2.0, 3.0, 6.0]) {
            assert!((y - (1.0 + 2.0 * (x - 3.0) / (3.5f32 + 1e-5).sqrt())).abs() < 1e-5, "{out:?}");
        }
        let (mean, var) =
            (stats.get("norm.running_mean").unwrap()[0], stats.get("norm.running_var").unwrap()[0]);
        assert!((mean - 0.3).abs() < 1e-6 && (var - (0.9 + 1.4 / 3.0)).abs() < 1e-6, "{mean} {var}");
        let fixed = host(forward(&graph, &params, &mut stats, x, false));
        assert!((fixed[0] - (1.0 + 2.0 * (1.0 - mean) / (var + 1e-5).sqrt())).abs() < 1e-5);
        assert_eq!(stats.get("norm.running_mean").unwrap()[0], mean, "evaluation changes nothing");
    }

    #[test]
    fn statistics_survive_saving() {
        let (graph, params) = norm();
        let mut stats = Stats::new(&graph);
        forward(&graph, &params, &mut stats, tensor(&[1.0, 5.0], [1, 1, 1, 2], params.device()), true);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stats.safetensors");
        crate::store::write(&path, stats.tensors()).unwrap();
        let values = crate::store::read(&path, &graph.buffers()).unwrap();
        assert_eq!(Stats::from_values(&graph.buffers(), values), stats);
    }

    /// Channel gate of CBAM's kind: every op that joins or gates maps, against numbers by hand.
    #[test]
    fn gates_pools_and_joins() {
        let mut graph = Graph::new(Shape::new(2, 1, 2));
        let add = |graph: &mut Graph, name: &str, op, inputs: &[usize]| graph.add(name, op, inputs).unwrap();
        let mean = add(&mut graph, "mean", Op::GlobalAvgPool, &[0]);
        let max = add(&mut graph, "max", Op::GlobalMaxPool, &[0]);
        let both = add(&mut graph, "both", Op::Stack, &[mean, max]);
        let sum = add(&mut graph, "sum", Op::SumCells, &[both]);
        let gated = add(&mut graph, "gated", Op::Mul, &[0, sum]);
        let spatial = add(&mut graph, "spatial", Op::ChannelMax, &[gated]);
        let flat = add(&mut graph, "flat", Op::ChannelMean, &[gated]);
        let joined = add(&mut graph, "joined", Op::Concat, &[spatial, flat]);
        let twice = add(&mut graph, "twice", Op::Add, &[joined, joined]);
        add(&mut graph, "act", Op::Act(Activation::HardSwish), &[twice]);
        let device = Device::flex();
        let (params, x) = (Params::from_values(&[], Vec::new(), &device), [1.0, -3.0, 2.0, 0.5]);
        let out = forward(&graph, &params, &mut Stats::new(&graph), tensor(&x, [1, 2, 1, 2], &device), false);
        // Channel 0: mean -1, max 1, sum 0; channel 1: mean 1.25, max 2, sum 3.25. Gated: 0 0 and 6.5 1.625.
        let expected = [13.0, 3.25, 6.5, 1.625 * (1.625 + 3.0) / 6.0];
        let (ours, weights) = (host(out), super::super::weights::Weights::from_tensors([]));
        let frozen = super::super::frozen::FrozenNet::load(&graph, &weights).unwrap().forward_image(&x);
        for ((a, b), c) in ours.iter().zip(&frozen).zip(expected) {
            assert!((a - c).abs() < 1e-5 && (b - c).abs() < 1e-5, "{ours:?} {frozen:?}");
        }
    }
}
