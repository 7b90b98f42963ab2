//! The trunk against PyTorch (`tests/fixtures/ops/make.py` makes the numbers), the frozen pass, and numbers by hand.

use super::*;
use crate::vision::{FrozenNet, Weights};
use burn::tensor::Device;
use capwright_blueprint::{Activation, Conv};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    nodes: Vec<(Op, Vec<usize>)>,
    input: [usize; 3],
    training: bool,
    output: Vec<f32>,
    d_input: Vec<f32>,
    d_params: Vec<Vec<f32>>,
}

/// What `make.py` calls by the same name.
fn wave(n: usize, step: f64, scale: f64, shift: f64) -> Vec<f32> {
    (0..n).map(|i| (shift + scale * (step * (i + 1) as f64).sin()) as f32).collect()
}

fn assert_near(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().fold(1.0f32, |most, x| most.max(x.abs()));
    let apart = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
    assert!(apart < 2e-5 * scale, "{what} is {apart} from PyTorch's");
}

#[test]
fn ops_and_their_gradients_are_those_of_pytorch() {
    let text = include_str!("../../../../tests/fixtures/ops/outputs.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 66);
    for case in cases {
        let [c, h, w] = case.input;
        let mut graph = Graph::new(Shape::new(c, h, w));
        for (i, (op, inputs)) in case.nodes.iter().enumerate() {
            graph.add(format!("op{i}"), *op, inputs).unwrap();
        }
        let what = format!("{:?}", case.nodes);
        let wanted = graph.parameters();
        let value =
            |(k, p): (usize, &capwright_blueprint::Param)| wave(p.len(), 0.37 + 0.11 * k as f64, 0.5, 0.1);
        let values = wanted.iter().enumerate().map(value).collect();
        let params = Params::from_values(&wanted, values, &Device::flex());
        let x = wave(2 * c * h * w, 0.7, 4.0, 0.0);
        let mut stats = Stats::new(&graph);
        let fixed = forward(&graph, &params, &mut stats, &x, Mode::Inference).output(&graph);
        let mode = if case.training { Mode::Training } else { Mode::Fixed };
        let pass = forward(&graph, &params, &mut stats, &x, mode);
        let output = pass.output(&graph);
        assert_near(&output, &case.output, &what);
        assert_eq!(output == fixed, !case.training, "{what}");
        let shape = graph.output_shape();
        let d = swapped(&wave(output.len(), 0.53, 1.0, 0.0), 2, shape.c, shape.h * shape.w);
        let mut grads = Grads::new(&params);
        let d_input = pass.back(&graph, &params, d, &mut grads, true).unwrap();
        assert_near(&swapped(&d_input, c, 2, h * w), &case.d_input, &format!("input gradient of {what}"));
        assert_eq!(wanted.len(), case.d_params.len(), "{what}");
        for (k, theirs) in case.d_params.iter().enumerate() {
            assert_near(grads.get(k).unwrap(), theirs, &format!("gradient of {} of {what}", wanted[k].name));
        }
    }
}

/// Tokens and their gradients are the map's, cell by cell; the image's own gradient is nobody's.
#[test]
fn tokens_are_the_cells_of_the_map() {
    let mut graph = Graph::new(Shape::new(2, 1, 3));
    graph.add("scale", Op::LayerScale { channels: 2 }, &[0]).unwrap();
    let params = Params::from_values(&graph.parameters(), vec![vec![1.0, 10.0]], &Device::flex());
    let x: Vec<f32> = (1..=12).map(|i| i as f32).collect();
    let pass = forward(&graph, &params, &mut Stats::new(&graph), &x, Mode::Training);
    assert_eq!(pass.tokens(&graph), [1., 40., 2., 50., 3., 60., 7., 100., 8., 110., 9., 120.]);
    let mut grads = Grads::new(&params);
    let d: Vec<f32> =
        (0..12).map(|i| if i == 2 { 1.0 } else { 0.0 } + if i == 11 { 5.0 } else { 0.0 }).collect();
    pass.backward(&graph, &params, &d, &mut grads);
    assert_eq!(grads.get(0), Some(&[2.0, 60.0][..]));
}

/// Gates are maps of one cell: what an image gives alone is, to the last bit, what it gives among others.
#[test]
fn a_batch_gives_what_its_images_give_one_by_one() {
    let input = Shape::new(40, 2, 2);
    let mut graph = Graph::new(input);
    let add = |graph: &mut Graph, name: &str, op, inputs: &[usize]| graph.add(name, op, inputs).unwrap();
    let mean = add(&mut graph, "mean", Op::GlobalAvgPool, &[0]);
    let down = add(&mut graph, "down", Op::Conv(Conv::pointwise(40, 24)), &[mean]);
    let up = add(&mut graph, "up", Op::Conv(Conv::pointwise(24, 40)), &[down]);
    add(&mut graph, "gated", Op::Mul, &[0, up]);
    let params = Params::init(&graph.parameters(), 1, &Device::flex());
    let run =
        |x: &[f32]| forward(&graph, &params, &mut Stats::new(&graph), x, Mode::Inference).output(&graph);
    let x = wave(3 * input.len(), 0.7, 1.0, 0.0);
    let together = run(&x);
    for (i, (alone, wanted)) in x.chunks(input.len()).zip(together.chunks(input.len())).enumerate() {
        assert_eq!(run(alone), wanted, "image {i}");
    }
}

fn norm() -> (Graph, Params) {
    let mut graph = Graph::new(Shape::new(1, 1, 2));
    graph.add("norm", Op::BatchNorm { channels: 1, eps_micro: 10, fixed: false }, &[0]).unwrap();
    let params = Params::from_values(&graph.parameters(), vec![vec![2.0], vec![1.0]], &Device::flex());
    (graph, params)
}

/// Batch 1 2 3 6: mean 3, variance 3.5, unbiased 14/3; PyTorch's running values are then 0.3 and 0.9 + 1.4/3.
#[test]
fn batch_norm_uses_the_batch_and_keeps_running_statistics() {
    let (graph, params) = norm();
    let mut stats = Stats::new(&graph);
    let x = [1.0, 2.0, 3.0, 6.0];
    let out = forward(&graph, &params, &mut stats, &x, Mode::Training).output(&graph);
    for (y, x) in out.iter().zip([1.0f32, 2.0, 3.0, 6.0]) {
        assert!((y - (1.0 + 2.0 * (x - 3.0) / (3.5f32 + 1e-5).sqrt())).abs() < 1e-5, "{out:?}");
    }
    let (mean, var) = (stats.get("norm.running_mean").unwrap()[0], stats.get("norm.running_var").unwrap()[0]);
    assert!((mean - 0.3).abs() < 1e-6 && (var - (0.9 + 1.4 / 3.0)).abs() < 1e-6, "{mean} {var}");
    let fixed = forward(&graph, &params, &mut stats, &x, Mode::Inference).output(&graph);
    assert!((fixed[0] - (1.0 + 2.0 * (1.0 - mean) / (var + 1e-5).sqrt())).abs() < 1e-5);
    assert_eq!(stats.get("norm.running_mean").unwrap()[0], mean, "evaluation changes nothing");
}

#[test]
fn statistics_survive_saving() {
    let (graph, params) = norm();
    let mut stats = Stats::new(&graph);
    forward(&graph, &params, &mut stats, &[1.0, 5.0], Mode::Training);
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
    let (params, x) = (Params::from_values(&[], Vec::new(), &Device::flex()), [1.0, -3.0, 2.0, 0.5]);
    let ours = forward(&graph, &params, &mut Stats::new(&graph), &x, Mode::Inference).output(&graph);
    // Channel 0: mean -1, max 1, sum 0; channel 1: mean 1.25, max 2, sum 3.25. Gated: 0 0 and 6.5 1.625.
    let expected = [13.0, 3.25, 6.5, 1.625 * (1.625 + 3.0) / 6.0];
    let frozen = FrozenNet::load(&graph, &Weights::from_tensors([])).unwrap().forward_image(&x);
    for ((a, b), c) in ours.iter().zip(&frozen).zip(expected) {
        assert!((a - c).abs() < 1e-5 && (b - c).abs() < 1e-5, "{ours:?} {frozen:?}");
    }
}
