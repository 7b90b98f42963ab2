//! Graph ops on burn against PyTorch's outputs (`tests/fixtures/ops/make.py`).

use super::{Stats, forward};
use crate::params::Params;
use burn::tensor::{Device, Tensor, TensorData};
use capwright_blueprint::{Graph, Op, Shape};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    op: Op,
    input: [usize; 3],
    output: Vec<f32>,
}

/// What `make.py` calls by the same name.
fn wave(n: usize, step: f64, scale: f64, shift: f64) -> Vec<f32> {
    (0..n).map(|i| (shift + scale * (step * (i + 1) as f64).sin()) as f32).collect()
}

#[test]
fn ops_are_those_of_pytorch() {
    let text = include_str!("../../../../tests/fixtures/ops/outputs.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 13);
    for Case { op, input: [c, h, w], output } in cases {
        let mut graph = Graph::new(Shape::new(c, h, w));
        graph.add("op", op, &[0]).unwrap();
        let wanted = graph.parameters();
        let values =
            wanted.iter().enumerate().map(|(k, p)| wave(p.len(), 0.37 + 0.11 * k as f64, 0.5, 0.1)).collect();
        let device = Device::flex();
        let params = Params::from_values(&wanted, values, &device);
        let x = TensorData::new(wave(2 * c * h * w, 0.7, 1.0, 0.0), [2, c, h, w]);
        let x = Tensor::<4>::from_data(x, &device);
        let y = forward(&graph, &params, &mut Stats::new(&graph), x, false);
        let shape = graph.output_shape();
        assert_eq!(y.dims(), [2, shape.c, shape.h, shape.w], "{op:?}");
        let ours: Vec<f32> = y.into_data().try_to_vec().unwrap();
        assert_eq!(ours.len(), output.len(), "{op:?}");
        let apart = ours.iter().zip(&output).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
        assert!(apart < 2e-5, "{op:?} is {apart} from PyTorch's");
    }
}
