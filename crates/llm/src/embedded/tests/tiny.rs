//! Models small enough to be made here, with random weights: their metadata, words and tensors.

use std::io::Cursor;

use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};

const WIDTH: usize = 64;
const HIDDEN: usize = 96;
/// The last of Gemma's six layers sees all positions, the others the last [`WINDOW`].
fn layers(architecture: &str) -> usize {
    if architecture == "gemma3" { 6 } else { 2 }
}

const WINDOW: usize = 40;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;

/// Every byte as GPT-2 writes it, a few merged tokens, and ChatML's control tokens.
fn tokens() -> (Vec<String>, Vec<i32>, Vec<String>) {
    let control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
    let mut tokens: Vec<String> = control.map(String::from).into();
    let mut moved = 256;
    for byte in 0..=255u32 {
        let printable = matches!(byte, 33..=126 | 161..=172 | 174..=255);
        let code = if printable { byte } else { moved };
        moved += u32::from(!printable);
        tokens.push(char::from_u32(code).unwrap().to_string());
    }
    let merges = ["k i", "n d", "ki nd", "l s", "t m", "ls tm"];
    tokens.extend(merges.iter().map(|m| m.replace(' ', "")));
    let mut types = vec![1; tokens.len()];
    types[..control.len()].fill(3);
    (tokens, types, merges.map(String::from).into())
}

fn metadata(architecture: &str) -> Vec<(String, gguf_file::Value)> {
    use gguf_file::Value::{Array, F32, I32, String as Text, U32};
    let (tokens, types, merges) = tokens();
    let texts = |list: Vec<String>| Array(list.into_iter().map(Text).collect());
    let of_model = [
        ("context_length", U32(256)),
        ("embedding_length", U32(WIDTH as u32)),
        ("feed_forward_length", U32(HIDDEN as u32)),
        ("block_count", U32(layers(architecture) as u32)),
        ("attention.head_count", U32(HEADS as u32)),
        ("attention.head_count_kv", U32(KV_HEADS as u32)),
        ("attention.key_length", U32((WIDTH / HEADS) as u32)),
        ("rope.dimension_count", U32((WIDTH / HEADS) as u32)),
        ("rope.freq_base", F32(1000.0)),
        ("attention.layer_norm_rms_epsilon", F32(1e-5)),
        ("attention.value_length", U32((WIDTH / HEADS) as u32)),
        ("attention.sliding_window", U32(WINDOW as u32)),
    ];
    let mut others = vec![
        ("general.architecture", Text(architecture.into())),
        // What candle computes Qwen 3 in: 32 bits.
        ("general.dtype", U32(0)),
        ("tokenizer.ggml.model", Text("gpt2".into())),
        ("tokenizer.ggml.pre", Text("smollm".into())),
        ("tokenizer.ggml.tokens", texts(tokens)),
        ("tokenizer.ggml.token_type", Array(types.into_iter().map(I32).collect())),
        ("tokenizer.ggml.merges", texts(merges)),
        ("tokenizer.ggml.eos_token_id", U32(2)),
    ];
    if architecture == "gemma3" {
        others = pieces_metadata();
    }
    let of_model = of_model.into_iter().map(|(key, value)| (format!("{architecture}.{key}"), value));
    of_model.chain(others.into_iter().map(|(key, value)| (key.to_owned(), value))).collect()
}

/// Gemma's control tokens, a piece for each byte, and some others, spaces written as `▁`; the longer the likelier.
fn pieces() -> (Vec<String>, Vec<i32>, Vec<f32>) {
    let control = ["<unk>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"];
    let mut tokens: Vec<String> = control.map(String::from).into();
    let mut types = vec![2, 3, 3, 3, 3];
    tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    types.resize(tokens.len(), 6);
    tokens.push("\n\n".into());
    types.push(4);
    let first = tokens.len();
    tokens.extend((b'a'..=b'z').map(|letter| char::from(letter).to_string()));
    tokens.extend(["\u{2581}", "{", "}", ":", ",", "\"", "[", "]", "0", "1", "2"].map(String::from));
    tokens.extend(["th", "the", "\u{2581}the", "re", "\u{2581}there", "ki", "nd", "kind"].map(String::from));
    types.resize(tokens.len(), 1);
    let score = |(at, token): (usize, &String)| if at < first { 0.0 } else { token.chars().count() as f32 };
    let scores = tokens.iter().enumerate().map(score).collect();
    (tokens, types, scores)
}

