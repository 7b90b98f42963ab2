//! From a feature map to memory tokens (see [`BridgeSpec`] for the formulas).

use crate::decoder::{self, sinusoid};
use crate::macs;
use crate::math::Dropout;
use crate::params::{Params, host};
use burn::tensor::activation::{gelu, softmax};
use burn::tensor::module::adaptive_avg_pool2d;
use burn::tensor::{Tensor, TensorData};
use capwright_blueprint::language::{Memory, Places, Scales};
use capwright_blueprint::{BridgeSpec, PYRAMID_SIDE};

/// Memory `[batch, tokens, dim]` of feature maps `[batch, channels, height, width]`.
pub fn bridge(spec: &BridgeSpec, params: &Params, features: Tensor<4>, dropout: &mut Dropout) -> Tensor<3> {
    let [batch, channels, h, w] = features.dims();
    bridge_tokens(spec, params, features.reshape([batch, channels, h * w]).swap_dims(1, 2), dropout)
}

/// Memory `[batch, tokens, dim]` of features in token order, `[batch, cells, channels]`.
pub fn bridge_tokens(
    spec: &BridgeSpec,
    params: &Params,
    cells: Tensor<3>,
    dropout: &mut Dropout,
) -> Tensor<3> {
    projected(spec, params, linear(params, PROJECTION, gathered(spec, cells)), dropout)
}

/// The layer that gives tokens their width.
pub(crate) const PROJECTION: &str = "bridge.proj";

/// What that layer reads, `[batch · tokens, channels]`: the cells of each image, with those of coarser scales, or their mean.
pub(crate) fn gathered(spec: &BridgeSpec, cells: Tensor<3>) -> Tensor<2> {
    let [batch, _, channels] = cells.dims();
    let tokens = match spec.memory {
        Memory::Grid => scales(spec, cells),
        Memory::Global => cells.mean_dim(1),
    };
    tokens.reshape([batch * spec.cells(), channels])
}

/// Memory of what that layer gives.
pub(crate) fn projected(
    spec: &BridgeSpec,
    params: &Params,
    x: Tensor<2>,
    dropout: &mut Dropout,
) -> Tensor<3> {
    let batch = x.dims()[0] / spec.cells();
    let x = placed(spec, params, layer_norm(params, "bridge.norm", x), batch);
    let memory = if spec.queries > 0 { resampled(spec, params, x, batch) } else { x };
    dropped(memory, spec.dropout_pct, dropout).reshape([batch, spec.tokens(), spec.dim])
}

/// Tokens of coarser scales in front of the cells.
fn scales(spec: &BridgeSpec, cells: Tensor<3>) -> Tensor<3> {
    let mut parts = Vec::new();
    if spec.scales != Scales::Cells {
        parts.push(cells.clone().mean_dim(1));
    }
    if spec.scales == Scales::Pyramid {
        let [batch, _, channels] = cells.dims();
        let (h, w) = (spec.input.h, spec.input.w);
        let map = cells.clone().swap_dims(1, 2).reshape([batch, channels, h, w]);
        let quarters = adaptive_avg_pool2d(map, [PYRAMID_SIDE, PYRAMID_SIDE]);
        parts.push(quarters.reshape([batch, channels, PYRAMID_SIDE * PYRAMID_SIDE]).swap_dims(1, 2));
    }
    if parts.is_empty() {
        return cells;
    }
    parts.push(cells);
    Tensor::cat(parts, 1)
}

/// Tokens with the places of their cells added; tokens of coarser scales have none.
fn placed(spec: &BridgeSpec, params: &Params, x: Tensor<2>, batch: usize) -> Tensor<2> {
    let (h, w, dim) = (spec.input.h, spec.input.w, spec.dim);
    let table = |name: &str| params.get::<2>(&format!("bridge.{name}.weight"));
    let places: Tensor<2> = match spec.positions {
        Places::None => return x,
        Places::Learned => table("position"),
        Places::Learned2d => {
            let by_row = table("row").reshape([h, 1, dim]).expand([h, w, dim]);
            let by_column = table("column").reshape([1, w, dim]).expand([h, w, dim]);
            (by_row + by_column).reshape([h * w, dim])
        }
        Places::Sinusoidal => {
            let cell = |i: usize| [sinusoid(i / w, dim / 2), sinusoid(i % w, dim / 2)].concat();
            let values: Vec<f32> = (0..h * w).flat_map(cell).collect();
            Tensor::from_data(TensorData::new(values, [h * w, dim]), &x.device())
        }
    };
    let places = match spec.coarse() {
        0 => places,
        coarse => Tensor::cat(vec![Tensor::zeros([coarse, dim], &x.device()), places], 0),
    };
    let cells = spec.cells();
    (x.reshape([batch, cells, dim]) + places.unsqueeze::<3>()).reshape([batch * cells, dim])
}

