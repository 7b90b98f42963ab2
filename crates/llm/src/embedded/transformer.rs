//! A decoder transformer over a GGUF file, for one sequence on the CPU.
//!
//! The architectures are llama.cpp's `llama`, `qwen2` and `qwen3` (RMS norm, rotary positions, grouped-query attention, SwiGLU),
//! with the tensor names of that project. candle's own quantized models copy their whole key-value cache at each token and
//! cannot shorten it; here the cache is appended to and cut, so that requests with a common beginning share the work for it.

use std::time::Instant;

use super::attention::{Cache, Heads, attend};
use super::gguf::{Fault, Gguf, Value};
use super::quant::{BLOCK, Matrix, dot};

/// Tokens of a prompt that go through the layers together.
const CHUNK: usize = 64;

/// What tells the architectures apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Architecture {
    /// Positions turn neighbouring values of a head.
    Llama,
    /// Positions turn values that are half a head apart; queries, keys and values have biases.
    Qwen2,
    /// As Qwen2, with a norm over each head of queries and keys in place of biases.
    Qwen3,
}

impl Architecture {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Llama, "llama"), (Self::Qwen2, "qwen2"), (Self::Qwen3, "qwen3")];
}

/// Sizes of a model, read from metadata and checked against each other.
#[derive(Debug, Clone)]
struct Sizes {
    architecture: Architecture,
    layers: usize,
    width: usize,
    heads: Heads,
    hidden: usize,
    epsilon: f32,
}

struct Layer {
    attention_norm: Vec<f32>,
    q: Linear,
    k: Linear,
    v: Linear,
    /// Norms over each head of queries and of keys.
    head_norms: Option<[Vec<f32>; 2]>,
    out: Matrix,
    mlp_norm: Vec<f32>,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
    cache: Cache,
}

/// A matrix and what is added to its products.
struct Linear {
    weight: Matrix,
    bias: Option<Vec<f32>>,
}

impl Linear {
    fn read(gguf: &mut Gguf, name: &str, rows: usize, cols: usize) -> Result<Self, Fault> {
        let weight = Matrix::new(&gguf.tensor(&format!("{name}.weight"), &[rows, cols])?, rows, cols);
        let bias = format!("{name}.bias");
        let bias = gguf.shape(&bias).is_some().then(|| gguf.tensor(&bias, &[rows])).transpose()?;
        Ok(Self { weight, bias })
    }

    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut y = self.weight.apply(x);
        if let Some(bias) = &self.bias {
            y.chunks_exact_mut(bias.len()).for_each(|row| add(row, bias));
        }
        y
    }
}

/// The weights, and the cache of the tokens fed so far.
pub(crate) struct Transformer {
    sizes: Sizes,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// `None` when the embedding serves as the output matrix too.
    output: Option<Matrix>,
    /// Rotation per position and pair, in radians per position.
    frequencies: Vec<f32>,
    max_positions: usize,
    fed: usize,
}

/// The deadline passed while tokens were fed.
pub(crate) struct OutOfTime;

impl Transformer {
    /// Loads the weights. At most `max_positions` tokens can be fed, or fewer if the model was made for fewer.
    pub(crate) fn load(gguf: &mut Gguf, vocab: usize, max_positions: usize) -> Result<Self, Fault> {
        let sizes = sizes(gguf)?;
        let frequencies = frequencies(gguf, sizes.heads.dim)?;
        let trained_for = gguf.count(&key(gguf, "context_length")?, 1..=1 << 24)?;
        let Sizes { width, hidden, .. } = sizes;
        let (q_width, kv_width) = (sizes.heads.q_width(), sizes.heads.kv_width());
        let mut layers = Vec::new();
        for i in 0..sizes.layers {
            let head_norms = match sizes.architecture {
                Architecture::Qwen3 => Some([
                    gguf.tensor(&format!("blk.{i}.attn_q_norm.weight"), &[sizes.heads.dim])?,
                    gguf.tensor(&format!("blk.{i}.attn_k_norm.weight"), &[sizes.heads.dim])?,
                ]),
                Architecture::Llama | Architecture::Qwen2 => None,
            };
            let q = Linear::read(gguf, &format!("blk.{i}.attn_q"), q_width, width)?;
            let k = Linear::read(gguf, &format!("blk.{i}.attn_k"), kv_width, width)?;
            let v = Linear::read(gguf, &format!("blk.{i}.attn_v"), kv_width, width)?;
            let mut matrix = |name: &str, rows, cols| {
                let values = gguf.tensor(&format!("blk.{i}.{name}.weight"), &[rows, cols])?;
                Ok::<_, Fault>(Matrix::new(&values, rows, cols))
            };
            layers.push(Layer {
                q,
                k,
                v,
                head_norms,
                out: matrix("attn_output", width, q_width)?,
                gate: matrix("ffn_gate", hidden, width)?,
                up: matrix("ffn_up", hidden, width)?,
                down: matrix("ffn_down", width, hidden)?,
                attention_norm: gguf.tensor(&format!("blk.{i}.attn_norm.weight"), &[width])?,
                mlp_norm: gguf.tensor(&format!("blk.{i}.ffn_norm.weight"), &[width])?,
                cache: Cache::default(),
            });
        }
        let embedding = Matrix::new(&gguf.tensor("token_embd.weight", &[vocab, width])?, vocab, width);
        let output = match gguf.shape("output.weight") {
            Some(_) => Some(Matrix::new(&gguf.tensor("output.weight", &[vocab, width])?, vocab, width)),
            None => None,
        };
        let norm = gguf.tensor("output_norm.weight", &[width])?;
        let max_positions = max_positions.min(trained_for);
        Ok(Self { sizes, embedding, layers, norm, output, frequencies, max_positions, fed: 0 })
    }