fn pieces_metadata() -> Vec<(&'static str, gguf_file::Value)> {
    use gguf_file::Value::{Array, Bool, F32, I32, String as Text, U32};
    let (tokens, types, scores) = pieces();
    vec![
        ("general.architecture", Text("gemma3".into())),
        ("tokenizer.ggml.model", Text("llama".into())),
        ("tokenizer.ggml.pre", Text("default".into())),
        ("tokenizer.ggml.tokens", Array(tokens.into_iter().map(Text).collect())),
        ("tokenizer.ggml.scores", Array(scores.into_iter().map(F32).collect())),
        ("tokenizer.ggml.token_type", Array(types.into_iter().map(I32).collect())),
        ("tokenizer.ggml.bos_token_id", U32(1)),
        ("tokenizer.ggml.eos_token_id", U32(2)),
        ("tokenizer.ggml.unknown_token_id", U32(0)),
        ("tokenizer.ggml.add_bos_token", Bool(true)),
        ("tokenizer.ggml.add_space_prefix", Bool(false)),
    ]
}

fn vocabulary_size(architecture: &str) -> usize {
    if architecture == "gemma3" { pieces().0.len() } else { tokens().0.len() }
}

/// Weights in Q8_0, which loading here brings over without loss.
pub(super) fn weights(architecture: &str) -> Vec<(String, QTensor)> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let kv = WIDTH / HEADS * KV_HEADS;
    let vocab = vocabulary_size(architecture);
    let mut shapes = vec![
        ("token_embd.weight".to_owned(), vec![vocab, WIDTH]),
        ("output_norm.weight".into(), vec![WIDTH]),
    ];
    for i in 0..layers(architecture) {
        for (name, shape) in [
            ("attn_norm", vec![WIDTH]),
            ("attn_q", vec![WIDTH, WIDTH]),
            ("attn_k", vec![kv, WIDTH]),
            ("attn_v", vec![kv, WIDTH]),
            ("attn_output", vec![WIDTH, WIDTH]),
            ("ffn_norm", vec![WIDTH]),
            ("ffn_gate", vec![HIDDEN, WIDTH]),
            ("ffn_up", vec![HIDDEN, WIDTH]),
            ("ffn_down", vec![WIDTH, HIDDEN]),
        ] {
            shapes.push((format!("blk.{i}.{name}.weight"), shape));
        }
        let more = match architecture {
            "qwen2" => {
                vec![("attn_q.bias", vec![WIDTH]), ("attn_k.bias", vec![kv]), ("attn_v.bias", vec![kv])]
            }
            "qwen3" => ["attn_q_norm.weight", "attn_k_norm.weight"].map(|n| (n, vec![WIDTH / HEADS])).into(),
            "gemma3" => vec![
                ("attn_q_norm.weight", vec![WIDTH / HEADS]),
                ("attn_k_norm.weight", vec![WIDTH / HEADS]),
                ("post_attention_norm.weight", vec![WIDTH]),
                ("post_ffw_norm.weight", vec![WIDTH]),
            ],
            _ => Vec::new(),
        };
        shapes.extend(more.into_iter().map(|(name, shape)| (format!("blk.{i}.{name}"), shape)));
    }
    let mut make = |(name, shape): (String, Vec<usize>)| {
        let n = shape.iter().product();
        let (norm, flat) = (name.ends_with("norm.weight"), shape.len() == 1);
        let spread = if norm { 0.9..1.1 } else { -0.25..0.25 };
        let values: Vec<f32> = (0..n).map(|_| rng.random_range(spread.clone())).collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        let dtype = if flat { GgmlDType::F32 } else { GgmlDType::Q8_0 };
        (name, QTensor::quantize(&tensor, dtype).unwrap())
    };
    shapes.into_iter().map(&mut make).collect()
}

/// The tiny model as a file, with some of its metadata replaced.
pub(super) fn tiny(changes: &[(&str, gguf_file::Value)]) -> Vec<u8> {
    file("llama", changes, &weights("llama"))
}

pub(super) fn file(
    architecture: &str,
    changes: &[(&str, gguf_file::Value)],
    weights: &[(String, QTensor)],
) -> Vec<u8> {
    let mut entries = metadata(architecture);
    for (key, value) in changes {
        entries.retain(|(known, _)| known != key);
        entries.push(((*key).to_owned(), value.clone()));
    }
    let entries: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let weights: Vec<_> = weights.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &entries, &weights).unwrap();
    file.into_inner()
}

pub(super) fn tiny_gemma() -> Vec<u8> {
    file("gemma3", &[], &weights("gemma3"))
}
