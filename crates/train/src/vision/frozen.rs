//! Inference of a frozen graph: batch norm folded into convolutions, non-linearities fused, maps reused.

mod step;

use super::sight::Sight;
use super::weights::{Weights, WeightsError};
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::{Activation, Conv, Graph, NodeId, Op, Shape, param_name};
use rayon::prelude::*;
use std::cell::Cell;

/// A frozen network, ready to run; it never learns and holds no gradients.
pub struct FrozenNet {
    steps: Vec<Step>,
    input: Shape,
    output: Shape,
    nodes: usize,
    last: NodeId,
}

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
    /// A linear layer over the channels of each cell.
    Linear {
        weight: Vec<f32>,
        bias: Vec<f32>,
        act: Option<Activation>,
    },
    LayerNorm {
        weight: Vec<f32>,
        bias: Vec<f32>,
        eps: f32,
    },
    Attention {
        sight: Sight,
        /// Biases of windows.
        table: Vec<f32>,
    },
    /// A learned cell before the others.
    Token(Vec<f32>),
    /// A learned map, added.
    Offset(Vec<f32>),
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
            let work = work(&node.name, node.op, from, weights);
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
    weights.get(&param_name(name, leaf)).map(|t| t.values.clone()).unwrap_or_default()
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

fn work(name: &str, op: Op, from: Shape, weights: &Weights) -> Work {
    let get = |leaf: &str| values(weights, name, leaf);
    match op {
        Op::Conv(conv) => {
            let bias = if conv.bias { get("bias") } else { vec![0.0; conv.output] };
            Work::Conv { conv, weight: get("weight"), bias, act: None }
        }
        Op::BatchNorm { eps_micro, .. } => {
            let (scale, shift) = affine(name, eps_micro, weights);
            Work::Affine { scale, shift }
        }
        Op::LayerScale { channels } => Work::Affine { scale: get("layer_scale"), shift: vec![0.0; channels] },
        Op::Linear { output, bias, .. } => {
            let bias = if bias { get("bias") } else { vec![0.0; output] };
            Work::Linear { weight: get("weight"), bias, act: None }
        }
        Op::LayerNorm { eps_micro, .. } => {
            let eps = (f64::from(eps_micro) * 1e-6) as f32;
            Work::LayerNorm { weight: get("weight"), bias: get("bias"), eps }
        }
        Op::Attend { heads } => Work::Attention { sight: Sight::whole(heads, from), table: Vec::new() },
        Op::WindowAttend { heads, window, shift } => {
            let sight = Sight::windows(heads, from, window, shift);
            Work::Attention { sight, table: get("relative_position_bias_table") }
        }
        Op::ClassToken { .. } => Work::Token(get("")),
        Op::Positions { channels, cells } => {
            // Learned cell by cell; maps lie channel by channel.
            let places = get("");
            let at = |i: usize| places.get(i % cells * channels + i / cells).copied().unwrap_or_default();
            Work::Offset((0..channels * cells).map(at).collect())
        }
        op => Work::Plain(op),
    }
}

/// Whether `op` could be made part of the layer before it.
fn fuse(before: &mut Work, name: &str, op: Op, weights: &Weights) -> bool {
    match (before, op) {
        (Work::Conv { weight, bias, act: None, .. }, Op::BatchNorm { eps_micro, .. }) => {
            let (scale, shift) = affine(name, eps_micro, weights);
            let taps = weight.len() / scale.len().max(1);
            for (row, s) in weight.chunks_exact_mut(taps.max(1)).zip(&scale) {
                row.iter_mut().for_each(|w| *w *= s);
            }
            bias.iter_mut().zip(scale.iter().zip(&shift)).for_each(|(b, (s, t))| *b = *b * s + t);
            true
        }
        (Work::Conv { act: fused @ None, .. } | Work::Linear { act: fused @ None, .. }, Op::Act(act)) => {
            *fused = Some(act);
            true
        }
        _ => false,
    }
}
