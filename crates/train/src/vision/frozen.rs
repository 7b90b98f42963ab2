//! Inference of a frozen graph: batch norm folded into convolutions, non-linearities fused, maps reused.

use super::kernels::{self, Layer};
use super::weights::{Weights, WeightsError};
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::{Activation, Conv, Graph, NodeId, Op, Shape};
use rayon::prelude::*;
use std::cell::Cell;

/// A frozen network, ready to run; it never learns and holds no gradients.
#[derive(Debug)]
pub struct FrozenNet {
    steps: Vec<Step>,
    input: Shape,
    output: Shape,
    nodes: usize,
    last: NodeId,
}

#[derive(Debug)]
struct Step {
    work: Work,
    inputs: Vec<NodeId>,
    /// The node whose value this step makes: the last of those fused.
    makes: NodeId,
    from: Shape,
    to: Shape,
    /// Values that no later step reads.
    done: Vec<NodeId>,
}

#[derive(Debug)]
enum Work {
    Conv {
        conv: Conv,
        weight: Vec<f32>,
        bias: Vec<f32>,
        act: Option<Activation>,
    },
    /// `x · scale + shift` by channel: a batch norm that follows no convolution.
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Linear {
        weight: Vec<f32>,
        bias: Vec<f32>,
    },
    Plain(Op),
}

/// Buffers of one thread.
#[derive(Default)]
struct Scratch {
    maps: Vec<Vec<f32>>,
    columns: Vec<f32>,
}

thread_local! {
    // Taken out while in use: a parallel product inside may run another image on this thread.
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl FrozenNet {
    /// A graph (usually cut) with weights that hold at least its parameters and buffers.
    ///
    /// # Errors
    /// [`WeightsError::Mismatch`] with all tensors that are missing or have another shape.
    pub fn load(graph: &Graph, weights: &Weights) -> Result<Self, WeightsError> {
        weights.fits(graph)?;
        let nodes = graph.nodes();
        let mut users = vec![0usize; nodes.len()];
        nodes.iter().flat_map(|n| &n.inputs).for_each(|i| users[*i] += 1);
        users[graph.output()] += 1;
        let mut steps: Vec<Step> = Vec::new();
        for (id, node) in nodes.iter().enumerate().skip(1) {
            // A node can join the step before it only if nothing else reads that step's value.
            let fusable = |step: &&mut Step| node.inputs == [step.makes] && users[step.makes] == 1;
            if let Some(step) = steps.last_mut().filter(fusable)
                && fuse(&mut step.work, &node.name, node.op, weights)
            {
                step.makes = id;
                continue;
            }
            let from = node.inputs.first().map_or(node.shape, |i| graph.shape(*i));
            let work = work(&node.name, node.op, weights);
            let inputs = node.inputs.clone();
            steps.push(Step { work, inputs, makes: id, from, to: node.shape, done: Vec::new() });
        }
        release(&mut steps, nodes.len(), graph.output());
        let (input, output) = (graph.input_shape(), graph.output_shape());
        Ok(Self { steps, input, output, nodes: nodes.len(), last: graph.output() })
    }

    /// Shape of the image that it reads.
    pub fn input_shape(&self) -> Shape {
        self.input
    }

    /// Shape of the feature map that it makes.
    pub fn output_shape(&self) -> Shape {
        self.output
    }

    /// One image, `[c, h, w]` row-major, to its feature map `[c, h, w]`; runs on the calling thread.
    ///
    /// # Panics
    /// Where `image` has another length than [`FrozenNet::input_shape`].
    pub fn forward_image(&self, image: &[f32]) -> Vec<f32> {
        assert_eq!(image.len(), self.input.len(), "the image has the network's input shape");
        let mut scratch = SCRATCH.take();
        let mut values: Vec<Option<Vec<f32>>> = vec![None; self.nodes];
        values[0] = Some(image.to_vec());
        for step in &self.steps {
            let out = step.run(&mut values, &mut scratch);
            for id in &step.done {
                scratch.maps.extend(values[*id].take());
            }
            values[step.makes] = Some(out);
        }
        let result = values[self.last].take().unwrap_or_default();
        SCRATCH.set(scratch);
        result
    }

    /// A batch `[n, c, h, w]` to its features, images in parallel; gradients do not flow.
    ///
    /// # Panics
    /// Where `x` has another shape than the network reads, or is not of 32 bits.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let device: Device = x.device().without_autodiff();
        let n = x.dims()[0];
        assert_eq!(x.dims(), [n, self.input.c, self.input.h, self.input.w], "the network's input shape");
        let images = x.into_data().try_to_vec::<f32>().expect("images of 32 bits");
        let maps: Vec<Vec<f32>> =
            images.par_chunks_exact(self.input.len()).map(|image| self.forward_image(image)).collect();
        let shape = [n, self.output.c, self.output.h, self.output.w];
        Tensor::from_data(TensorData::new(maps.concat(), shape), &device)
    }
}