/// Learned queries that attend to all tokens, then a feed-forward layer: `[batch · queries, dim]`.
fn resampled(spec: &BridgeSpec, params: &Params, x: Tensor<2>, batch: usize) -> Tensor<2> {
    let (n, dim, heads) = (spec.queries, spec.dim, spec.heads());
    let name = |leaf: &str| format!("bridge.resampler.{leaf}");
    let queries = params.get::<2>("bridge.queries.weight").unsqueeze::<3>().expand([batch, n, dim]);
    let queries: Tensor<2> = queries.reshape([batch * n, dim]);
    let split = |y: Tensor<2>, rows: usize| -> Tensor<4> {
        y.reshape([batch, rows, heads, dim / heads]).swap_dims(1, 2)
    };
    let asked = linear(params, &name("q"), layer_norm(params, &name("norm1"), queries.clone()));
    let scale = 1.0 / ((dim / heads) as f64).sqrt();
    let key = split(linear(params, &name("k"), x.clone()), spec.cells());
    let value = split(linear(params, &name("v"), x), spec.cells());
    let weights = softmax(matmul(split(asked, n) * scale, key.swap_dims(2, 3)), 3);
    let found: Tensor<2> = matmul(weights, value).swap_dims(1, 2).reshape([batch * n, dim]);
    let y = queries + linear(params, &name("o"), found);
    let wide = gelu(linear(params, &name("ff1"), layer_norm(params, &name("norm2"), y.clone())));
    layer_norm(params, &name("norm3"), y + linear(params, &name("ff2"), wide))
}

/// A counted matrix product; see [`crate::macs`].
pub(crate) fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    macs::add(a.dims().iter().product::<usize>() * b.dims()[D - 1]);
    a.matmul(b)
}

/// `x Wᵀ + b`. Where nothing is recorded, by the weights as they are laid out for all products.
pub(crate) fn linear(params: &Params, name: &str, x: Tensor<2>) -> Tensor<2> {
    if !params.device().is_autodiff() {
        let rows = x.dims()[0];
        let out = decoder::linear(params, name, &host(x));
        let outputs = params.values(&format!("{name}.bias")).len();
        return Tensor::from_data(TensorData::new(out, [rows, outputs]), params.device());
    }
    let bias = params.get::<1>(&format!("{name}.bias"));
    matmul(x, params.get::<2>(&format!("{name}.weight")).transpose()) + bias.unsqueeze::<2>()
}

/// Layer norm over the last dimension, eps 1e-5 (Ba et al. 2016).
pub(crate) fn layer_norm(params: &Params, name: &str, x: Tensor<2>) -> Tensor<2> {
    let weight = params.get::<1>(&format!("{name}.weight")).unsqueeze::<2>();
    normed(x) * weight + params.get::<1>(&format!("{name}.bias")).unsqueeze::<2>()
}

/// Rows with mean 0 and variance 1 (eps 1e-5).
pub(crate) fn normed(x: Tensor<2>) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = centred.clone().square().mean_dim(1);
    centred * variance.add_scalar(1e-5).sqrt().recip()
}

/// Dropout of that many percent.
pub(crate) fn dropped(x: Tensor<2>, percent: u8, dropout: &mut Dropout) -> Tensor<2> {
    let shape = x.dims();
    match dropout.mask(shape[0] * shape[1], percent) {
        Some(mask) => {
            let mask = Tensor::<2>::from_data(TensorData::new(mask, shape), &x.device());
            x * mask
        }
        None => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::tests::params;
    use crate::params::Grads;
    use serde_json::Value;

    /// Small gradients are sums of large terms: PyTorch's own 32-bit run differs from its 64-bit run by as much.
    fn close(ours: f64, theirs: f64, what: &str) {
        assert!((ours - theirs).abs() <= 1e-4 * theirs.abs().max(1.0), "{what}: {ours}, PyTorch {theirs}");
    }

    /// `tests/fixtures/train/make.py` makes the numbers.
    #[test]
    fn memory_and_gradients_are_those_of_pytorch() {
        let cases: Vec<Value> =
            serde_json::from_str(include_str!("../../../tests/fixtures/train/bridges.json")).unwrap();
        assert_eq!(cases.len(), 7);
        for case in cases {
            let spec: BridgeSpec = serde_json::from_value(case["spec"].clone()).unwrap();
            let (params, label) = (params(&spec.parameters()), format!("{spec:?}"));
            let shape = [2, spec.input.c, spec.input.h, spec.input.w];
            let values: Vec<f32> = crate::decoder::tests::formula(100, shape.iter().product());
            let data = TensorData::new(values.iter().map(|x| 3.0 * x).collect(), shape);
            let maps = Tensor::<4>::from_data(data, params.device()).require_grad();
            let memory = bridge(&spec, &params, maps.clone(), &mut Dropout::off());
            let ours: Vec<f32> = host(memory.clone().inner());
            for (o, t) in ours.iter().zip(case["memory"].as_array().unwrap()) {
                close(f64::from(*o), t.as_f64().unwrap(), &label);
            }
            let weights: Vec<f32> = (0..ours.len()).map(|i| (i as f32).sin()).collect();
            let weights = Tensor::<3>::from_data(TensorData::new(weights, memory.dims()), params.device());
            let (mut found, mut grads) = ((memory * weights).sum().backward(), Grads::new(&params));
            params.collect(&mut found, &mut grads);
            let norm = |g: &[f32]| crate::math::sum_of_squares(g).sqrt();
            let d_maps: Vec<f32> = host(maps.grad_remove(&mut found).unwrap());
            close(norm(&d_maps), case["input_norm"].as_f64().unwrap(), &label);
            for (id, (name, ..)) in params.tensors().enumerate() {
                let gradient = grads.get(id).unwrap_or_else(|| panic!("{label}: {name} without a gradient"));
                close(norm(gradient), case["norms"][name].as_f64().unwrap(), &format!("{label} {name}"));
            }
        }
    }
}
