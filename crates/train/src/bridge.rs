//! From a feature map to memory tokens: linear layer and layer norm (see [`BridgeSpec`]).

use crate::macs;
use crate::math::Dropout;
use crate::params::Params;
use burn::tensor::{Tensor, TensorData};
use capwright_blueprint::BridgeSpec;
use capwright_blueprint::language::Memory;

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
    let [batch, count, channels] = cells.dims();
    let tokens: Tensor<2> = match spec.memory {
        Memory::Grid => cells.reshape([batch * count, channels]),
        Memory::Global => cells.mean_dim(1).reshape([batch, channels]),
    };
    let x = linear(params, "bridge.proj", tokens);
    let memory = dropped(layer_norm(params, "bridge.norm", x), spec.dropout_pct, dropout);
    memory.reshape([batch, spec.tokens(), spec.dim])
}

/// A counted matrix product; see [`crate::macs`].
pub(crate) fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    macs::add(a.dims().iter().product::<usize>() * b.dims()[D - 1]);
    a.matmul(b)
}

/// `x Wᵀ + b`.
pub(crate) fn linear(params: &Params, name: &str, x: Tensor<2>) -> Tensor<2> {
    let bias = params.get::<1>(&format!("{name}.bias"));
    matmul(x, params.get::<2>(&format!("{name}.weight")).transpose()) + bias.unsqueeze::<2>()
}

/// Layer norm over the last dimension, eps 1e-5 (Ba et al. 2016).
pub(crate) fn layer_norm(params: &Params, name: &str, x: Tensor<2>) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = centred.clone().square().mean_dim(1);
    let normed = centred * variance.add_scalar(1e-5).sqrt().recip();
    let weight = params.get::<1>(&format!("{name}.weight")).unsqueeze::<2>();
    normed * weight + params.get::<1>(&format!("{name}.bias")).unsqueeze::<2>()
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
