//! One layer of a decoder: attention, and the feed-forward part.

use super::attention::{Cache, attend};
use super::gguf::{Fault, Gguf, Value};
use super::positions::rotate;
use super::quant::{Matrix, dot};
use super::sizes::{Architecture, Sizes, key};

/// Of so many layers of Gemma 3 the last one sees all positions.
const NEAR_AND_FAR: usize = 6;

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

/// The weights of a layer.
pub(super) struct Layer {
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
    /// Norms of what attention and feed-forward part add.
    post_norms: Option<[Vec<f32>; 2]>,
    /// Positions that are seen, its own counted, where that is not all.
    window: Option<usize>,
}

impl Layer {
    /// The layer of that number.
    pub(super) fn read(gguf: &mut Gguf, sizes: &Sizes, number: usize) -> Result<Self, Fault> {
        let Sizes { width, hidden, heads, architecture, .. } = *sizes;
        let name = |part: &str| format!("blk.{number}.{part}");
        let (q_width, kv_width) = (heads.q_width(), heads.kv_width());
        let q = Linear::read(gguf, &name("attn_q"), q_width, width)?;
        let k = Linear::read(gguf, &name("attn_k"), kv_width, width)?;
        let v = Linear::read(gguf, &name("attn_v"), kv_width, width)?;
        let mut norms = |wanted: bool, names: [&str; 2], width: usize| {
            let mut norm = |part: &str| gguf.tensor(&name(&format!("{part}.weight")), &[width]);
            if wanted { Ok::<_, Fault>(Some([norm(names[0])?, norm(names[1])?])) } else { Ok(None) }
        };
        let head_norms = norms(architecture.has_head_norms(), ["attn_q_norm", "attn_k_norm"], heads.dim)?;
        let gemma = architecture == Architecture::Gemma3;
        let post_norms = norms(gemma, ["post_attention_norm", "post_ffw_norm"], width)?;
        let near = gemma && !(number + 1).is_multiple_of(NEAR_AND_FAR);
        let window = if near { Some(window(gguf)?) } else { None };
        let mut matrix = |part: &str, rows, cols| {
            let values = gguf.tensor(&name(&format!("{part}.weight")), &[rows, cols])?;
            Ok::<_, Fault>(Matrix::new(&values, rows, cols))
        };
        Ok(Self {
            q,
            k,
            v,
            head_norms,
            out: matrix("attn_output", width, q_width)?,
            gate: matrix("ffn_gate", hidden, width)?,
            up: matrix("ffn_up", hidden, width)?,
            down: matrix("ffn_down", width, hidden)?,
            attention_norm: gguf.tensor(&name("attn_norm.weight"), &[width])?,
            mlp_norm: gguf.tensor(&name("ffn_norm.weight"), &[width])?,
            post_norms,
            window,
        })
    }

    /// Whether only the last positions are seen.
    pub(super) fn is_near(&self) -> bool {
        self.window.is_some()
    }

    /// Adds to `x`, one row for each token, what the layer makes of it. The tokens are of several texts, each with its cache in this
    /// layer and its number of tokens; `turns` are theirs in the same order.
    pub(super) fn apply(
        &self,
        sizes: &Sizes,
        x: &mut [f32],
        texts: &mut [(&mut Cache, usize)],
        turns: &[(f32, f32)],
    ) {
        let Sizes { architecture, heads, epsilon, width, .. } = *sizes;
        let n = x.len() / width;
        let h = rms_norm(x, &self.attention_norm, epsilon);
        let (mut q, mut k) = (self.q.apply(&h), self.k.apply(&h));
        if let Some([of_q, of_k]) = &self.head_norms {
            (q, k) = (rms_norm(&q, of_q, epsilon), rms_norm(&k, of_k, epsilon));
        }
        rotate(architecture, &mut q, heads.dim, n, turns);
        rotate(architecture, &mut k, heads.dim, n, turns);
        let v = self.v.apply(&h);
        let mut attended = Vec::with_capacity(q.len());
        let mut first = 0;
        for (cache, tokens) in texts {
            let rows = |width: usize| first * width..(first + *tokens) * width;
            cache.extend(heads, &k[rows(heads.kv_width())], &v[rows(heads.kv_width())]);
            attended.extend(attend(heads, &q[rows(heads.q_width())], cache, self.window));
            first += *tokens;
        }
        let attended = self.out.apply(&attended);
        let after = |norm: usize, y: Vec<f32>| match &self.post_norms {
            Some(norms) => rms_norm(&y, &norms[norm], epsilon),
            None => y,
        };
        add(x, &after(0, attended));
        let h = rms_norm(x, &self.mlp_norm, epsilon);
        let mut gate = self.gate.apply(&h);
        for (gate, up) in gate.iter_mut().zip(self.up.apply(&h)) {
            *gate = activation(architecture, *gate) * up;
        }
        add(x, &after(1, self.down.apply(&gate)));
    }
}

/// Positions that layers of Gemma 3 see.
fn window(gguf: &Gguf) -> Result<usize, Fault> {
    if let Some(Value::Int(pattern)) = gguf.value(&key(gguf, "attention.sliding_window_pattern")?)
        && usize::try_from(*pattern) != Ok(NEAR_AND_FAR)
    {
        return Err(format!("its layers see all positions in another order than every {NEAR_AND_FAR}th"));
    }
    gguf.count(&key(gguf, "attention.sliding_window")?, 1..=1 << 24)
}

/// SiLU, or GELU in the form of the hyperbolic tangent.
fn activation(architecture: Architecture, x: f32) -> f32 {
    match architecture {
        Architecture::Gemma3 => {
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        _ => x / (1.0 + (-x).exp()),
    }
}

/// Each row of `x` divided by the root of its mean square, times `weight`.
pub(super) fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
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