/// Tells each step which values nothing later reads.
fn release(steps: &mut [Step], nodes: usize, output: NodeId) {
    let mut last_use = vec![None; nodes];
    for (i, step) in steps.iter().enumerate() {
        step.inputs.iter().for_each(|id| last_use[*id] = Some(i));
    }
    for (id, step) in last_use.iter().enumerate().filter(|(id, _)| *id != output) {
        if let Some(i) = step {
            steps[*i].done.push(id);
        }
    }
}

/// Values of a tensor whose presence and shape have been checked.
fn values(weights: &Weights, name: &str, leaf: &str) -> Vec<f32> {
    weights.get(&format!("{name}.{leaf}")).map(|t| t.values.clone()).unwrap_or_default()
}

/// `x · scale + shift` of a batch norm with fixed statistics.
fn affine(name: &str, eps_micro: u32, weights: &Weights) -> (Vec<f32>, Vec<f32>) {
    let eps = f64::from(eps_micro) * 1e-6;
    let part = |leaf: &str| values(weights, name, leaf);
    let (gamma, beta, mean, var) = (part("weight"), part("bias"), part("running_mean"), part("running_var"));
    let scale: Vec<f64> =
        gamma.iter().zip(&var).map(|(g, v)| f64::from(*g) / (f64::from(*v) + eps).sqrt()).collect();
    let shift =
        beta.iter().zip(&mean).zip(&scale).map(|((b, m), s)| (f64::from(*b) - f64::from(*m) * s) as f32);
    let shift = shift.collect();
    (scale.into_iter().map(|s| s as f32).collect(), shift)
}

fn work(name: &str, op: Op, weights: &Weights) -> Work {
    match op {
        Op::Conv(conv) => {
            let bias = if conv.bias { values(weights, name, "bias") } else { vec![0.0; conv.output] };
            Work::Conv { conv, weight: values(weights, name, "weight"), bias, act: None }
        }
        Op::BatchNorm { eps_micro, .. } => {
            let (scale, shift) = affine(name, eps_micro, weights);
            Work::Affine { scale, shift }
        }
        Op::Linear { .. } => {
            Work::Linear { weight: values(weights, name, "weight"), bias: values(weights, name, "bias") }
        }
        op => Work::Plain(op),
    }
}

/// Whether `op` could be made part of the convolution before it.
fn fuse(before: &mut Work, name: &str, op: Op, weights: &Weights) -> bool {
    let Work::Conv { weight, bias, act: fused @ None, .. } = before else { return false };
    match op {
        Op::BatchNorm { eps_micro, .. } => {
            let (scale, shift) = affine(name, eps_micro, weights);
            let taps = weight.len() / scale.len().max(1);
            for (row, s) in weight.chunks_exact_mut(taps.max(1)).zip(&scale) {
                row.iter_mut().for_each(|w| *w *= s);
            }
            bias.iter_mut().zip(scale.iter().zip(&shift)).for_each(|(b, (s, t))| *b = *b * s + t);
            true
        }
        Op::Act(act) => {
            *fused = Some(act);
            true
        }
        _ => false,
    }
}

impl Step {
    fn run(&self, values: &mut [Option<Vec<f32>>], scratch: &mut Scratch) -> Vec<f32> {
        // A value that nothing reads afterwards can be changed in place.
        let in_place =
            matches!(&self.work, Work::Affine { .. } | Work::Plain(Op::Act(_) | Op::Add | Op::Mul));
        let (first, same) = (self.inputs[0], self.inputs.get(1) == self.inputs.first());
        if in_place && !same && self.done.contains(&first) {
            let mut out = values[first].take().unwrap_or_default();
            self.change(&mut out, values);
            return out;
        }
        let mut out = scratch.maps.pop().unwrap_or_default();
        out.resize(self.to.len(), 0.0);
        let x = input(values, first);
        if in_place {
            out.copy_from_slice(x);
            self.change(&mut out, values);
            return out;
        }
        let shapes = (self.from, self.to);
        match &self.work {
            Work::Conv { conv, weight, bias, act } => {
                convolve(&mut out, conv, (weight, bias, *act), x, shapes, &mut scratch.columns);
            }
            Work::Linear { weight, bias } => {
                kernels::pointwise(&mut out, (weight, bias, None), x, self.from.len(), 1);
            }
            Work::Plain(op) => self.gather(*op, &mut out, values),
            Work::Affine { .. } => {}
        }
        out
    }

    /// Steps that change their first input.
    fn change(&self, out: &mut [f32], values: &[Option<Vec<f32>>]) {
        let second = |i: &[NodeId]| input(values, i[1]);
        match &self.work {
            Work::Affine { scale, shift } => {
                for ((row, s), t) in out.chunks_exact_mut(self.to.h * self.to.w).zip(scale).zip(shift) {
                    row.iter_mut().for_each(|x| *x = *x * s + t);
                }
            }
            Work::Plain(Op::Act(act)) => out.iter_mut().for_each(|x| *x = kernels::activate(*act, *x)),
            Work::Plain(Op::Add) => {
                out.iter_mut().zip(second(&self.inputs)).for_each(|(x, y)| *x += y);
            }
            Work::Plain(Op::Mul) => {
                let (gate, cells) = (second(&self.inputs), self.to.h * self.to.w);
                if gate.len() == self.to.c {
                    for (row, g) in out.chunks_exact_mut(cells).zip(gate) {
                        row.iter_mut().for_each(|x| *x *= g);
                    }
                } else {
                    let parts = out.chunks_exact_mut(gate.len().max(1));
                    parts.for_each(|part| part.iter_mut().zip(gate).for_each(|(x, g)| *x *= g));
                }
            }
            _ => {}
        }
    }