    /// Whether the metadata describes a model that can be loaded.
    pub(crate) fn check(gguf: &Gguf) -> Result<(), Fault> {
        sizes(gguf).map(drop)
    }

    /// How many tokens can be fed in all.
    pub(crate) fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// How many tokens are in the cache.
    pub(crate) fn fed(&self) -> usize {
        self.fed
    }

    /// Forgets all tokens after the first `n`.
    pub(crate) fn keep(&mut self, n: usize) {
        let n = n.min(self.fed);
        let heads = self.sizes.heads;
        self.layers.iter_mut().for_each(|layer| layer.cache.truncate(heads, n));
        self.fed = n;
    }

    /// Feeds tokens (each below the vocabulary size, no more than there is room for) and returns the
    /// scores of what comes next, one for each of `wanted`, or of the whole vocabulary. `None` for no tokens.
    ///
    /// # Errors
    /// [`OutOfTime`] when `until` passes; the tokens of whole chunks stay in the cache then.
    pub(crate) fn feed(
        &mut self,
        tokens: &[u32],
        wanted: Option<&[u32]>,
        until: Instant,
    ) -> Result<Option<Vec<f32>>, OutOfTime> {
        let mut last = None;
        for chunk in tokens.chunks(CHUNK) {
            if Instant::now() >= until {
                return Err(OutOfTime);
            }
            let x = self.through_layers(chunk);
            last = Some(x[x.len() - self.sizes.width..].to_vec());
        }
        Ok(last.map(|x| {
            let x = rms_norm(&x, &self.norm, self.sizes.epsilon);
            let output = self.output.as_ref().unwrap_or(&self.embedding);
            wanted.map_or_else(|| output.apply(&x), |rows| output.apply_rows(&x, rows))
        }))
    }

    /// Hidden states, one row of `width` per token.
    fn through_layers(&mut self, tokens: &[u32]) -> Vec<f32> {
        let Sizes { architecture, width, heads, epsilon, .. } = self.sizes;
        let mut x = vec![0.0; tokens.len() * width];
        for (row, token) in x.chunks_exact_mut(width).zip(tokens) {
            self.embedding.read_row(*token as usize, row);
        }
        let turns = turns(&self.frequencies, self.fed, tokens.len());
        for layer in &mut self.layers {
            let h = rms_norm(&x, &layer.attention_norm, epsilon);
            let (mut q, mut k) = (layer.q.apply(&h), layer.k.apply(&h));
            if let Some([of_q, of_k]) = &layer.head_norms {
                (q, k) = (rms_norm(&q, of_q, epsilon), rms_norm(&k, of_k, epsilon));
            }
            rotate(architecture, &mut q, heads.dim, tokens.len(), &turns);
            rotate(architecture, &mut k, heads.dim, tokens.len(), &turns);
            layer.cache.extend(heads, &k, &layer.v.apply(&h));
            let attended = attend(heads, &q, &layer.cache);
            add(&mut x, &layer.out.apply(&attended));

            let h = rms_norm(&x, &layer.mlp_norm, epsilon);
            let mut gate = layer.gate.apply(&h);
            for (gate, up) in gate.iter_mut().zip(layer.up.apply(&h)) {
                *gate *= up / (1.0 + (-*gate).exp());
            }
            add(&mut x, &layer.down.apply(&gate));
        }
        self.fed += tokens.len();
        x
    }
}

