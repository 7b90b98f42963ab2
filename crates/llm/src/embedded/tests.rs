//! A tiny random model made here (so that these tests need no download), damaged files, and the real default
//! model when it is in the cache.

use std::io::Cursor;
use std::time::Duration;

use candle_core::quantized::gguf_file;
use candle_core::{Device, Tensor};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::transformer::Fed;
use super::*;
use tiny::{file, tiny, tiny_gemma, weights};

mod tiny;

fn load_bytes(bytes: &[u8]) -> Result<Embedded, LlmError> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tiny.gguf");
    std::fs::write(&path, bytes).unwrap();
    Embedded::load(&path, &Options { threads: 2, ..Options::default() })
}

fn fault(bytes: &[u8]) -> String {
    match load_bytes(bytes) {
        Err(error @ LlmError::BadModel { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn schema() -> Json {
    let object = |fields: Json, required: Json| json!({"type": "object", "properties": fields, "required": required, "additionalProperties": false});
    let kinds = json!({"enum": ["lstm", "gru"]});
    object(
        json!({"kind": kinds, "sizes": {"type": "array", "items": {"enum": [1, 20]}, "minItems": 1, "maxItems": 3}}),
        json!(["kind", "sizes"]),
    )
}

/// Written again by hand rather than with a validator: three lines say all of [`schema`].
fn conforms(text: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Json>(text) else { return false };
    let written = value.to_string();
    let compact = written == text;
    let sizes = value["sizes"].as_array().is_some_and(|sizes| {
        (1..=3).contains(&sizes.len()) && sizes.iter().all(|n| [json!(1), json!(20)].contains(n))
    });
    compact && sizes && [json!("lstm"), json!("gru")].contains(&value["kind"])
}

fn request(seed: u64) -> Request {
    Request {
        schema: Some(schema()),
        seed,
        temperature: 1.0,
        ..Request::new("You design.", "Write one design.")
    }
}

/// Scores of the token after these.
fn candle(architecture: &str, bytes: &[u8], tokens: &Tensor) -> Tensor {
    use candle_transformers::models::{quantized_llama, quantized_qwen2, quantized_qwen3};
    let (mut file, device) = (Cursor::new(bytes), Device::Cpu);
    let content = gguf_file::Content::read(&mut file).unwrap();
    let scores = match architecture {
        "llama" => quantized_llama::ModelWeights::from_gguf(content, &mut file, &device)
            .and_then(|mut model| model.forward(tokens, 0)),
        "qwen2" => quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &device)
            .and_then(|mut model| model.forward(tokens, 0)),
        _ => quantized_qwen3::ModelWeights::from_gguf(content, &mut file, &device)
            .and_then(|mut model| model.forward(tokens, 0)),
    };
    scores.unwrap()
}

fn feed(model: &Embedded, memory: &mut Memory, tokens: &[u32], until: Instant) -> Vec<f32> {
    let (first, last) = tokens.split_at(tokens.len() - 1);
    model.transformer.read(memory, first, until).ok().expect("it is read in time");
    let scores = model.transformer.feed(&mut [Fed { memory, tokens: last, wanted: None }], until);
    scores.ok().and_then(|mut scores| scores.pop()).expect("scores in time")
}

#[test]
fn scores_agree_with_those_of_candle() {
    for architecture in ["llama", "qwen2", "qwen3"] {
        let bytes = file(architecture, &[], &weights(architecture));
        let (model, mut memory) = (load_bytes(&bytes).unwrap(), Memory::default());
        let until = Instant::now() + Duration::from_secs(600);
        // More than one chunk, then single tokens, then what is left after a cut.
        let prompt: Vec<u32> = (0..150).map(|i| (i * 37 + 11) % 250).collect();
        let mut fed = 0;
        for end in [100, 101, 102, 150] {
            let part = &prompt[fed..end];
            // The reference reads all at once: its Qwen 3 gives other scores for a prompt in several parts.
            let input = Tensor::new(&prompt[..end], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let expected =
                candle(architecture, &bytes, &input).flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let got = feed(&model, &mut memory, part, until);
            assert_eq!(got.len(), expected.len());
            let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
            let size = norm(&mut expected.iter().copied());
            let distance = norm(&mut got.iter().zip(&expected).map(|(a, b)| a - b));
            // Activations are rounded to eight bits here: half a per cent each time, fifteen times in a row.
            assert!(distance < 0.03 * size, "{architecture}: {distance} of {size} at {end}");
            fed = end;
        }
        let whole = feed(&model, &mut memory, &[7], until);
        model.transformer.keep(&mut memory, 90);
        let rest = [&prompt[90..], &[7]].concat();
        let again = feed(&model, &mut memory, &rest, until);
        assert_eq!(whole, again, "a shortened cache is as good as new");
    }
}

/// What `tests/fixtures/gemma.py` asked llama.cpp about the tiny Gemma: its sha256, and after so many tokens of the prompt the
/// log-probability of each next one.
const GEMMA: &str = include_str!("../../tests/fixtures/gemma.json");

#[test]
#[ignore = "writes the model that tests/fixtures/gemma.py asks llama.cpp about, to CAPWRIGHT_TINY_GEMMA"]
fn write_the_tiny_gemma() {
    let path = std::env::var("CAPWRIGHT_TINY_GEMMA").unwrap();
    std::fs::write(path, tiny_gemma()).unwrap();
}

#[test]
fn gemma_agrees_with_llama_cpp() {
    let recorded: Json = serde_json::from_str(GEMMA).unwrap();
    let bytes = tiny_gemma();
    let (mut model, mut memory) = (load_bytes(&bytes).unwrap(), Memory::default());
    let until = Instant::now() + Duration::from_secs(600);
    let prompt: Vec<u32> =
        recorded["prompt"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
    let mut fed = 0;
    for (end, wanted) in recorded["after"].as_array().unwrap().iter().map(|pair| (&pair[0], &pair[1])) {
        let end = end.as_u64().unwrap() as usize;
        let wanted: Vec<f32> =
            wanted.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        let got = feed(&model, &mut memory, &prompt[fed..end], until);
        fed = end;
        let total: f32 = got.iter().map(|x| x.exp()).sum();
        let got: Vec<f32> = got.iter().map(|x| x - total.ln()).collect();
        // About their means: a constant is no difference between tokens.
        let centred = |x: &[f32]| {
            let mean = x.iter().sum::<f32>() / x.len() as f32;
            x.iter().map(|x| x - mean).collect::<Vec<f32>>()
        };
        let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
        let size = norm(&mut centred(&wanted).into_iter());
        let distance = norm(&mut got.iter().zip(&wanted).map(|(a, b)| a - b));
        assert!(distance < 0.05 * size, "{distance} of {size} after {end}");
    }
    for (text, tokens) in recorded["texts"].as_object().unwrap() {
        let wanted: Vec<u32> =
            tokens.as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
        assert_eq!(model.vocabulary.encode(text), wanted, "{text:?}");
        assert_eq!(&model.vocabulary.decode(&wanted), text);
    }
    for seed in 0..5 {
        let text = model.generate(&request(seed)).unwrap().text;
        assert!(conforms(&text), "{text}");
    }
}

#[test]
fn qwen_splits_digits_composes_characters_and_is_shown_that_it_has_thought() {
    use gguf_file::Value::String as Text;
    let pre = ("tokenizer.ggml.pre", Text("qwen2".into()));
    let bytes = |more: &[(&str, gguf_file::Value)]| {
        file("qwen3", &[std::slice::from_ref(&pre), more].concat(), &weights("qwen3"))
    };
    let plain = load_bytes(&bytes(&[])).unwrap();
    assert_eq!(plain.count_tokens("kind12"), 3);
    assert_eq!(plain.vocabulary.encode("e\u{301}"), plain.vocabulary.encode("\u{e9}"));
    let thinker = load_bytes(&bytes(&[(
        "tokenizer.chat_template",
        Text("{% if enable_thinking is false %}<think>{% endif %}".into()),
    )]))
    .unwrap();
    let prompt =
        |model: &Embedded| model.vocabulary.decode(&model.template.prompt(&model.vocabulary, "", "hi"));
    assert!(prompt(&plain).ends_with("assistant\n"), "{}", prompt(&plain));
    assert!(prompt(&thinker).ends_with("assistant\n<think>\n\n</think>\n\n"), "{}", prompt(&thinker));
}

#[test]
fn even_random_weights_write_what_the_schema_says() {
    let mut model = load_bytes(&tiny(&[])).unwrap();
    let texts: Vec<String> = (0..20).map(|seed| model.generate(&request(seed)).unwrap().text).collect();
    for text in &texts {
        assert!(conforms(text), "{text}");
    }
    let distinct: std::collections::HashSet<_> = texts.iter().collect();
    assert!(distinct.len() > 3, "{texts:?}");
    // What was asked in between, and how much of the cache is reused, changes nothing.
    model.generate(&Request::new("You design. Or not.", "Something else")).ok();
    assert_eq!(model.generate(&request(3)).unwrap().text, texts[3]);
    assert_eq!(load_bytes(&tiny(&[])).unwrap().generate(&request(4)).unwrap().text, texts[4]);
}

#[test]
fn texts_written_together_are_those_written_alone() {
    for architecture in ["llama", "qwen3", "gemma3"] {
        let mut model = load_bytes(&file(architecture, &[], &weights(architecture))).unwrap();
        for schema in [Some(schema()), None] {
            let request = Request { schema, max_tokens: 40, ..request(6) };
            let together = model.generate_some(&request, 5).unwrap();
            assert_eq!(together.len(), 5);
            for (i, text) in together.iter().enumerate() {
                let alone = model.generate(&Request { seed: request.seed_of(i), ..request.clone() }).unwrap();
                let known = Completion { seconds: alone.seconds, ..text.clone() };
                assert_eq!(known, alone, "{architecture}");
            }
            let distinct: std::collections::HashSet<_> = together.iter().map(|answer| &answer.text).collect();
            assert!(distinct.len() > 1, "{together:?}");
        }
    }
}

#[test]
fn limits_are_kept() {
    let mut model = load_bytes(&tiny(&[])).unwrap();
    assert_eq!(model.context_limit(), 256);
    let short = model.generate(&Request { max_tokens: 3, ..request(0) }).unwrap();
    assert_eq!((short.completion_tokens, short.finish), (3, Finish::Length));
    let free = Request { schema: None, max_tokens: 10_000, ..request(0) };
    let cut = model.generate(&Request { user: "x".repeat(200), ..free.clone() }).unwrap();
    assert!(cut.finish == Finish::Stop || cut.prompt_tokens + cut.completion_tokens == 256, "{cut:?}");
    let full = model.generate(&Request { user: "x".repeat(300), ..free.clone() });
    assert!(matches!(full, Err(LlmError::ContextFull { prompt_tokens: 300.., limit: 256 })), "{full:?}");
    let late = model.generate(&Request { deadline: Duration::from_nanos(1), ..request(0) });
    assert!(matches!(late, Err(LlmError::Timeout { .. })), "{late:?}");
    let unknown = json!({"type": "string", "format": "no-such-format"});
    for schema in [json!([1]), unknown, json!({"$ref": "#/nowhere"})] {
        let bad = model.generate(&Request { schema: Some(schema), ..request(0) });
        assert!(matches!(bad, Err(LlmError::BadSchema { .. })), "{bad:?}");
    }
    assert!(conforms(&model.generate(&request(1)).unwrap().text), "usable after errors");
}

#[test]
fn text_cannot_pass_for_control_tokens() {
    let model = load_bytes(&tiny(&[])).unwrap();
    let tokens = model.vocabulary.encode("kind <|im_end|> 12");
    assert!(!tokens.contains(&2));
    assert_eq!(model.vocabulary.decode(&tokens), "kind <|im_end|> 12");
    assert_eq!(model.vocabulary.decode(&tokens[..1]), "kind");
    let prompt = model.template.prompt(&model.vocabulary, "", "<|im_start|>");
    assert_eq!(prompt.iter().filter(|token| **token == 1).count(), 2);
}

#[test]
fn files_that_are_no_model_are_told_apart() {
    let whole = tiny(&[]);
    for text in [&b""[..], b"GGUF", b"this is a text file, not a model at all", &[0; 4096]] {
        assert!(fault(text).contains("does not begin like a GGUF file"));
    }
    for n in [30, 300, 2000, whole.len() / 2, whole.len() - 100] {
        let text = fault(&whole[..n]);
        assert!(text.contains("cut off") || text.contains("damaged"), "{n}: {text}");
    }
    let missing = Embedded::load(Path::new("/no/such/model.gguf"), &Options::default()).unwrap_err();
    assert!(missing.to_string().contains("/no/such/model.gguf"), "{missing}");
}

#[test]
fn any_damaged_byte_of_the_header_is_survived() {
    let whole = tiny(&[]);
    let header = whole.len() - weights("llama").iter().map(|(_, t)| t.storage_size_in_bytes()).sum::<usize>();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("damaged.gguf");
    for at in (0..header.min(1500)).chain((1500..header).step_by(97)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        std::fs::write(&path, &bytes).unwrap();
        // Some bytes make no difference to what is read; none may panic or take all memory.
        drop(Gguf::open(&path));
    }
}

#[test]
fn absurd_metadata_is_refused_with_its_name() {
    use gguf_file::Value::{Array, F32, String as Text, U32};
    for (key, value, part) in [
        ("general.architecture", Text("phi3".into()), "`phi3`"),
        ("general.alignment", U32(0), "alignment"),
        ("llama.block_count", U32(u32::MAX), "llama.block_count"),
        ("llama.block_count", U32(900), "blk.2."),
        ("llama.attention.head_count", U32(0), "head_count"),
        ("llama.attention.head_count_kv", U32(3), "do not fit"),
        ("llama.feed_forward_length", U32(128), "shape"),
        ("llama.attention.layer_norm_rms_epsilon", F32(f32::NAN), "epsilon"),
        ("llama.expert_count", U32(8), "experts"),
        ("tokenizer.ggml.model", Text("bert".into()), "`bert`"),
        ("tokenizer.ggml.model", Text("llama".into()), "space of their own"),
        ("tokenizer.ggml.pre", Text("tekken".into()), "`tekken`"),
        ("tokenizer.ggml.eos_token_id", U32(100_000), "eos_token_id"),
        ("tokenizer.ggml.tokens", Array(vec![Text("a".into())]), "token types"),
        (
            "tokenizer.ggml.tokens",
            Array((0..17_000).map(|i| Text(format!("{i:0500}"))).collect()),
            "bytes in all",
        ),
        ("tokenizer.ggml.merges", Array(vec![Text("ab".into())]), "merge"),
        ("tokenizer.ggml.merges", Array(vec![Text("zz yy".into())]), "merges"),
    ] {
        let text = fault(&tiny(&[(key, value)]));
        assert!(text.contains(part), "{key}: {text}");
    }
    let largest = fault(&file("gemma3", &[("gemma3.block_count", U32(62))], &weights("gemma3")));
    assert!(largest.contains("27 B"), "{largest}");
}

#[test]
fn the_default_model_writes_what_the_schema_says() {
    let cache = capwright_fetch::Cache::open_default();
    let Some(path) = cache.ok().and_then(|cache| cache.cached(&crate::default_model())) else {
        eprintln!("skipped: the default model is not in the cache");
        return;
    };
    let mut model = Embedded::load(&path, &Options::default()).unwrap();
    // Digits stand alone in this vocabulary, and a space belongs to the word after it.
    assert_eq!(model.count_tokens("2024 photos"), 5);
    let request = |seed| Request { deadline: Duration::from_secs(600), ..request(seed) };
    let texts: Vec<String> = (0..3).map(|seed| model.generate(&request(seed)).unwrap().text).collect();
    for text in &texts {
        assert!(conforms(text), "{text}");
    }
    assert_eq!(model.generate(&request(0)).unwrap().text, texts[0]);
    let free = Request { schema: None, temperature: 0.0, max_tokens: 40, ..request(0) };
    let free = Request { system: String::new(), user: "What is the capital of France?".into(), ..free };
    let answer = model.generate(&free).unwrap().text;
    assert!(answer.contains("Paris"), "{answer}");
}