    /// Steps that read whole maps.
    fn gather(&self, op: Op, out: &mut [f32], values: &[Option<Vec<f32>>]) {
        let x = input(values, self.inputs[0]);
        let cells = self.from.h * self.from.w;
        let planes = || x.chunks_exact(cells);
        match op {
            Op::MaxPool { kernel, stride, padding } => {
                kernels::pool(out, x, (self.from, self.to), (kernel, stride, padding), true);
            }
            Op::AvgPool { kernel, stride } => {
                kernels::pool(out, x, (self.from, self.to), (kernel, stride, 0), false);
            }
            Op::AdaptiveAvgPool { side } => {
                let planes = planes().zip(out.chunks_exact_mut(side * side));
                planes.for_each(|(plane, out)| adaptive(out, plane, (self.from.h, self.from.w), side));
            }
            Op::GlobalAvgPool => out
                .iter_mut()
                .zip(planes())
                .for_each(|(o, plane)| *o = plane.iter().sum::<f32>() / cells as f32),
            Op::GlobalMaxPool => out
                .iter_mut()
                .zip(planes())
                .for_each(|(o, plane)| *o = plane.iter().copied().fold(f32::NEG_INFINITY, f32::max)),
            Op::SumCells => out.iter_mut().zip(planes()).for_each(|(o, plane)| *o = plane.iter().sum()),
            Op::Stack => {
                let parts: Vec<&[f32]> = self.inputs.iter().map(|id| input(values, *id)).collect();
                let rows = out.chunks_exact_mut(parts.len().max(1)).enumerate();
                rows.for_each(|(c, row)| row.iter_mut().zip(&parts).for_each(|(o, part)| *o = part[c]));
            }
            Op::ChannelMean => {
                out.fill(0.0);
                planes().for_each(|plane| out.iter_mut().zip(plane).for_each(|(o, x)| *o += x));
                out.iter_mut().for_each(|o| *o /= self.from.c as f32);
            }
            Op::ChannelMax => {
                out.fill(f32::NEG_INFINITY);
                planes().for_each(|plane| out.iter_mut().zip(plane).for_each(|(o, x)| *o = o.max(*x)));
            }
            Op::Concat => {
                let mut at = 0;
                for id in &self.inputs {
                    let part = input(values, *id);
                    out[at..at + part.len()].copy_from_slice(part);
                    at += part.len();
                }
            }
            Op::Input(_) | Op::Conv(_) | Op::BatchNorm { .. } | Op::Act(_) | Op::Linear { .. } => {}
            Op::Add | Op::Mul => {}
            Op::LayerNorm { .. }
            | Op::GroupNorm { .. }
            | Op::LayerScale { .. }
            | Op::SelfAttention { .. }
            | Op::MixCells { .. }
            | Op::ChannelConv { .. }
            | Op::AxisMeans
            | Op::Rows { .. }
            | Op::Columns { .. } => unreachable!("no backbone of the zoo has {op:?}"),
        }
    }
}

/// Means over the windows of PyTorch's `AdaptiveAvgPool2d`: from `⌊i · n / side⌋` to `⌈(i + 1) · n / side⌉`.
fn adaptive(out: &mut [f32], plane: &[f32], (h, w): (usize, usize), side: usize) {
    let window = |i: usize, n: usize| i * n / side..((i + 1) * n).div_ceil(side);
    for (i, out) in out.iter_mut().enumerate() {
        let (rows, columns) = (window(i / side, h), window(i % side, w));
        let cells = (rows.len() * columns.len()) as f32;
        *out = rows.map(|r| plane[r * w..][columns.clone()].iter().sum::<f32>()).sum::<f32>() / cells;
    }
}

/// A value that an earlier step made; graphs are in evaluation order, so it is there.
fn input(values: &[Option<Vec<f32>>], id: NodeId) -> &[f32] {
    values[id].as_deref().unwrap_or_default()
}

fn convolve(
    out: &mut [f32],
    conv: &Conv,
    layer: Layer<'_>,
    x: &[f32],
    (from, to): (Shape, Shape),
    scratch: &mut Vec<f32>,
) {
    if kernels::is_depthwise(conv) {
        return kernels::depthwise(out, conv, layer, x, (from, to), scratch);
    }
    if conv.kernel == 1 && conv.groups == 1 && from == Shape::new(from.c, to.h, to.w) && conv.stride == 1 {
        return kernels::pointwise(out, layer, x, conv.input, to.h * to.w);
    }
    kernels::dense(out, conv, layer, x, (from, to), scratch);
}
