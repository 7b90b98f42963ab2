//! What a model is, read from metadata and checked.

use super::attention::Heads;
use super::gguf::{Fault, Gguf, Value};
use super::quant::BLOCK;

/// What tells the architectures apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    /// Positions turn neighbouring values of a head.
    Llama,
    /// Positions turn values that are half a head apart; queries, keys and values have biases.
    Qwen2,
    /// As Qwen2, with a norm over each head of queries and keys in place of biases.
    Qwen3,
    /// As Qwen3, with norms also after attention and feed-forward layer, GELU, scaled embeddings, and most layers seeing only the
    /// last positions.
    Gemma3,
}

impl Architecture {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Llama, "llama"), (Self::Qwen2, "qwen2"), (Self::Qwen3, "qwen3"), (Self::Gemma3, "gemma3")];

    /// Whether each head of queries and keys has a norm.
    pub(super) fn has_head_norms(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Gemma3)
    }
}

/// Sizes of a model, read from metadata and checked against each other.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    pub(super) architecture: Architecture,
    pub(super) layers: usize,
    pub(super) width: usize,
    pub(super) heads: Heads,
    pub(super) hidden: usize,
    pub(super) epsilon: f32,
}

fn architecture(gguf: &Gguf) -> Result<(Architecture, &'static str), Fault> {
    let said = gguf.text("general.architecture")?;
    Architecture::ALL.into_iter().find(|(_, name)| *name == said).ok_or_else(|| {
        format!(
            "its architecture is `{said}`, and only `llama`, `qwen2`, `qwen3` and `gemma3` run here \
             (serve it with llama.cpp or another server and give its URL instead)"
        )
    })
}

/// The name of a metadata entry of the model's architecture.
pub(super) fn key(gguf: &Gguf, name: &str) -> Result<String, Fault> {
    Ok(format!("{}.{name}", architecture(gguf)?.1))
}

/// Whether a bias is one of queries, keys or values.
fn known_bias(name: &str) -> bool {
    ["attn_q.bias", "attn_k.bias", "attn_v.bias"].iter().any(|known| name.ends_with(&format!(".{known}")))
}

/// Layers of Gemma 3 27B, which divides scores by the root of width over heads; the smaller ones by that of a head's width, as all
/// others do (llama.cpp's `gemma3.cpp`, `f_attention_scale`).
const LARGEST_GEMMA: usize = 62;

/// The sizes of a model that can be loaded.
pub(super) fn sizes(gguf: &Gguf) -> Result<Sizes, Fault> {
    let (architecture, prefix) = architecture(gguf)?;
    let key = |name: &str| format!("{prefix}.{name}");
    if gguf.value(&key("expert_count")).is_some_and(|v| !matches!(v, Value::Int(0 | 1))) {
        return Err("mixtures of experts are not supported".into());
    }
    if let Some(Value::Text(kind)) = gguf.value(&key("rope.scaling.type"))
        && kind != "none"
        && (architecture, kind.as_str()) != (Architecture::Gemma3, "linear")
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
    if architecture == Architecture::Gemma3 && sizes.layers == LARGEST_GEMMA {
        return Err(
            "the largest Gemma 3 (27 B) scales its attention in another way; name a server that runs it"
                .into(),
        );
    }
    let blocks = [width, heads * head_dim, sizes.hidden].iter().all(|n| n.is_multiple_of(BLOCK));
    if !blocks || head_dim % 2 != 0 || heads % kv_heads != 0 {
        return Err(format!("its sizes do not fit together: {sizes:?}"));
    }
    Ok(sizes)
}