fn architecture(gguf: &Gguf) -> Result<(Architecture, &'static str), Fault> {
    let said = gguf.text("general.architecture")?;
    Architecture::ALL.into_iter().find(|(_, name)| *name == said).ok_or_else(|| {
        format!(
            "its architecture is `{said}`, and only `llama`, `qwen2` and `qwen3` run here \
             (serve it with llama.cpp or another server and give its URL instead)"
        )
    })
}

/// The name of a metadata entry of the model's architecture.
fn key(gguf: &Gguf, name: &str) -> Result<String, Fault> {
    Ok(format!("{}.{name}", architecture(gguf)?.1))
}

/// Whether a bias is one of queries, keys or values.
fn known_bias(name: &str) -> bool {
    ["attn_q.bias", "attn_k.bias", "attn_v.bias"].iter().any(|known| name.ends_with(&format!(".{known}")))
}

fn sizes(gguf: &Gguf) -> Result<Sizes, Fault> {
    let (architecture, prefix) = architecture(gguf)?;
    let key = |name: &str| format!("{prefix}.{name}");
    if gguf.value(&key("expert_count")).is_some_and(|v| !matches!(v, Value::Int(0 | 1))) {
        return Err("mixtures of experts are not supported".into());
    }
    if let Some(Value::Text(kind)) = gguf.value(&key("rope.scaling.type"))
        && kind != "none"
    {
        return Err(format!("its position scaling `{kind}` is not supported"));
    }
    if let Some(name) = gguf.tensor_names().find(|name| name.ends_with(".bias") && !known_bias(name)) {
        return Err(format!("it has a bias `{name}`, which is not supported"));
    }
    let width = gguf.count(&key("embedding_length"), BLOCK..=1 << 16)?;
    let heads = gguf.count(&key("attention.head_count"), 1..=1024)?;
    let kv_heads = gguf.count(&key("attention.head_count_kv"), 1..=1024).or_else(|fault| {
        if gguf.value(&key("attention.head_count_kv")).is_none() { Ok(heads) } else { Err(fault) }
    })?;
    let head_dim = match gguf.value(&key("attention.key_length")) {
        Some(_) => gguf.count(&key("attention.key_length"), 2..=1024)?,
        None => width / heads,
    };
    let sizes = Sizes {
        architecture,
        layers: gguf.count(&key("block_count"), 1..=1024)?,
        width,
        heads: Heads { q: heads, kv: kv_heads, dim: head_dim },
        hidden: gguf.count(&key("feed_forward_length"), BLOCK..=1 << 18)?,
        epsilon: gguf.positive(&key("attention.layer_norm_rms_epsilon"))?,
    };
    let blocks = [width, heads * head_dim, sizes.hidden].iter().all(|n| n.is_multiple_of(BLOCK));
    if !blocks || head_dim % 2 != 0 || heads % kv_heads != 0 {
        return Err(format!("its sizes do not fit together: {sizes:?}"));
    }
    Ok(sizes)
}

/// Radians per position for each pair of a head. `rope_freqs.weight` (Llama 3) stretches slow ones.
fn frequencies(gguf: &mut Gguf, head_dim: usize) -> Result<Vec<f32>, Fault> {
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
    let plain = (0..pairs).map(|i| base.powf(-2.0 * i as f32 / head_dim as f32));
    Ok(plain.zip(stretch).map(|(f, stretch)| f / stretch).collect())
}

/// Sine and cosine for `n` positions from `first` on, pair by pair.
fn turns(frequencies: &[f32], first: usize, n: usize) -> Vec<(f32, f32)> {
    let positions = first..first + n;
    positions.flat_map(|p| frequencies.iter().map(move |f| (p as f32 * f).sin_cos())).collect()
}

/// Turns each pair of each head of `x`, which holds `n` rows: values `2i` and `2i + 1`, or `i` and `i + head_dim / 2`.
fn rotate(architecture: Architecture, x: &mut [f32], head_dim: usize, n: usize, turns: &[(f32, f32)]) {
    let (width, pairs) = (x.len() / n, head_dim / 2);
    let place = |pair: usize| match architecture {
        Architecture::Llama => (2 * pair, 2 * pair + 1),
        Architecture::Qwen2 | Architecture::Qwen3 => (pair, pair + pairs),
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

fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(weight.len()) {
        let mean = dot(row, row) / row.len() as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        out.extend(row.iter().zip(weight).map(|(x, w)| x * scale * w));
    }
    out
}

fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
