//! Rotary positions (Su et al. 2021).

use super::gguf::{Fault, Gguf};
use super::sizes::{Architecture, key};

/// Radians per position for each pair of a head. `rope_freqs.weight` (Llama 3) stretches slow ones.
pub(super) fn frequencies(gguf: &mut Gguf, head_dim: usize) -> Result<Vec<f32>, Fault> {
    let rotated = match gguf.value(&key(gguf, "rope.dimension_count")?) {
        Some(_) => gguf.count(&key(gguf, "rope.dimension_count")?, 2..=head_dim)?,
        None => head_dim,
    };
    if rotated != head_dim {
        return Err(format!("it rotates {rotated} of {head_dim} values in a head, which is not supported"));
    }
    let base = match gguf.value(&key(gguf, "rope.freq_base")?) {
        Some(_) => gguf.positive(&key(gguf, "rope.freq_base")?)?,
        None => 10_000.0,
    };
    let pairs = head_dim / 2;
    let stretch = match gguf.shape("rope_freqs.weight") {
        Some(_) => gguf.tensor("rope_freqs.weight", &[pairs])?,
        None => vec![1.0; pairs],
    };
    // Longer contexts than a model began with: positions lie closer.
    let closer = match gguf.value(&key(gguf, "rope.scaling.factor")?) {
        Some(_) => gguf.positive(&key(gguf, "rope.scaling.factor")?)?,
        None => 1.0,
    };
    Ok(plain(base, head_dim).zip(stretch).map(|(f, stretch)| f / stretch / closer).collect())
}

/// Those of layers that see only the last positions (Gemma 3).
pub(super) fn near_frequencies(head_dim: usize) -> Vec<f32> {
    plain(10_000.0, head_dim).collect()
}

fn plain(base: f32, head_dim: usize) -> impl Iterator<Item = f32> {
    (0..head_dim / 2).map(move |i| base.powf(-2.0 * i as f32 / head_dim as f32))
}

/// Sine and cosine for `n` positions from `first` on, pair by pair.
pub(super) fn turns(frequencies: &[f32], first: usize, n: usize) -> Vec<(f32, f32)> {
    let positions = first..first + n;
    positions.flat_map(|p| frequencies.iter().map(move |f| (p as f32 * f).sin_cos())).collect()
}

/// Turns each pair of each head of `x`, which holds `n` rows: values `2i` and `2i + 1`, or `i` and `i + head_dim / 2`.
pub(super) fn rotate(
    architecture: Architecture,
    x: &mut [f32],
    head_dim: usize,
    n: usize,
    turns: &[(f32, f32)],
) {
    let (width, pairs) = (x.len() / n, head_dim / 2);
    let place = |pair: usize| match architecture {
        Architecture::Llama => (2 * pair, 2 * pair + 1),
        Architecture::Qwen2 | Architecture::Qwen3 | Architecture::Gemma3 => (pair, pair + pairs),
    };
    for (row, turns) in x.chunks_exact_mut(width).zip(turns.chunks_exact(pairs)) {
        for head in row.chunks_exact_mut(head_dim) {
            for (pair, (sin, cos)) in turns.iter().enumerate() {
                let (first, second) = place(pair);
                let (a, b) = (head[first], head[second]);
                head[first] = a * cos - b * sin;
                head[second] = a * sin + b * cos;
            }
        }
    }
}
